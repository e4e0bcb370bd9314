"""Runs one service of the stack in this process: `python -m gauntlet.embedded.launch SERVICE HOME`.

Configuration and secrets come from the state folder, so that no command line shows them.
"""

from __future__ import annotations

import ctypes
import gc
import os
import runpy
import shlex
import shutil
import signal
import sys
import threading
from pathlib import Path

from gauntlet.embedded.config import StackConfig, load_config
from gauntlet.embedded.environment import HOST, service_environment, sqlalchemy_url
from gauntlet.embedded.layout import (
    AIRFLOW_MIGRATE,
    API_SERVER,
    DAG_PROCESSOR,
    MLFLOW,
    POSTGRES,
    ROUTER,
    SCHEDULER,
    SUPERVISOR,
    Layout,
)
from gauntlet.embedded.secrets import Secrets, load_given, load_or_create
from gauntlet.jobs.stack import StackError

_START_SECONDS = 45.0  # after this a service has imported what it needs, on a slow machine, too
_AIRFLOW = {
    API_SERVER: ["api-server"],
    SCHEDULER: ["scheduler", "--skip-serve-logs"],  # its log server would listen on every address
    DAG_PROCESSOR: ["dag-processor"],
    AIRFLOW_MIGRATE: ["db", "migrate"],
}


def main(service: str, home: Path) -> None:
    """Become the service."""
    layout = Layout.of(home)
    if service == SUPERVISOR:
        _run_supervisor(layout)
    config, secrets = load_config(home), load_or_create(home)
    if config is None:
        raise StackError(f"{layout.config} must say how the stack was started; there is none. Run gauntlet up.")
    parent = os.getppid()
    if service != AIRFLOW_MIGRATE:
        _kill_leftovers(layout, service)
    if service == POSTGRES:
        _run_postgres(layout, config, parent)
    # Not SIGTERM: without the supervisor the log is a broken pipe, on which Airflow's orderly end hangs.
    _die_with_parent(signal.SIGKILL, parent)
    _set_environment(service_environment(service, config, secrets, os.environ, load_given(home)))
    if service in _AIRFLOW:
        _run_airflow(service, config, secrets)
    elif service == MLFLOW:
        _run_mlflow(layout, config, secrets)
    elif service == ROUTER:
        _run_router(config, secrets)
    else:
        raise StackError(f"The service must be one of the stack's; got {service!r}.")


def _run_supervisor(layout: Layout) -> None:
    os.chdir(layout.run)
    command = [sys.executable, "-P", "-m", "gauntlet.embedded.launch"]
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "SUPERVISOR"))}
    env["GAUNTLET_SOCKET"] = str(layout.socket)
    env["GAUNTLET_LAUNCH"] = shlex.join(command)
    env["GAUNTLET_HOME"] = shlex.quote(str(layout.home))
    program = [sys.executable, "-P", "-m", "supervisor.supervisord", "-c", str(layout.run / "supervisord.conf")]
    os.execve(sys.executable, program, env)  # noqa: S606


def _run_postgres(layout: Layout, config: StackConfig, parent: int) -> None:
    from gauntlet.embedded import postgres

    place = postgres.recorded(layout)
    if place is None:
        raise StackError(f"{layout.postgres_place} must say where the database lies; there is none. Run gauntlet up.")
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(place.account.gid)
        os.setuid(place.account.uid)
    _die_with_parent(signal.SIGINT, parent)  # a change of user takes it back, so it comes after
    command = place.command(config.postgres_port, config.router_workers)
    env = {name: os.environ[name] for name in ("PATH", "TZ", "LD_LIBRARY_PATH") if name in os.environ}
    os.execve(command[0], command, env)  # noqa: S606


def _run_airflow(service: str, config: StackConfig, secrets: Secrets) -> None:
    from gauntlet.embedded import databases

    sys.path.insert(0, str(config.root / "airflow" / "config"))  # airflow_local_settings
    databases.wait(config, "airflow", secrets.airflow, "airflow")
    if service in (SCHEDULER, DAG_PROCESSOR):
        _forks_die_too()
    _collect_garbage_seldom(service)
    sys.argv = ["airflow", *_AIRFLOW[service]]
    from airflow.__main__ import main as airflow

    airflow()


def _collect_garbage_seldom(service: str) -> None:
    """Do not look for garbage while Airflow is imported: it makes a million objects and next to no garbage.

    The api-server lives long and answers much, so it goes back to the usual pace after its start. The scheduler does
    not: a full collection would touch every page that it shares with its workers.
    """
    usual = gc.get_threshold()
    gc.set_threshold(100_000, 50, 100)
    if service == API_SERVER:
        timer = threading.Timer(_START_SECONDS, lambda: gc.set_threshold(*usual))
        timer.daemon = True
        timer.start()


def _run_mlflow(layout: Layout, config: StackConfig, secrets: Secrets) -> None:
    """Serve MLflow's application from this process: `mlflow server` adds a parent and a second import (ADR 0002)."""
    import uvicorn

    from gauntlet.embedded import databases

    databases.wait(config, "mlflow", secrets.mlflow, "mlflow")
    url = sqlalchemy_url(config, "mlflow", secrets.mlflow, "mlflow")
    runpy.run_path(str(config.root / "mlflow" / "schema.py"))["bring_up_to_date"](url)
    from mlflow.server import constants, handlers

    os.environ[constants.BACKEND_STORE_URI_ENV_VAR] = url
    os.environ[constants.REGISTRY_STORE_URI_ENV_VAR] = url
    os.environ[constants.ARTIFACT_ROOT_ENV_VAR] = "mlflow-artifacts:/"
    os.environ[constants.ARTIFACTS_DESTINATION_ENV_VAR] = layout.artifacts.as_uri()
    os.environ[constants.SERVE_ARTIFACTS_ENV_VAR] = "true"
    handlers.initialize_backend_stores(url, url, "mlflow-artifacts:/")
    uvicorn.run("mlflow.server.fastapi_app:app", host=HOST, port=config.mlflow_port, access_log=False)


def _run_router(config: StackConfig, secrets: Secrets) -> None:
    from gauntlet.embedded import databases

    databases.wait(config, "router", secrets.router, "gauntlet")
    metrics = Path("metrics")  # in the working directory; of a process that is gone nothing may stay
    shutil.rmtree(metrics, ignore_errors=True)
    metrics.mkdir()
    env = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(metrics.absolute())}
    os.execve(sys.executable, [sys.executable, "-P", "-m", "router"], env)  # noqa: S606


def _set_environment(env: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(env)
    sys.dont_write_bytecode = False


def _kill_leftovers(layout: Layout, service: str) -> None:
    """End what a killed predecessor left behind: it would hold the port, or work on as a second scheduler."""
    from gauntlet.embedded import leftovers

    leftovers.kill(leftovers.of_service(layout, service))


def _die_with_parent(with_signal: signal.Signals, parent: int) -> None:
    """Have the kernel send this process a signal when its parent ends; Linux only (elsewhere leftovers are swept)."""
    if sys.platform != "linux":
        return
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, int(with_signal))
    if os.getppid() != parent:  # it ended before
        sys.exit(1)


def _forks_die_too() -> None:
    """Let the workers of a killed scheduler die with it, and so on down.

    Only what the main thread forks: to the kernel the parent is the thread, and a task's threads come and go.
    """
    from_main: list[bool] = [True]

    def before() -> None:
        from_main[0] = threading.current_thread() is threading.main_thread()

    def in_child() -> None:
        if from_main[0]:
            _die_with_parent(signal.SIGKILL, os.getppid())

    os.register_at_fork(before=before, after_in_child=in_child)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
