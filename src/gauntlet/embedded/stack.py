"""The stack as a whole: up, down, status, logs."""

from __future__ import annotations

import fcntl
import importlib.metadata
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from gauntlet.embedded import databases as own_databases
from gauntlet.embedded import leftovers, ports, postgres
from gauntlet.embedded import logs as logfiles
from gauntlet.embedded.config import StackConfig, differences, load_config, save_config
from gauntlet.embedded.environment import database_url, variables
from gauntlet.embedded.files import write_private
from gauntlet.embedded.health import status_of
from gauntlet.embedded.layout import (
    AIRFLOW_MIGRATE,
    API_SERVER,
    DAG_PROCESSOR,
    MLFLOW,
    POSTGRES,
    ROUTER,
    SCHEDULER,
    SERVICES,
    Layout,
)
from gauntlet.embedded.secrets import Secrets, keep_given, load_given, load_or_create
from gauntlet.embedded.supervision import Process, Supervisor, launch_command, render
from gauntlet.jobs.stack import Databases, Say, ServiceStatus, StackError

__all__ = ["SERVICES", "ServiceStatus", "StackError", "down", "log_path", "logs", "status", "up"]

_PATIENCE = 240.0  # seconds until a service must be healthy; a machine that is fifteen times too slow still makes it
_STARTS = 4  # of one service within one `up`; then it is called broken
_POLL = 0.15


def up(config: StackConfig, *, databases: Databases, say: Say, given: Mapping[str, str] | None = None) -> None:
    """Start the stack and return when every service is healthy; harmless while it runs.

    `databases` makes what the services need in Postgres before they use it; `say` gets a line for each step; `given`
    has the secret settings that Airflow's services are told, by variable. Raises
    StackError for a taken port, for a stack that runs with other settings, and, with the end of its log, for a service
    that does not become healthy; what this call has started is then stopped.
    """
    layout = Layout.of(config.home)
    supervisor = Supervisor(layout)
    if not supervisor.alive() and not leftovers.of_stack(layout):
        ports.check(config.ports)  # before anything is changed
    layout.create()
    with _locked(layout, say):
        if supervisor.alive():
            _refuse_other_settings(config, given or {})
            _Start(config, supervisor, databases, say).run()
            return
        keep_given(config.home, given or {})
        _begin(config, layout, supervisor, say)
        try:
            _Start(config, supervisor, databases, say).run()
        except BaseException:
            _stop(layout, supervisor, lambda _: None)
            raise


def down(home: Path, say: Say) -> None:
    """Stop the stack of this state folder; leaves no process, also when the supervisor is gone."""
    layout = Layout.of(home)
    if not layout.home.is_dir():
        say("nothing runs: there is no state folder")
        return
    with _locked(layout, say):
        started = time.monotonic()
        ran = _stop(layout, Supervisor(layout), say)
        say(f"stopped in {time.monotonic() - started:.1f} s" if ran else "nothing runs")


def status(config: StackConfig, *, patience: float = 5.0) -> dict[str, ServiceStatus]:
    """Return the state of each service; a service that does not answer within `patience` seconds is not healthy."""
    processes = Supervisor(Layout.of(config.home)).processes()
    secrets = load_or_create(config.home) if processes else None
    if secrets is None:
        return {service: ServiceStatus(False, None, None, "not running") for service in SERVICES}
    with ThreadPoolExecutor(len(SERVICES)) as pool:
        found = pool.map(
            lambda service: status_of(service, processes.get(service), config, secrets, patience), SERVICES
        )
        return dict(zip(SERVICES, found, strict=True))


def log_path(home: Path, service: str) -> Path:
    """Return the log of a service; raises StackError for an unknown name."""
    if service not in SERVICES:
        raise StackError(f"A service must be one of {', '.join(SERVICES)}; got {service!r}.")
    return Layout.of(home).log(service)


def logs(home: Path, service: str, *, lines: int, follow: bool) -> Iterator[str]:
    """Yield the last lines of a service's log, and with `follow` those to come, for ever."""
    path = log_path(home, service)
    yield from logfiles.tail(path, lines)
    if follow:
        yield from logfiles.follow(path)


@contextmanager
def _locked(layout: Layout, say: Say) -> Iterator[None]:
    with layout.lock.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another command starts or stops this stack; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _refuse_other_settings(config: StackConfig, given: Mapping[str, str]) -> None:
    running = load_config(config.home)
    changed = differences(running, config) if running else []
    kept = load_given(config.home)
    names = sorted(kept.keys() | given.keys())
    changed += [f"{name} is another" for name in names if kept.get(name) != given.get(name)]
    if changed:
        raise StackError(
            "The stack keeps the settings it was started with; the running one has others: "
            f"{'; '.join(changed)}. Stop it (gauntlet down), then start it again."
        )


def _begin(config: StackConfig, layout: Layout, supervisor: Supervisor, say: Say) -> None:
    """Everything up to a supervisor that runs and a Postgres that could."""
    old = leftovers.of_stack(layout)
    if old:
        say(f"ending {len(old)} processes that a killed stack left behind")
        leftovers.end_stack(layout, 10)
    ports.check(config.ports)
    secrets = load_or_create(config.home)
    postgres.prepare(config, secrets.postgres, say)
    write_private(layout.run / "supervisord.conf", render(as_root=os.geteuid() == 0))
    save_config(config)
    supervisor.start()


def _stop(layout: Layout, supervisor: Supervisor, say: Say) -> bool:
    """Stop what runs; returns whether anything did."""
    ran = supervisor.alive()
    if ran:
        say("stopping the services")
        for service in SERVICES:
            if service != POSTGRES:  # the others use it to the last
                supervisor.stop_service(service)
        _wait_until(lambda: all(p.pid is None for s, p in supervisor.processes().items() if s != POSTGRES), 20)
        supervisor.shutdown()
        _wait_until(lambda: not leftovers.of_stack(layout), 20)
    old = leftovers.of_stack(layout)
    if old:
        say(f"ending {len(old)} processes that are left")
        leftovers.end_stack(layout, 10)
    layout.config.unlink(missing_ok=True)
    layout.socket.unlink(missing_ok=True)
    if layout.socket.parent != layout.run and layout.socket.parent.is_dir():
        layout.socket.parent.rmdir()
    return ran or bool(old)


def _wait_until(done: Callable[[], bool], patience: float) -> bool:
    until = time.monotonic() + patience
    while not done():
        if time.monotonic() > until:
            return False
        time.sleep(_POLL)
    return True


class _Start:
    """One start of the services, in the order in which each can do its work."""

    def __init__(self, config: StackConfig, supervisor: Supervisor, databases: Databases, say: Say) -> None:
        self._config = config
        self._layout = Layout.of(config.home)
        self._supervisor = supervisor
        self._databases = databases
        self._say = say
        self._secrets: Secrets = load_or_create(config.home)
        self._started = time.monotonic()
        self._starts: dict[str, set[int]] = {service: set() for service in SERVICES}

    def run(self) -> None:
        """Start everything and wait for it."""
        self._supervisor.start_service(POSTGRES)
        self._wait([POSTGRES])
        self._databases.ensure(
            database_url(self._config, "postgres", self._secrets.postgres, "postgres"),
            self._secrets.of_roles(),
        )
        self._supervisor.start_service(MLFLOW)  # makes its own schema while Airflow makes its
        schema = AirflowSchema(self._config, self._secrets)
        schema.begin()
        try:
            self._databases.migrate(variables(self._config, self._secrets)["GAUNTLET_OWNER_DATABASE_URL"])
            self._supervisor.start_service(ROUTER)
        finally:
            schema.finish()
        for service in (API_SERVER, SCHEDULER, DAG_PROCESSOR):
            self._supervisor.start_service(service)
        self._wait([service for service in SERVICES if service != POSTGRES])

    def _wait(self, services: list[str]) -> None:
        waiting = list(services)
        until = time.monotonic() + _PATIENCE
        while waiting:
            processes = self._supervisor.processes()
            for service in list(waiting):
                process = processes.get(service)
                found = status_of(service, process, self._config, self._secrets, patience=30)
                if found.healthy:
                    self._say(f"{service:<22} healthy after {time.monotonic() - self._started:4.1f} s")
                    waiting.remove(service)
                elif self._broken(service, process) or time.monotonic() > until:
                    raise self._failure(service, found)
            time.sleep(_POLL)

    def _broken(self, service: str, process: Process | None) -> bool:
        if process is None or process.state == "FATAL":
            return True
        self._starts[service].add(process.started)
        return len(self._starts[service]) > _STARTS

    def _failure(self, service: str, found: ServiceStatus) -> StackError:
        path = self._layout.log(service)
        end = "\n".join(f"  | {line}" for line in logfiles.tail(path, 25))
        return StackError(
            f"{service} must become healthy; found: {found.detail}, started {len(self._starts[service])} times. "
            f"The end of its log ({path}):\n{end}"
        )


class AirflowSchema:
    """Airflow's schema, made or migrated by Airflow in a process of its own unless it is known to be up to date."""

    def __init__(self, config: StackConfig, secrets: Secrets) -> None:
        self._config = config
        self._secrets = secrets
        self._stamp = Layout.of(config.home).airflow / "schema"
        self._log = Layout.of(config.home).logs / "airflow-migrate.log"
        self._process: subprocess.Popen[bytes] | None = None

    def begin(self) -> None:
        """Start the migration; even one with nothing to do takes 3 s, so it is left out where the stamp says so."""
        if self._stamp.is_file() and self._stamp.read_text(encoding="utf-8") == self._state():
            return
        with self._log.open("wb") as log:
            command = launch_command(AIRFLOW_MIGRATE, self._config.home)
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)  # noqa: S603

    def finish(self) -> None:
        """Wait for the migration; raises StackError with the end of its output when it failed."""
        if self._process is None:
            return
        if self._process.wait() != 0:
            end = "\n".join(f"  | {line}" for line in logfiles.tail(self._log, 25))
            raise StackError(
                f"Airflow must make its schema; it ended with {self._process.returncode} ({self._log}):\n{end}"
            )
        write_private(self._stamp, self._state())

    def _state(self) -> str:
        revision = own_databases.airflow_revision(self._config, self._secrets)
        return f"{importlib.metadata.version('apache-airflow-core')} {revision}\n"
