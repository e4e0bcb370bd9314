"""A backup's file: a tar whose last member is the manifest, with the SHA-256 of every other one."""

from __future__ import annotations

import fcntl
import gzip
import hashlib
import io
import os
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, BinaryIO, cast

from gauntlet.adapters.disk import room_for
from gauntlet.adapters.plain_sql import plain_sql
from gauntlet.jobs.manifest import DATABASES, MANIFEST_LIMIT, BackupError, Checked, Manifest, dump_name, is_member
from gauntlet.jobs.upkeep import Opened

MANIFEST = "manifest.json"
PIECE = 1 << 20


class ArchiveWriter:
    """A backup on its way to disk: FILE.part until it is whole, readable by its owner alone."""

    def __init__(self, path: Path, part: Path, file: BinaryIO) -> None:
        self._path, self._part, self._file = path, part, file
        self._tar = tarfile.open(fileobj=file, mode="w|", format=tarfile.PAX_FORMAT)  # noqa: SIM115 - closed by finish
        self._done = False

    def add(self, name: str, opened: Opened) -> str:
        """Copy a member in pieces and return its SHA-256; raises BackupError when the disk is full."""
        reader = _Hashing(opened.stream)
        member = tarfile.TarInfo(name)
        member.size, member.mode = opened.size, 0o600
        with room_for(self._path):
            self._tar.addfile(member, cast("IO[bytes]", reader))
        return reader.sha256

    def finish(self, manifest: Manifest) -> int:
        """Add the manifest and give the file its name; returns its size in bytes."""
        text = manifest.to_json().encode()
        if len(text) > MANIFEST_LIMIT:
            raise BackupError(
                f"A backup's manifest must have at most {MANIFEST_LIMIT} bytes; found {len(text)}, as there are "
                f"{len(manifest.sha256)} files. Remove old ones: gauntlet prune"
            )
        self.add(MANIFEST, Opened(len(text), io.BytesIO(text)))
        with room_for(self._path):
            self._tar.close()
            self._file.flush()
            os.fsync(self._file.fileno())
        self._part.replace(self._path)
        self._done = True
        return self._path.stat().st_size

    def close(self) -> None:
        """Close the file, and remove it unless it is whole: before it is closed, as the lock ends then."""
        if not self._done:
            with suppress(OSError):
                self._part.unlink()
        with suppress(OSError):  # what is left to write has no room either
            self._tar.close()
        with suppress(OSError):
            self._file.close()


@contextmanager
def new_archive(path: Path, *, force: bool) -> Iterator[ArchiveWriter]:
    """Open the file of a new backup; nothing of it is left when the block fails.

    Raises BackupError for a file that is there, unless `force`, while another backup writes it, and when the disk does
    not take it.
    """
    part = path.with_name(f"{path.name}.part")
    _require_new(path, force=force)
    writer = ArchiveWriter(path, part, _locked(part))
    try:
        _require_new(path, force=force)  # once more: another backup may have ended before the lock was ours
        yield writer
    finally:
        writer.close()


def _require_new(path: Path, *, force: bool) -> None:
    if path.exists() and not force:
        raise BackupError(f"A backup must not overwrite another file; {path} is there. Name another, or say --force.")


def _locked(part: Path) -> BinaryIO:
    """Open the file empty, as the only one who writes it; what a killed backup left is written over."""
    while True:
        try:
            handle = os.open(part, os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise BackupError(
                f"A backup must be able to write {part}; found {error.strerror}. Name another."
            ) from error
        file = os.fdopen(handle, "wb")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(part, handle):
                _make_private(part, handle)
                return file
        except BlockingIOError:
            file.close()
            raise BackupError(
                f"One backup must be done before another writes the same file; one is writing {part}. Wait for its end."
            ) from None
        except BaseException:
            file.close()
            raise
        file.close()  # renamed or removed by the one who had it


def _is_at(part: Path, handle: int) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), part.stat())
    except FileNotFoundError:
        return False


def _make_private(part: Path, handle: int) -> None:
    if os.fstat(handle).st_uid != os.geteuid():
        raise BackupError(f"A backup must be its owner's alone; {part} belongs to another user. Remove it.")
    os.fchmod(handle, 0o600)
    os.ftruncate(handle, 0)


class ArchiveReader:
    """A backup on disk, read from its beginning each time."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def check(self) -> Checked:
        """Read the whole file, compare every member with its hash, and look through the dumps."""
        found: dict[str, str] = {}
        text = b""
        dumps = {dump_name(database) for database in DATABASES}
        for name, stream in self._all():
            if name in found or (text and name == MANIFEST):
                raise self._damaged(f"it holds {name!r} twice")
            if name == MANIFEST:
                text = stream.read(MANIFEST_LIMIT + 1)
                if len(text) > MANIFEST_LIMIT:
                    raise self._damaged(f"its manifest has more than {MANIFEST_LIMIT} bytes")
                continue
            if name in dumps:
                self._look_through(name, stream)
            while stream.read(PIECE):
                pass
            found[name] = stream.sha256
        if not text:
            raise self._damaged("its manifest is missing, so it was cut off")
        manifest = Manifest.from_json(text)
        wrong = sorted(
            name for name in found.keys() | manifest.sha256.keys() if found.get(name) != manifest.sha256.get(name)
        )
        if wrong:
            raise self._damaged(f"{len(wrong)} members differ from the manifest, among them {wrong[0]!r}")
        if lacking := sorted(dumps - found.keys()):
            raise self._damaged(f"it lacks {lacking[0]}")
        return Checked(manifest, hashlib.sha256(text).hexdigest())

    def members(self) -> Iterator[tuple[str, BinaryIO]]:
        """Yield each member but the manifest."""
        return ((name, cast("BinaryIO", stream)) for name, stream in self._all() if name != MANIFEST)

    def _look_through(self, name: str, packed: _Hashing) -> None:
        """Raise BackupError for a dump that is not packed, or holds commands."""
        try:
            with gzip.GzipFile(fileobj=cast("BinaryIO", packed), mode="rb") as plain:
                for _ in plain_sql(cast("BinaryIO", plain)):
                    pass
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise self._damaged(f"{name} cannot be unpacked ({error})") from error

    def _all(self) -> Iterator[tuple[str, _Hashing]]:
        try:
            with tarfile.open(self._path, mode="r|") as tar:
                for member in tar:
                    stream = tar.extractfile(member) if member.isreg() else None
                    if stream is None or not (member.name == MANIFEST or is_member(member.name)):
                        raise self._damaged(f"it holds {member.name!r}, which no backup does")
                    # Not the tar's own stream: it says that it can be searched, and fails when it is.
                    yield member.name, _Hashing(stream, self._damaged)
        except tarfile.TarError as error:
            raise self._damaged(str(error)) from error

    def _damaged(self, found: str) -> BackupError:
        return BackupError(f"{self._path} must be a whole backup; {found}. Take another copy of it.")


class _Hashing:
    """A stream that can only be read, and knows the SHA-256 of what was read from it.

    A tar that ends inside a member is told by `damaged`.
    """

    def __init__(self, stream: IO[bytes], damaged: Callable[[str], Exception] = BackupError) -> None:
        self._stream = stream
        self._damaged = damaged
        self._hash = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        try:
            data = self._stream.read(size)
        except tarfile.TarError as error:
            raise self._damaged(str(error)) from error
        self._hash.update(data)
        return data

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()
