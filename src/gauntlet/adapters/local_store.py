"""Immutable objects in a folder, named by their content."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

from gauntlet.adapters.object_names import checked, gone, key_of, outside
from gauntlet.jobs.ports import ServiceAway, Stored, StoreError
from gauntlet.jobs.upkeep import Item, Opened

PART = ".part"


class LocalStore:
    """Objects as files under one folder, with file:// URIs."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()

    def put(self, folder: str, suffix: str, data: bytes) -> Stored:
        """Store bytes whole or not at all; raises StoreError when the disk does not take them."""
        sha256 = hashlib.sha256(data).hexdigest()
        path = self._root / key_of(folder, sha256, suffix)
        try:
            if _holds(path, data):
                os.utime(path)  # in use again: the next prune must take it for new
            else:
                _write(path, lambda file: file.write(data))
        except OSError as error:
            found = f"{error.strerror} at {path}"
            raise StoreError(f"{len(data)} bytes must fit the object store; found {found}. Make room there.") from error
        return Stored(path.as_uri(), sha256)

    def get(self, stored: Stored) -> bytes:
        """Fetch an object; raises StoreError when it is gone, has changed, or lies outside the store."""
        path = self._path(stored.uri)
        try:
            data = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise gone(stored) from None
        except OSError as error:
            raise ServiceAway(f"{stored.uri} must be readable; found {error.strerror}. Give back access.") from error
        return checked(stored, data)

    @property
    def root(self) -> str:
        """The URI of the folder."""
        return self._root.as_uri()

    def items(self, folder: str = "") -> Iterator[Item]:
        """Yield every file, or those in a folder; not those that are still being written."""
        for path in sorted(self._inside(folder).rglob("*")):
            try:
                if path.is_symlink() or not path.is_file() or (path.name.startswith(".") and path.suffix == PART):
                    continue
                found = path.stat()
            except FileNotFoundError:
                continue
            key = path.relative_to(self._root).as_posix()
            yield Item(key, found.st_size, datetime.fromtimestamp(found.st_mtime, UTC), _mark(found))

    @contextmanager
    def open(self, key: str) -> Iterator[Opened | None]:
        """Open a file for reading; None when it is gone."""
        try:
            file = self._inside(key).open("rb")
        except FileNotFoundError:
            yield None
            return
        with file:
            found = os.fstat(file.fileno())
            yield Opened(found.st_size, file, _mark(found))

    def write(self, key: str, stream: BinaryIO) -> None:
        """Write a file whole or not at all; raises StoreError when the disk does not take it."""
        path = self._inside(key)
        try:
            _write(path, lambda file: shutil.copyfileobj(stream, file))
        except OSError as error:
            found = f"{error.strerror} at {path}"
            raise StoreError(f"{key} must fit the object store; found {found}. Make room there.") from error

    def delete(self, key: str, before: datetime) -> bool:
        """Delete a file unless it was put again meanwhile."""
        path = self._inside(key)
        with suppress(FileNotFoundError):
            if path.stat().st_mtime >= before.timestamp():
                return False
            path.unlink()
        return True

    def delete_folder(self, folder: str) -> None:
        """Delete everything in a folder."""
        if not folder.strip("/"):
            raise ValueError("a folder inside the store must be named; found its root. Name the folder.")
        with suppress(FileNotFoundError):
            shutil.rmtree(self._inside(folder))

    def _inside(self, key: str) -> Path:
        path = self._root / key
        if not path.resolve().is_relative_to(self._root):
            raise outside(key, self._root.as_uri())
        return path

    def _path(self, uri: str) -> Path:
        try:
            parts = urlsplit(uri)
            path = Path(unquote(parts.path)).resolve()
        except ValueError:  # no URI at all, or a name that no file can have
            raise outside(uri, self._root.as_uri()) from None
        if parts.scheme != "file" or parts.netloc not in ("", "localhost") or not path.is_relative_to(self._root):
            raise outside(uri, self._root.as_uri())
        return path


def _mark(found: os.stat_result) -> str:
    return f"{found.st_size}-{found.st_mtime_ns}-{found.st_ino}"


def _holds(path: Path, data: bytes) -> bool:
    """Say whether the file is there and whole: a damaged one is written again."""
    return path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data


def _write(path: Path, fill: Callable[[BinaryIO], object]) -> None:
    """Write beside the place, then rename: nobody ever sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=PART)
    try:
        with os.fdopen(handle, "wb") as file:
            fill(file)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(temporary).unlink()
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make a rename outlast a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
