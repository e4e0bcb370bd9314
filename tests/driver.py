"""The `gauntlet` command on one stack, as a user types it, in both forms of the stack."""

import base64
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gauntlet import bootstrap
from gauntlet.compose import environment as compose
from gauntlet.compose.stack import SERVICES as COMPOSE_SERVICES
from gauntlet.embedded.layout import SERVICES
from gauntlet.jobs.conductor import Conductor
from gauntlet.settings import Settings
from tests.postgres import free_port

COMMAND = Path(sys.executable).parent / "gauntlet"
ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Driver(ABC):
    """`env`: the variables that name the stack (its form, its folder or project, its ports and secrets)."""

    env: Mapping[str, str]

    def run(self, *arguments: str, ok: bool = True, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a command; unless `ok` is false it must succeed."""
        done = subprocess.run(
            [COMMAND, *arguments], env=self._environment(variables), capture_output=True, text=True, timeout=400
        )
        assert not ok or done.returncode == 0, f"gauntlet {' '.join(arguments)}\n{done.stdout}\n{done.stderr}"
        return done

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command without waiting for it."""
        return subprocess.Popen(
            [COMMAND, *arguments],
            env=self._environment({}),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def json(self, *arguments: str) -> Any:
        """Run a command and read the JSON it prints."""
        return json.loads(self.run(*arguments, ok=False).stdout)

    @property
    def settings(self) -> Settings:
        """The settings as a command sees them."""
        return bootstrap.load_settings(self.env)

    def champion(self) -> int:
        """The version in production, by the ledger."""
        return int(self.json("status", "--json")["champions"]["diamonds"]["version"])

    def conductor(self) -> Conductor:
        """What starts runs of the default spec's DAG."""
        return bootstrap.conductor(self.settings, None, lambda _: None, lambda _: None)

    def wait_for_run(self, run_id: str, seconds: float = 180.0) -> None:
        """Wait until a run has succeeded."""
        conductor = self.conductor()
        deadline = time.monotonic() + seconds
        while (state := conductor.scheduler.run_state(conductor.dag, run_id)) != "success":
            assert state != "failed", conductor.scheduler.failure(conductor.dag, run_id)
            assert time.monotonic() < deadline, f"run {run_id} is {state} after {seconds:.0f} s"
            time.sleep(0.5)

    @property
    @abstractmethod
    def services(self) -> tuple[str, ...]:
        """The services that are kept running."""

    @abstractmethod
    def process(self, service: str) -> int:
        """The main process of a service, as the host counts; 0 where there is none."""

    @abstractmethod
    def remove(self) -> None:
        """Stop the stack, and forget what it knows."""

    def kill(self, service: str) -> float:
        """Kill -9 the main process of a service and return the seconds until it is healthy in another one."""
        killed = self.process(service)
        os.kill(killed, signal.SIGKILL)
        began = time.monotonic()
        while self.process(service) in (0, killed) or not self.healthy(service):
            assert time.monotonic() < began + 120, f"{service} is not healthy 120 s after its kill"
            time.sleep(0.2)
        return time.monotonic() - began

    def healthy(self, service: str) -> bool:
        """Say whether `gauntlet status` calls a service healthy."""
        return bool(self.json("status", "--json")["services"][service]["healthy"])

    def _environment(self, variables: Mapping[str, str]) -> dict[str, str]:
        return {**os.environ, **self.env, **variables}


class EmbeddedDriver(Driver):
    """A stack without Docker in a state folder of its own."""

    @classmethod
    def make(cls, home: Path, **variables: str) -> "EmbeddedDriver":
        """A stack of this checkout on free ports."""
        ports = ("AIRFLOW_PORT", "MLFLOW_PORT", "ROUTER_PORT", "POSTGRES_PORT")
        own = {"GAUNTLET_STACK": "embedded", "GAUNTLET_HOME": str(home), **{name: str(free_port()) for name in ports}}
        return cls({**own, **variables})

    @property
    def services(self) -> tuple[str, ...]:
        """The services of the supervisor."""
        return SERVICES

    def process(self, service: str) -> int:
        """The process that the supervisor keeps running."""
        return int(self.json("status", "--json")["services"][service]["pid"] or 0)

    def remove(self) -> None:
        """Stop the stack; its folder is the test's."""
        self.run("down")


def quiet_port() -> int:
    """A free port that the system gives to no outgoing connection: a stack's ports must stay free while it starts."""
    while True:
        port = secrets.choice(range(20_000, 32_000))
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


class ComposeDriver(Driver):
    """A stack in containers: a project of its own, with fresh secrets."""

    @classmethod
    def make(cls, project: str, **variables: str) -> "ComposeDriver":
        """A stack of this checkout on free ports."""
        own = {"GAUNTLET_STACK": "compose", "COMPOSE_PROJECT_NAME": project}
        own |= {name: str(quiet_port()) for name in compose.PORTS}
        own |= {name: secrets.token_urlsafe(64) for name in compose.SECRETS}
        own |= {name: secrets.token_urlsafe(15) for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
        own |= {"AIRFLOW_FERNET_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()}
        return cls({**own, **variables})

    @property
    def services(self) -> tuple[str, ...]:
        """The services of docker-compose.yml that are kept running."""
        return COMPOSE_SERVICES

    def process(self, service: str) -> int:
        """Process 1 of the service's container, by its number on the host."""
        container = self.docker("compose", "ps", "--all", "--quiet", service)
        return int(self.docker("inspect", "--format", "{{.State.Pid}}", container)) if container else 0

    def remove(self) -> None:
        """Remove the containers and volumes."""
        self.docker("compose", "down", "--volumes", "--timeout", "5")

    def docker(self, *arguments: str, ok: bool = True, env: Mapping[str, str] | None = None) -> str:
        """Return what a docker command prints; unless `ok` is false it must succeed."""
        done = subprocess.run(
            ["docker", *arguments], cwd=ROOT, env=self._environment(env or {}), capture_output=True, text=True,
            timeout=400,
        )  # fmt: skip
        assert not ok or done.returncode == 0, f"docker {' '.join(arguments)}\n{done.stdout}\n{done.stderr}"
        return (done.stdout if ok else done.stdout + done.stderr).strip()
