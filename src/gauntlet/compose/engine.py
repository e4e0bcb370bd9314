"""What Docker says of one checkout's stack, asked once and with a time-out: engine, configuration, containers."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from gauntlet.jobs.stack import StackError

SECONDS = 20.0  # a machine that is busy starting a stack is slow
LABEL = "com.docker.compose."


@dataclass(frozen=True)
class Inspected:
    """A container; `state` in Docker's words, `published` the addresses (IP, port) that are open on the host."""

    service: str
    name: str
    state: str
    health: str
    health_said: str
    exit_code: int
    error: str
    out_of_memory: bool
    restarts: int
    image: str
    memory_limit: int
    env: Mapping[str, str]
    published: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Engine:
    """`docker` in the folder of a checkout; `env` is the whole environment of the commands."""

    root: Path
    env: Mapping[str, str]
    _words: dict[str, str] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def info(self) -> Mapping[str, Any]:
        """What the engine says of itself; raises StackError when it does not answer."""
        found: dict[str, Any] = json.loads(self.ask("info", "--format", "{{json .}}"))
        if found.get("ServerErrors"):
            raise StackError(_away(_sentence(" ".join(found["ServerErrors"]))))
        return found

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """docker-compose.yml with every variable filled in."""
        found: dict[str, Any] = json.loads(self.ask("compose", "config", "--format", "json"))
        return found

    @cached_property
    def containers(self) -> tuple[Inspected, ...]:
        """Every container of the project, those that have ended as well; left out is what `compose run` has made."""
        ids = self.ask("compose", "ps", "--all", "--quiet").split()
        found = json.loads(self.ask("inspect", *ids)) if ids else []
        return tuple(
            _inspected(each) for each in found if each["Config"]["Labels"].get(f"{LABEL}oneoff", "False") == "False"
        )

    def ask(self, *arguments: str) -> str:
        """Return what a command of `docker` prints; raises StackError with what it says when it fails or hangs."""
        try:
            done = subprocess.run(  # noqa: S603
                ["docker", *arguments], cwd=self.root, env=dict(self.env), stdin=subprocess.DEVNULL,  # noqa: S607
                capture_output=True, text=True, timeout=SECONDS, check=False,
            )  # fmt: skip
        except FileNotFoundError:
            raise StackError(
                "Docker with Compose 2.20 or newer must be installed for the stack in containers; found no program "
                "`docker`. Install it, or use the stack without Docker: GAUNTLET_STACK=embedded"
            ) from None
        except subprocess.TimeoutExpired:
            raise StackError(
                f"docker {arguments[0]} must answer within {SECONDS:.0f} s; it did not. Start Docker's engine anew."
            ) from None
        if done.returncode != 0:
            said = _sentence(done.stderr)
            if "docker daemon" in said or "docker API" in said or "permission denied" in said:
                raise StackError(_away(said))
            raise StackError(f"docker {' '.join(arguments[:2])} must succeed; it said: {said} Correct what it names.")
        return done.stdout

    def last_words(self, container: str) -> str:
        """Return the last line that a container printed; nothing where Docker does not tell."""
        if container not in self._words:
            self._words[container] = self._last_words(container)
        return self._words[container]

    def _last_words(self, container: str) -> str:
        try:
            done = subprocess.run(  # noqa: S603
                ["docker", "logs", "--tail", "20", container], env=dict(self.env), stdin=subprocess.DEVNULL,  # noqa: S607
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=SECONDS, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return ""
        said = [line.strip() for line in done.stdout.splitlines() if line.strip()]
        return said[-1][:600] if said else ""


def _sentence(said: str) -> str:
    """One sentence, whatever a program says in how many."""
    text = re.sub(r"[.;]+ (?=[A-Z])", "; ", " ".join(said.split())[-600:])
    return text if text.endswith((".", "?")) else f"{text}."


def _away(said: str) -> str:
    remedy = "Start it (systemctl start docker, or Docker Desktop)."
    if "permission denied" in said:
        remedy = "Let this user speak to it (sudo usermod -aG docker $USER, then log in again)."
    return f"Docker's engine must answer; it said: {said} {remedy}"


def _inspected(plain: Mapping[str, Any]) -> Inspected:
    state, health = plain["State"], plain["State"].get("Health") or {}
    probes = health.get("Log") or [{"Output": ""}]
    ports = plain["NetworkSettings"]["Ports"] or {}
    published = {(each["HostIp"], int(each["HostPort"])) for open_on in ports.values() for each in open_on or ()}
    return Inspected(
        service=plain["Config"]["Labels"].get(f"{LABEL}service", ""),
        name=plain["Name"].lstrip("/"),
        state=state["Status"],
        health=health.get("Status", ""),
        health_said=" ".join(probes[-1]["Output"].split())[:200],
        exit_code=state["ExitCode"],
        error=state["Error"],
        out_of_memory=state["OOMKilled"],
        restarts=plain["RestartCount"],
        image=plain["Image"],
        memory_limit=plain["HostConfig"]["Memory"],
        env=dict(line.partition("=")[::2] for line in plain["Config"]["Env"] or ()),
        published=tuple(sorted(published)),
    )
