"""The stack in containers while it is backed up, restored or pruned: programs and log files inside of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from gauntlet.compose.docker import UP, DockerCompose
from gauntlet.compose.project import MINIO, POSTGRES
from gauntlet.compose.stack import ComposeStack
from gauntlet.jobs.stack import StackError
from gauntlet.jobs.upkeep import Item, Programs

# what holds data rather than uses the databases
_KEPT = (POSTGRES, MINIO)
_LOGS = "/var/log/gauntlet"
_LOG_SERVICE = "airflow-scheduler"


def programs(docker: DockerCompose) -> Programs:
    """Return pg_dump and psql in the container, over its local socket, so that no password is needed."""
    inside = ["docker", "compose", "exec", "-T", POSTGRES]
    return Programs(
        commands={name: [*inside, name, "--username=postgres"] for name in ("pg_dump", "psql")},
        env=docker.env,
        cwd=docker.root,
    )


def pause(stack: ComposeStack, say: Callable[[str], None]) -> None:
    """Stop every service but Postgres and the object store."""
    others = [service for service in stack.services if service not in _KEPT]
    say(f"stopping {', '.join(others)}")
    if stack.docker.shown("stop", *others) != 0:
        raise StackError(
            "docker compose stop must succeed; what it said stands above. Correct what it names, then restore again."
        )


def runs(docker: DockerCompose, service: str) -> bool:
    """Say whether a container of that service runs."""
    return any(each.service == service and each.state == "running" for each in docker.containers())


@dataclass(frozen=True)
class TaskLogs:
    """The log files of Airflow's tasks, in their volume."""

    docker: DockerCompose

    def old(self, before: datetime) -> list[Item]:
        """Return the files last written before a time."""
        found = self._find(before, "-printf", r"%s %T@ %P\n")
        items = (line.split(" ", 2) for line in found.splitlines())
        return [Item(path, int(size), datetime.fromtimestamp(float(at), UTC)) for size, at, path in items]

    def delete(self, before: datetime) -> None:
        """Delete them, and folders that are empty after."""
        self._find(before, "-delete")
        self._run("find", _LOGS, "-mindepth", "1", "-type", "d", "-empty", "-mmin", "+60", "-delete")

    def _find(self, before: datetime, *action: str) -> str:
        return self._run("find", _LOGS, "-type", "f", "-not", "-newermt", f"@{before.timestamp():.0f}", *action)

    def _run(self, *command: str) -> str:
        if not runs(self.docker, _LOG_SERVICE):
            raise StackError(
                f"{_LOG_SERVICE} must run, as task logs are reached through it; it does not. Start it: {UP}"
            )
        return self.docker.output("exec", "-T", _LOG_SERVICE, *command)
