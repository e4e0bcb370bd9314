"""The stack without Docker as the doctor looks at it: state folder, ports, processes, services. Changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from gauntlet.embedded import leftovers, ports, postgres, stack
from gauntlet.embedded.config import StackConfig, differences, load_config
from gauntlet.embedded.environment import database_url
from gauntlet.embedded.layout import POSTGRES, Layout
from gauntlet.embedded.secrets import Secrets, load_or_create
from gauntlet.embedded.supervision import Supervisor
from gauntlet.jobs.doctor import Finding
from gauntlet.jobs.stack import DATABASES, SUPERUSER, ServiceStatus, StackError

UP = "gauntlet up"
RESTART = "gauntlet down, then gauntlet up"
PATIENCE = 4.0


def is_running(home: Path) -> bool:
    """Say whether the supervisor of this state folder answers."""
    return home.is_dir() and Supervisor(Layout.of(home)).alive()


def check_state(home: Path) -> list[Finding]:
    """Look whether the state folder says in a readable way how the stack was started."""
    try:
        load_config(home)
    except (ValueError, TypeError) as error:
        file = Layout.of(home).config
        text = f"{file} must be as gauntlet up wrote it; reading it ends with {type(error).__name__}."
        return [Finding("state folder", text, f"Remove that file, then: {RESTART}")]
    return []


def check_leftovers(home: Path) -> list[Finding]:
    """Look whether processes have outlived their supervisor."""
    if not home.is_dir() or is_running(home):
        return []
    found = leftovers.of_stack(Layout.of(home))
    if not found:
        return []
    text = f"The stack must run under its supervisor; that is gone, and {len(found)} of its processes are left."
    return [Finding("services", text, f"End them, or start the stack anew, which ends them first: {RESTART}")]


def secrets_of(home: Path) -> Secrets | None:
    """Return the secrets of a state folder that has some; raises StackError for damaged or lost ones."""
    layout = Layout.of(home)
    if not (layout.secrets / "secrets.json").exists() and not layout.postgres_place.exists():
        return None
    return load_or_create(home)


def check_secrets(home: Path) -> list[Finding]:
    """Look whether the secrets are there and can be read."""
    try:
        secrets_of(home)
    except StackError as error:
        return [Finding.of("secrets", error)]
    return []


def check_database_folder(home: Path) -> list[Finding]:
    """Compare the version of the database folder with that of the programs."""
    place = postgres.recorded(Layout.of(home)) if home.is_dir() else None
    if place is None:
        return []
    try:
        made_by = (place.data / "PG_VERSION").read_text(encoding="ascii").strip()
    except FileNotFoundError:
        text = f"The database of this state folder must be in {place.data}; there is none."
        return [Finding("database folder", text, "Put it back from a copy; make clean starts afresh.")]
    except PermissionError:
        return []  # it belongs to Postgres's own user, who looks at it when it starts
    serves = place.programs.name.removeprefix("pginstall")
    if made_by == serves:
        return []
    text = f"The database folder must be of Postgres {serves}; {place.data} is of {made_by}."
    remedy = "Use the packages of the lock that made it, dump the data and restore them; make clean starts afresh."
    return [Finding("database folder", text, remedy)]


def check_ports(config: StackConfig) -> list[Finding]:
    """Look whether a stack that does not run could have its ports."""
    if is_running(config.home) or leftovers.of_stack(Layout.of(config.home)):
        return []
    return port_findings(config.ports)


def port_findings(wanted: dict[str, int]) -> list[Finding]:
    """Return a finding for each port that cannot be had; `wanted` by the variable that sets each."""
    try:
        ports.check(wanted)
    except StackError as error:
        return [Finding.from_text("ports", line) for line in str(error).splitlines()]
    return []


def check_settings(asked: StackConfig) -> list[Finding]:
    """Look whether the stack that runs was started with the settings as they are now."""
    running = load_config(asked.home) if is_running(asked.home) else None
    changed = differences(running, asked) if running else []
    if not changed:
        return []
    text = f"The stack must run with the settings as they are now; {'; '.join(changed)}."
    return [Finding("settings", text, f"Take the setting back, or start the stack with it: {RESTART}")]


@dataclass(frozen=True)
class Services:
    """The services of a stack, asked at the same time and once."""

    config: StackConfig

    @cached_property
    def found(self) -> Mapping[str, ServiceStatus]:
        """The state of each service; nothing while the stack does not run."""
        return stack.status(self.config, patience=PATIENCE) if is_running(self.config.home) else {}

    def check(self, service: str) -> list[Finding]:
        """Look whether a service is healthy; silent where Postgres, which all need, is the cause."""
        if not self.found or self.found[service].healthy:
            return []
        if service != POSTGRES and not self.found[POSTGRES].healthy:
            return []
        text = f"{service} must be healthy; {self.found[service].detail}."
        remedy = f"It is started again by itself. Why it ended: gauntlet logs {service}. If it stays away: {RESTART}"
        return [Finding("services", text, remedy)]


def login_urls(config: StackConfig, home: Path) -> dict[str, str]:
    """Return the address of each role's database, with its password, by role; nothing before the first start."""
    secrets = secrets_of(home)
    if secrets is None:
        return {}
    passwords = {SUPERUSER: secrets.postgres, **secrets.of_roles()}
    return {role: database_url(config, role, passwords[role], database) for role, database in DATABASES.items()}
