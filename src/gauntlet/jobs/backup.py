"""Backup and restore of a whole stack: databases, object store, MLflow's artifacts, in one file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any, BinaryIO, Protocol

from gauntlet.domain.errors import Mendable
from gauntlet.jobs.stack import Say
from gauntlet.jobs.upkeep import Files, Opened

FORMAT = 1
# The ledger comes first: what it names of MLflow is then in MLflow's dump, which is younger.
DATABASES = ("gauntlet", "mlflow", "airflow")
OBJECTS, ARTIFACTS = "objects/", "artifacts/"


class BackupError(Mendable):
    """A backup cannot be made, read or restored; the text says why and what to do."""


@dataclass(frozen=True)
class Origin:
    """A stack as a backup must know it: `form` is embedded or compose, `revision` that of the product's tables.

    `object_store` is the URI of the store's root, by which rows name objects.
    """

    form: str
    product: str
    postgres: int
    revision: str
    airflow: str
    mlflow: str
    object_store: str


@dataclass(frozen=True)
class Manifest:
    """What a backup holds: where it comes from, how many files of each kind, and the SHA-256 (hex) of each member."""

    format: int
    made_at: str
    origin: Origin
    counts: Mapping[str, int]
    sha256: Mapping[str, str]

    def to_json(self) -> str:
        """Return the manifest as text."""
        return json.dumps(asdict(self), indent=1) + "\n"

    @classmethod
    def from_json(cls, text: bytes) -> Manifest:
        """Return the manifest that a text holds; raises BackupError for another format."""
        try:
            plain: dict[str, Any] = json.loads(text)
            if plain["format"] != FORMAT:
                raise BackupError(
                    f"A backup must have format {FORMAT}; this one has {plain['format']}. "
                    "Restore it with the version of Gauntlet that made it, or a newer one."
                )
            return cls(**{**plain, "origin": Origin(**plain["origin"])})
        except (ValueError, TypeError, KeyError) as error:
            raise BackupError(f"A backup's manifest must be readable; found {error!r}. Take another file.") from None


@dataclass(frozen=True)
class Checked:
    """A backup whose every member has been compared with its hash; `identity` is the manifest's own SHA-256."""

    manifest: Manifest
    identity: str


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

    def load(self, database: str, packed: BinaryIO) -> None:
        """Load a dump into an empty database, whole or not at all."""
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


def back_up(
    archive: Archive,
    origin: Origin,
    dumps: Dumps,
    objects: Files,
    artifacts: Files,
    still: AbstractContextManager[object],
    now: str,
    say: Say,
) -> Manifest:
    """Write a backup of a stack that may go on working.

    Databases first, objects after: an object is stored before the row that names it and never changes, so whatever the
    dumps name is there to be copied. Under `still` no alias moves: else MLflow's dump could show a promotion that the
    ledger's, a second older, does not know, and the restored stack would take it for one made by hand.
    """
    sha256: dict[str, str] = {}
    with still:
        for database in DATABASES:
            with dumps.dump(database) as opened:
                sha256[_dump_name(database)] = archive.add(_dump_name(database), opened)
                say(f"database {database}: {readable(opened.size)}")
    counts = {"databases": len(DATABASES)}
    for kind, files in ((OBJECTS, objects), (ARTIFACTS, artifacts)):
        added = _add_files(archive, kind, files, sha256)
        counts[kind.rstrip("/")] = added
        say(f"{kind.rstrip('/')}: {added} files")
    manifest = Manifest(FORMAT, now, origin, counts, sha256)
    say(f"written: {readable(archive.finish(manifest))}")
    return manifest


def restore(
    backup: Backup,
    here: Origin,
    known_revisions: frozenset[str],
    dumps: Dumps,
    objects: Files,
    artifacts: Files,
    standby: Standby,
    services: Services,
    remedy: str,
    say: Say,
) -> None:
    """Restore a backup into an empty stack; killed half way it can be run again.

    Nothing is changed before the whole file was checked. The stack's own databases stay as they are until everything
    else is in place. Raises BackupError for a stack that is not empty; `remedy` says how to empty it.
    """
    say("checking the whole file")
    checked = backup.check()
    require_fit(checked.manifest, here, known_revisions)
    _require_room(standby.state(checked.identity), remedy)
    services.pause()
    try:
        # once more, now that nothing works: a run may have ended meanwhile
        if _require_room(standby.state(checked.identity), remedy) is State.DONE:
            say("the databases were restored before; ending that restore")
        else:
            _fill(backup, checked.manifest.origin.object_store, dumps, objects, artifacts, standby, say)
            standby.swap(checked.identity)
            say("the restored databases are in place")
        standby.clean()
    except BaseException:
        say("stopped half way; starting the services again")
        with suppress(Mendable):
            services.resume()
        raise
    services.resume()


def require_fit(manifest: Manifest, here: Origin, known_revisions: frozenset[str]) -> None:
    """Raise BackupError for a backup that a newer version made: its tables are not known here."""
    there = manifest.origin
    newer = [
        f"{name} {old} (here {new})"
        for name, old, new in (("Airflow", there.airflow, here.airflow), ("MLflow", there.mlflow, here.mlflow))
        if _parts(old) > _parts(new)
    ]
    if there.revision not in known_revisions:
        newer.append(f"Gauntlet's tables at revision {there.revision} (here {here.revision})")
    if newer:
        raise BackupError(
            f"A backup must be of this version or an older one; this one is of {there.product}, with "
            f"{', '.join(newer)}. Restore it with that version of Gauntlet, or a newer one."
        )


def readable(size: int) -> str:
    """Return a number of bytes as people read it."""
    amount, unit = float(size), "bytes"
    for larger in ("kB", "MB", "GB", "TB"):
        if amount < 1000:
            break
        amount, unit = amount / 1000, larger
    return f"{amount:.0f} {unit}" if unit == "bytes" else f"{amount:.1f} {unit}"


def is_member(name: str) -> bool:
    """Say whether a backup may hold a member of that name: one of its databases, or a file inside one of its stores."""
    if name in {_dump_name(database) for database in DATABASES}:
        return True
    kind, _, key = name.partition("/")
    parts = key.split("/")
    return f"{kind}/" in (OBJECTS, ARTIFACTS) and all(part not in ("", ".", "..") for part in parts)


def _dump_name(database: str) -> str:
    return f"databases/{database}.sql.gz"


def _add_files(archive: Archive, kind: str, files: Files, sha256: dict[str, str]) -> int:
    added = 0
    for item in files.items():
        with files.open(item.key) as opened:
            if opened is not None:  # else pruned meanwhile, so nothing names it
                sha256[kind + item.key] = archive.add(kind + item.key, opened)
                added += 1
    return added


def _require_room(state: State, remedy: str) -> State:
    if state is State.OCCUPIED:
        raise BackupError(
            "A backup is restored into an empty stack only; this one has versions, verdicts or registered models. "
            f"If they may be lost, {remedy}"
        )
    return state


def _fill(
    backup: Backup, old_root: str, dumps: Dumps, objects: Files, artifacts: Files, standby: Standby, say: Say
) -> None:
    databases = standby.prepare()
    count = {OBJECTS: 0, ARTIFACTS: 0}
    for name, stream in backup.members():
        kind, _, key = name.partition("/")
        if kind == "databases":
            database = key.removesuffix(".sql.gz")
            dumps.load(databases[database], stream)
            say(f"database {database}: loaded beside the present one")
        else:
            (objects if f"{kind}/" == OBJECTS else artifacts).write(key, stream)
            count[f"{kind}/"] += 1
    say(f"{count[OBJECTS]} objects and {count[ARTIFACTS]} artifacts are back")
    if old_root != objects.root:
        say(f"{standby.move_root(old_root, objects.root)} rows now say {objects.root} in place of {old_root}")


def _parts(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])
