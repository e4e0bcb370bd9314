"""Backup and restore of a whole stack: databases, object store, MLflow's artifacts, in one file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from enum import Enum
from typing import BinaryIO, Protocol

from gauntlet.domain.errors import Mendable
from gauntlet.jobs.manifest import (
    ARTIFACTS,
    DATABASES,
    FORMAT,
    OBJECTS,
    BackupError,
    Checked,
    Manifest,
    Origin,
    dump_name,
    require_fit,
)
from gauntlet.jobs.prune import Names
from gauntlet.jobs.stack import Say
from gauntlet.jobs.upkeep import Files, Opened, is_task_log, readable


class Archive(Protocol):
    """The file of a backup that is being written; it appears under its name when the manifest is in."""

    def add(self, name: str, opened: Opened) -> str:
        """Add a member and return its SHA-256."""
        ...

    def finish(self, manifest: Manifest) -> int:
        """Add the manifest, give the file its name, and return its size in bytes."""
        ...


class Backup(Protocol):
    """The file of a backup that is being read."""

    def check(self) -> Checked:
        """Read the whole file; raises BackupError unless it is whole and every hash is right."""
        ...

    def members(self) -> Iterator[tuple[str, BinaryIO]]:
        """Yield each member but the manifest: its name and its bytes, to be read before the next one."""
        ...


class Dumps(Protocol):
    """Databases as plain SQL, packed by gzip."""

    def dump(self, database: str) -> AbstractContextManager[Opened]:
        """Dump a database as it is at one moment."""
        ...

    def load(self, database: str, packed: BinaryIO, owner: str) -> None:
        """Load a dump into an empty database, as its owner, whole or not at all."""
        ...


class State(Enum):
    """What a restore finds: nothing, work of others, or that it was done before and only has to be ended."""

    EMPTY = "empty"
    OCCUPIED = "occupied"
    DONE = "done"


class Standby(Protocol):
    """Databases beside the stack's own, filled while those stay as they are, then put in their place all at once."""

    def state(self, identity: str) -> State:
        """Say whether a restore of the backup of that identity may begin."""
        ...

    def prepare(self) -> Mapping[str, str]:
        """Make an empty standby of each database, dropping what an earlier try left; returns their names."""
        ...

    def revision(self) -> str | None:
        """The revision of the product's tables in their standby; None when there are none."""
        ...

    def move_root(self, old: str, new: str) -> int:
        """Let the rows of the standbys name objects under another root; returns how many rows were changed."""
        ...

    def swap(self, identity: str) -> None:
        """Put the standbys in the place of the stack's databases, in one transaction."""
        ...

    def clean(self) -> None:
        """Drop the databases that were replaced, and standbys left over."""
        ...


class Services(Protocol):
    """The services that use the databases."""

    def pause(self) -> None:
        """Stop all but Postgres and the object store."""
        ...

    def resume(self) -> None:
        """Start everything that does not run; migrates what is older than this version."""
        ...


@dataclass(frozen=True)
class Parts:
    """What a backup is made of: files of both stores, and databases as text."""

    objects: Files
    artifacts: Files
    dumps: Dumps


@dataclass(frozen=True)
class Target:
    """The stack that a backup is restored into; `emptying` tells its user how to make it an empty one."""

    origin: Origin
    known_revisions: frozenset[str]
    emptying: str


def back_up(
    archive: Archive,
    origin: Origin,
    parts: Parts,
    still: AbstractContextManager[object],
    ledger: Names,
    now: str,
    say: Say,
) -> Manifest:
    """Write a backup of a stack that may go on working.

    Databases first, objects after: an object is stored before the row that names it and never changes, so whatever the
    dumps name is there to be copied. Under `still` no alias moves: else MLflow's dump could show a promotion that the
    ledger's, a second older, does not know, and the restored stack would take it for one made by hand. What the ledger
    names and the store lacks is told, and the backup written all the same.
    """
    sha256: dict[str, str] = {}
    with still:
        for database in DATABASES:
            with parts.dumps.dump(database) as opened:
                sha256[dump_name(database)] = archive.add(dump_name(database), opened)
                say(f"database {database}: {readable(opened.size)}")
    named = ledger.named().objects
    counts = {"databases": len(DATABASES)}
    for kind, files in ((OBJECTS, parts.objects), (ARTIFACTS, parts.artifacts)):
        added = _add_files(archive, kind, files, sha256)
        counts[kind.rstrip("/")] = added
        say(f"{kind.rstrip('/')}: {added} files")
    if missing := sorted(named - {name.rpartition("/")[2] for name in sha256 if name.startswith(OBJECTS)}):
        say(f"warning: the store lacks {len(missing)} objects that the ledger names, so this backup does: {missing[0]}")
    manifest = Manifest(FORMAT, now, origin, counts, sha256)
    say(f"written: {readable(archive.finish(manifest))}")
    return manifest


def restore(backup: Backup, target: Target, parts: Parts, standby: Standby, services: Services, say: Say) -> None:
    """Restore a backup into an empty stack; killed half way it can be run again.

    Nothing is changed before the whole file was checked. The stack's own databases stay as they are until everything
    else is in place. Raises BackupError for a stack that is not empty.
    """
    say("checking the whole file")
    checked = backup.check()
    require_fit(checked.manifest, target.origin, target.known_revisions)
    _require_room(standby.state(checked.identity), target.emptying)
    try:
        services.pause()
        # once more, now that nothing works: a run may have ended meanwhile
        if _require_room(standby.state(checked.identity), target.emptying) is State.DONE:
            say("the databases were restored before; ending that restore")
        else:
            _fill(backup, checked.manifest.origin, parts, standby, say)
            standby.swap(checked.identity)
            say("the restored databases are in place")
        standby.clean()
    except BaseException:
        say("stopped half way; starting the services again")
        with suppress(Mendable):
            services.resume()
        raise
    services.resume()


def _add_files(archive: Archive, kind: str, files: Files, sha256: dict[str, str]) -> int:
    added = 0
    for item in files.items():
        if kind == OBJECTS and is_task_log(item):
            continue
        with files.open(item.key) as opened:
            if opened is not None:  # else pruned meanwhile, so nothing names it
                sha256[kind + item.key] = archive.add(kind + item.key, opened)
                added += 1
    return added


def _require_room(state: State, emptying: str) -> State:
    if state is State.OCCUPIED:
        raise BackupError(
            "A backup is restored into an empty stack only; this one has versions, verdicts or registered models. "
            f"If they may be lost, {emptying}"
        )
    return state


def _fill(backup: Backup, origin: Origin, parts: Parts, standby: Standby, say: Say) -> None:
    databases = standby.prepare()
    count = {OBJECTS: 0, ARTIFACTS: 0}
    for name, stream in backup.members():
        kind, _, key = name.partition("/")
        if kind == "databases":
            database = key.removesuffix(".sql.gz")
            parts.dumps.load(databases[database], stream, owner=database)
            say(f"database {database}: loaded beside the present one")
        else:
            (parts.objects if f"{kind}/" == OBJECTS else parts.artifacts).write(key, stream)
            count[f"{kind}/"] += 1
    say(f"{count[OBJECTS]} objects and {count[ARTIFACTS]} artifacts are back")
    if (found := standby.revision()) != origin.revision:
        raise BackupError(
            f"The tables in a backup must be at the revision that its manifest names, {origin.revision}; "
            f"found {found}. Take another copy of it."
        )
    old_root, root = origin.object_store, parts.objects.root
    if old_root != root:
        say(f"{standby.move_root(old_root, root)} rows now say {root} in place of {old_root}")
