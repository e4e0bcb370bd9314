"""What Docker says of one checkout's stack, asked once and with a time-out: engine and containers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from gauntlet.compose.docker import DockerCompose, away, sentence
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
    """Docker's engine as it is while one doctor looks: what it said once is not asked again."""

    docker: DockerCompose
    _words: dict[str, str] = field(default_factory=dict, repr=False, compare=False)

    @property
    def env(self) -> Mapping[str, str]:
        """The environment of the commands."""
        return self.docker.env

    @cached_property
    def info(self) -> Mapping[str, Any]:
        """What the engine says of itself; raises StackError when it does not answer."""
        found: dict[str, Any] = json.loads(self.ask("info", "--format", "{{json .}}"))
        if found.get("ServerErrors"):
            raise away(sentence(" ".join(found["ServerErrors"])))
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
        return self.docker.ask(*arguments, seconds=SECONDS)

    def last_words(self, container: str) -> str:
        """Return the last line that a container printed; nothing where Docker does not tell."""
        if container not in self._words:
            self._words[container] = self._last_words(container)
        return self._words[container]

    def _last_words(self, container: str) -> str:
        try:
            printed = self.docker.ask("logs", "--tail", "20", container, seconds=SECONDS, errors=True)
        except StackError:
            return ""
        said = [line.strip() for line in printed.splitlines() if line.strip()]
        return said[-1][:600] if said else ""


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
