"""The command line on the host, with containers that a stand-in for Docker shows; and inside of a container."""

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.docker import SERVICES, WITHOUT_MINIO, container, docker_program
from tests.driver import COMMAND
from tests.postgres import free_port

from gauntlet import bootstrap
from gauntlet.compose.docker import DockerCompose
from gauntlet.compose.environment import SECRETS
from gauntlet.embedded.config import StackConfig, save_config
from gauntlet.embedded.layout import Layout
from gauntlet.jobs.stack import StackError

FAILED = [container("postgres", "exited"), container("databases", "exited", ExitCode=3)]


def gauntlet(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a command with these variables and nothing else of this shell."""
    own = {"PATH": os.environ["PATH"], **dict.fromkeys(SECRETS, "x"), **env}
    return subprocess.run([COMMAND, *arguments], env=own, capture_output=True, text=True, timeout=60)


def on_host(folder: Path, services: dict[str, Any], *containers: dict[str, Any]) -> dict[str, str]:
    """The variables of a host whose Docker knows these."""
    path = docker_program(folder, services, *containers)
    return {"PATH": path, "GAUNTLET_STACK": "compose", "GAUNTLET_HOME": str(folder / "home")}


@pytest.mark.parametrize("command", [("doctor",), ("doctor", "--json"), ("status",), ("logs",)])
def test_in_a_container_what_asks_for_the_whole_stack_is_refused(tmp_path: Path, command: tuple[str, ...]) -> None:
    done = gauntlet(*command, GAUNTLET_SERVICE="gauntlet", GAUNTLET_HOME=str(tmp_path))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: This command must be given on the host; here is a container.")


def test_what_prepares_the_services_is_named_when_it_failed_and_has_a_log(tmp_path: Path) -> None:
    host = on_host(tmp_path, SERVICES, *FAILED)
    shown = gauntlet("status", **host)
    assert shown.returncode == 1
    assert "DOWN  databases" in shown.stdout
    assert "ended with 3; see: gauntlet logs databases" in shown.stdout
    assert gauntlet("logs", "databases", **host).stdout == "the log of databases\n"
    assert gauntlet("logs", **host).stdout.split() == ["postgres", "minio", "mlflow", "router", "databases"]
    assert "SERVICE must be one of postgres, minio, mlflow, router, databases" in gauntlet("logs", "x", **host).stderr


def test_only_the_services_of_the_compose_files_are_looked_for(tmp_path: Path) -> None:
    services = {**WITHOUT_MINIO, "worker": {"restart": "always"}, "once": {"restart": "no"}}
    found = json.loads(gauntlet("status", "--json", **on_host(tmp_path, services, *FAILED)).stdout)
    assert list(found["services"]) == ["postgres", "mlflow", "router", "worker", "databases"]


def test_a_postgres_that_is_no_service_of_the_stack_is_asked_all_the_same(tmp_path: Path) -> None:
    others = {name: plain for name, plain in SERVICES.items() if name != "postgres"}
    host = on_host(tmp_path, others, *map(container, others))
    shown = gauntlet("status", **host, POSTGRES_PORT=str(port := free_port()))
    assert shown.returncode == 1
    assert "up    router" in shown.stdout
    assert shown.stderr.startswith("error: ")
    assert f"127.0.0.1:{port}" in shown.stderr


def test_what_docker_refuses_is_said_with_what_to_do(tmp_path: Path) -> None:
    host = on_host(tmp_path, SERVICES)
    down = gauntlet("down", **host).stderr
    assert "Cannot connect to the Docker daemon" in down
    assert down.endswith("Correct what it names, then: docker compose down\n")
    up = gauntlet("up", **host).stderr
    assert "docker compose up must succeed; what it said stands above. Correct what it names, then: " in up
    docker = DockerCompose(tmp_path, host)
    with pytest.raises(StackError, match=r"^docker compose exec must succeed; it said: find: .* Correct what it names"):
        docker.output("exec", "postgres", "find")
    with pytest.raises(StackError, match=r"^Docker's engine must answer; .* Start it"):
        docker.output("pull")


@pytest.fixture
def home() -> Iterator[Path]:
    """The state folder of an embedded stack that was started; its path is short enough for a socket."""
    folder = Path(f"/tmp/gauntlet-test-{os.getpid()}")  # noqa: S108
    Layout.of(folder).run.mkdir(parents=True)
    save_config(
        StackConfig(
            root=folder, home=folder, airflow_port=1, mlflow_port=1, router_port=1, postgres_port=1, router_workers=1,
            specs_dir=folder, service_variables={},
        )
    )  # fmt: skip
    yield folder
    shutil.rmtree(folder)


def test_an_embedded_stack_counts_as_running_while_its_supervisor_listens(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gauntlet.bootstrap.environment.dotenv_values", lambda _: {})
    env = {**{name: name.lower().replace("_", "-") for name in SECRETS}, "GAUNTLET_HOME": str(home)}
    assert bootstrap.load_settings(env).gauntlet_stack == "compose"
    with socket.socket(socket.AF_UNIX) as supervisor:
        supervisor.bind(str(Layout.of(home).socket))
        supervisor.listen()
        assert bootstrap.load_settings(env).gauntlet_stack == "embedded"
    assert bootstrap.load_settings(env).gauntlet_stack == "compose"  # killed: its socket is still there
