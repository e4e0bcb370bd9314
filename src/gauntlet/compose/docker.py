"""`docker` and `docker compose` in the repository's folder: the one place that starts them."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from gauntlet.compose.project import Project
from gauntlet.jobs.stack import StackError

COMPOSE_SINCE = "2.20"
# what a person types
UP = "docker compose up -d"
DOWN = "docker compose down"


@dataclass(frozen=True)
class Container:
    """A container of the stack; `state` and `health` in Docker's words (running, exited ...; healthy, starting ...)."""

    service: str
    name: str
    state: str
    health: str
    exit_code: int


@dataclass(frozen=True)
class DockerCompose:
    """The project of one checkout; `env` is the whole environment of the commands."""

    root: Path
    env: Mapping[str, str]

    @cached_property
    def project(self) -> Project:
        """What the Compose files say, with every variable filled in; asked once."""
        return Project(json.loads(self.output("config", "--format", "json")))

    def shown(self, *arguments: str) -> int:
        """Run a command of Compose whose output the user sees, and return its exit code."""
        return self._run(("compose", *arguments)).returncode

    def output(self, *arguments: str) -> str:
        """Return what a command of Compose prints; raises StackError with what it said when it fails."""
        return self.ask("compose", *arguments)

    def ask(self, *arguments: str, seconds: float | None = None, errors: bool = False) -> str:
        """Return what a command of Docker prints, with `errors` on its error output as well.

        Raises StackError with what it said when it fails, or takes longer than `seconds`.
        """
        stderr = subprocess.STDOUT if errors else subprocess.PIPE
        try:
            done = self._run(arguments, stdout=subprocess.PIPE, stderr=stderr, timeout=seconds)
        except subprocess.TimeoutExpired:
            raise StackError(
                f"docker {arguments[0]} must answer within {seconds:.0f} s; it did not. Start Docker's engine anew."
            ) from None
        if done.returncode != 0:
            raise _failed(arguments, done.stdout if errors else done.stderr)
        return str(done.stdout)

    def containers(self) -> list[Container]:
        """Return every container of the project, those that have ended as well."""
        # newer versions print a line for each container, older ones a list
        text = self.output("ps", "--all", "--format", "json").strip()
        found = json.loads(text) if text.startswith("[") else [json.loads(line) for line in text.splitlines()]
        return [_container(each) for each in found]

    def lines(self, *arguments: str) -> Iterator[str]:
        """Yield the lines that a command of Compose prints, as they come."""
        try:
            process = subprocess.Popen(  # noqa: S603
                ["docker", "compose", *arguments], cwd=self.root, env=dict(self.env), stdin=subprocess.DEVNULL,  # noqa: S607
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            )  # fmt: skip
        except FileNotFoundError:
            raise _no_docker() from None
        with process:
            assert process.stdout is not None  # noqa: S101 - it is a pipe
            try:
                for line in process.stdout:
                    yield line.rstrip("\n")
            finally:
                process.terminate()

    def _run(self, arguments: tuple[str, ...], **more: Any) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(  # noqa: S603
                ["docker", *arguments], cwd=self.root, env=dict(self.env), stdin=subprocess.DEVNULL,  # noqa: S607
                text=True, check=False, **more,
            )  # fmt: skip
        except FileNotFoundError:
            raise _no_docker() from None


def sentence(said: str) -> str:
    """Return the end of what a program says, in however many, as one sentence."""
    text = re.sub(r"[.;]+ (?=[A-Z])", "; ", " ".join(said.split())[-600:])
    return text if text.endswith((".", "?")) else f"{text}."


def away(said: str) -> StackError:
    """Return the error for an engine that does not answer; `said` is a sentence."""
    remedy = "Start it (systemctl start docker, or Docker Desktop)."
    if "permission denied" in said:
        remedy = "Let this user speak to it (sudo usermod -aG docker $USER, then log in again)."
    return StackError(f"Docker's engine must answer; it said: {said} {remedy}")


def _failed(arguments: tuple[str, ...], said: str) -> StackError:
    text = sentence(said)
    # in Docker's own words: a program in a container may be denied something, too
    if any(words in text for words in ("docker daemon", "docker API", "permission denied while trying to connect")):
        return away(text)
    return StackError(f"docker {' '.join(arguments[:2])} must succeed; it said: {text} Correct what it names.")


def _container(plain: Mapping[str, Any]) -> Container:
    return Container(
        service=plain["Service"],
        name=plain["Name"],
        state=plain["State"],
        health=plain.get("Health") or "",
        exit_code=int(plain.get("ExitCode") or 0),
    )


def _no_docker() -> StackError:
    return StackError(
        f"Docker with Compose {COMPOSE_SINCE} or newer must be installed for the stack in containers; found no program "
        "`docker`. Install it, or use the stack without Docker: GAUNTLET_STACK=embedded"
    )
