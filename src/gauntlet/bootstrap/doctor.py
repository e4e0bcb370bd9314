"""The doctor's checks, put together for the stack that commands work with."""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from gauntlet.bootstrap.catalogue import load_spec, load_specs
from gauntlet.bootstrap.doctor_services import Place, service_checks
from gauntlet.bootstrap.environment import (
    COMPOSE,
    ROOT,
    host_variables,
    load_settings,
    reach_loopback_directly,
    stack_config,
    stack_form,
    state_folder,
)
from gauntlet.bootstrap.stack import refuse_in_a_container
from gauntlet.domain.spec import SpecError
from gauntlet.jobs.doctor import Check, Finding, diagnose
from gauntlet.jobs.stack import password_variable
from gauntlet.settings import Settings, SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gauntlet.compose.containers import Containers
    from gauntlet.compose.engine import Engine

CONTAINER_USER = 10001
DISK_GB = 1.0
MEMORY_GB = 3.5  # a machine sold with 4
RESTART = "gauntlet down, then gauntlet up"


def examine(doing: Callable[[Sequence[str]], None]) -> list[Finding]:
    """Return what is wrong with the stack that commands work with; nothing for one that is healthy, or ready to start.

    `doing` is told every now and then which checks are still to answer. The stack is left as it is: an object of a few
    bytes is written to each bucket and removed, and a container that reads the image's code comes and goes. Raises
    StackError in a container.
    """
    refuse_in_a_container()
    reach_loopback_directly()
    try:
        env, form = host_variables(), stack_form()
    except (OSError, ValueError):  # .env or stack.json cannot be read: nobody knows what else to look at
        return diagnose(_files(), doing=doing)
    return diagnose(_compose(env) if form == COMPOSE else _embedded(), doing=doing)


def _files() -> list[Check]:
    from gauntlet.adapters.dotenv_checks import check_dotenv
    from gauntlet.adapters.machine import check_python
    from gauntlet.embedded.checks import check_state

    known = {name.upper(): "SecretStr" in str(field.annotation) for name, field in Settings.model_fields.items()}
    return [
        Check("versions", partial(check_python, "gauntlet")),
        Check(".env", partial(check_dotenv, ROOT / ".env", known)),
        Check("state folder", lambda: check_state(state_folder())),
    ]


def _embedded() -> list[Check]:
    from gauntlet.adapters import machine
    from gauntlet.embedded import checks
    from gauntlet.embedded.stack import SERVICES

    home, settings = state_folder(), cache(load_settings)
    running = cache(lambda: checks.is_running(home))
    config = cache(lambda: stack_config(settings()))
    services = cache(lambda: checks.Services(config()))
    place = Place(
        services=SERVICES,
        settings=settings,
        running=running,
        start=RESTART,
        urls=lambda: checks.login_urls(config(), home),
        password_of=lambda _: f"its password in {home / 'secrets' / 'secrets.json'}",
        renew=RESTART,
    )
    return [
        Check("memory", lambda: machine.check_own_memory(MEMORY_GB, running=running())),
        Check("disk", partial(machine.check_disk, home, free_gb=DISK_GB, what="The stack")),
        Check("folders", partial(machine.check_folder, home, "The state folder")),
        *_files(),
        Check("secrets", partial(checks.check_secrets, home), needs=("state folder", "folders")),
        Check("secret files", lambda: machine.check_private((home / "secrets").glob("*.json"), "secrets")),
        *_settings_and_specs(settings, "secrets"),
        Check("database folder", partial(checks.check_database_folder, home)),
        Check("leftovers", partial(checks.check_leftovers, home)),
        Check("ports", lambda: checks.check_ports(config()), needs=("settings",)),
        Check("settings in use", lambda: checks.check_settings(config()), needs=("settings",)),
        *(
            Check(f"service {name}", partial(lambda name: services().check(name), name), needs=("settings in use",))
            for name in SERVICES
        ),
        *service_checks(place),
    ]


def _compose(env: Mapping[str, str]) -> list[Check]:
    from gauntlet.adapters import machine
    from gauntlet.compose.checks import (
        check_config,
        check_docker,
        check_open_ports,
        check_secret_forms,
        check_secrets,
    )
    from gauntlet.compose.containers import Containers
    from gauntlet.compose.docker import UP, DockerCompose
    from gauntlet.compose.engine import Engine
    from gauntlet.compose.environment import login_urls
    from gauntlet.compose.project import SERVICES

    settings, engine = cache(load_settings), Engine(DockerCompose(ROOT, env))
    containers = Containers(engine)
    place = Place(
        services=SERVICES,
        settings=settings,
        running=lambda: containers.some_run,
        start=UP,
        urls=lambda: login_urls(env),
        password_of=password_variable,
        renew=f"docker compose build databases && {UP}",
    )
    mounts = [ROOT / "airflow" / "dags", ROOT / "specs", ROOT / "data"]
    made = ("containers",)
    return [
        Check("memory", lambda: _docker_memory(engine, containers), needs=made),
        Check("disk", lambda: _docker_disk(engine), needs=("docker",)),
        *_files(),
        Check("secrets", partial(check_secrets, env)),
        Check("secret forms", partial(check_secret_forms, env), needs=("secrets",)),
        *_settings_and_specs(settings),
        Check("data file", lambda: _data_file(settings()), needs=("settings",)),
        Check("folders", partial(machine.check_readable_by_all, mounts, CONTAINER_USER)),
        Check("docker", partial(check_docker, engine)),
        Check("configuration", partial(check_config, engine), needs=("docker", "secrets")),
        Check("open ports", partial(check_open_ports, engine), needs=("configuration",)),
        Check("containers", containers.check_listed, needs=("configuration",)),
        Check("ports", lambda: _compose_ports(containers), needs=made),
        Check("image", partial(containers.check_images, ROOT), needs=made),
        Check("preparation", containers.check_one_shots, needs=made),
        Check("settings in use", containers.check_settings, needs=made),
        *(Check(f"service {name}", partial(containers.check_service, name), needs=made) for name in SERVICES),
        Check("other services", containers.check_other_services, needs=made),
        *service_checks(place),
    ]


def _settings_and_specs(settings: Callable[[], Settings], *needs: str) -> list[Check]:
    return [
        Check("settings", lambda: _settings(settings), needs),
        Check("specs", lambda: _specs(settings()), needs=("settings",)),
    ]


def _settings(settings: Callable[[], Settings]) -> list[Finding]:
    try:
        settings()
    except SettingsError as error:
        remedy = "Correct it where it is set: in the environment, or in .env."
        return [Finding("settings", problem, remedy) for problem in error.problems]
    return []


def _specs(settings: Settings) -> list[Finding]:
    try:
        load_spec(settings, None)
    except SettingsError as error:
        return [Finding("specs", problem, "Set DEFAULT_SPEC to one of them.") for problem in error.problems]
    except SpecError:
        pass  # with those of the other specs below
    return [
        Finding("specs", " ".join(str(error).split()), f"Correct {settings.specs_dir / error.name}.toml")
        for error in load_specs(settings)[1]
    ]


def _data_file(settings: Settings) -> list[Finding]:
    """Containers see the folder data alone."""
    file, folder = settings.data_file, ROOT / "data"
    if file is None or (file.is_file() and file.resolve().is_relative_to(folder.resolve())):
        return []
    text = f"DATA_FILE must name a CSV or parquet file in {folder}, the folder that containers see; {file} is none."
    return [Finding("data file", text, f"Put the file there and set DATA_FILE=data/{file.name}, or empty DATA_FILE.")]


def _docker_memory(engine: Engine, containers: Containers) -> list[Finding]:
    """A stack that runs has its share; what is free besides is the host's business."""
    import psutil

    from gauntlet.adapters.machine import check_memory

    total = int(engine.info["MemTotal"])
    free = total if containers.some_run else min(total, psutil.virtual_memory().available)
    return check_memory(total, free, needed_gb=MEMORY_GB, free_gb=2.0, whose="Docker's machine")


def _docker_disk(engine: Engine) -> list[Finding]:
    """Docker's own folder where it lies on this machine; in a virtual machine it does not."""
    from gauntlet.adapters.machine import check_disk

    folder = Path(engine.info["DockerRootDir"])
    return check_disk(folder, free_gb=DISK_GB, what="Docker") if folder.exists() else []


def _compose_ports(containers: Containers) -> list[Finding]:
    from gauntlet.embedded.checks import port_findings

    found = []
    for name, port in containers.wanted_ports().items():
        for each in port_findings({name: port}):
            other = containers.holder(port)
            if other is not None:
                text = f"{name} must be a free port; {port} is taken by {other}."
                found.append(Finding("ports", text, f"docker stop {other.split()[-1]}, or set {name} to another port."))
            else:
                found.append(each)
    return found
