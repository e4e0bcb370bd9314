"""`docker compose` in the repository's folder."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gauntlet.jobs.stack import StackError


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

    def shown(self, *arguments: str) -> int:
        """Run a command whose output the user sees, and return its exit code."""
        return self._run(arguments, capture=False).returncode

    def output(self, *arguments: str) -> str:
        """Return what a command prints; raises StackError with what it said when it fails."""
        done = self._run(arguments, capture=True)
        if done.returncode != 0:
            raise StackError(f"docker compose {arguments[0]} must succeed; it said: {done.stderr.strip()[-1500:]}")
        return str(done.stdout)

    def containers(self) -> list[Container]:
        """Return every container of the project, those that have ended as well."""
        # newer versions print a line for each container, older ones a list
        text = self.output("ps", "--all", "--format", "json").strip()
        found = json.loads(text) if text.startswith("[") else [json.loads(line) for line in text.splitlines()]
        return [_container(each) for each in found]

    def lines(self, *arguments: str) -> Iterator[str]:
        """Yield the lines that a command prints, as they come."""
        with self._popen(arguments) as process:
            assert process.stdout is not None  # noqa: S101 - it is a pipe
            try:
                for line in process.stdout:
                    yield line.rstrip("\n")
            finally:
                process.terminate()

    def _run(self, arguments: tuple[str, ...], *, capture: bool) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(  # noqa: S603
                self._command(arguments), cwd=self.root, env=dict(self.env), stdin=subprocess.DEVNULL,
                capture_output=capture, text=True, check=False,
            )  # fmt: skip
        except FileNotFoundError:
            raise _no_docker() from None

    def _popen(self, arguments: tuple[str, ...]) -> subprocess.Popen[str]:
        try:
            return subprocess.Popen(  # noqa: S603
                self._command(arguments), cwd=self.root, env=dict(self.env), stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            )  # fmt: skip
        except FileNotFoundError:
            raise _no_docker() from None

    def _command(self, arguments: tuple[str, ...]) -> list[str]:
        return ["docker", "compose", *arguments]


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
        "Docker with Compose 2.20 or newer must be installed to work with the stack in containers; found no program "
        "`docker`. Install it, or use the stack without Docker: GAUNTLET_STACK=embedded"
    )
