"""Files that people put on the object store: which there are, their times, and their bytes under their hash."""

from __future__ import annotations

import errno
import hashlib
import re
import tempfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import quote, unquote, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq

from gauntlet.domain.intake import FileRefused
from gauntlet.jobs.keys import kept_key
from gauntlet.jobs.mart_port import BatchKind, InputFile
from gauntlet.jobs.ports import StoreError
from gauntlet.jobs.run import Refused
from gauntlet.jobs.upkeep import CHUNK, USER_FILES, Files, Item, readable, sha256_left

if TYPE_CHECKING:
    from collections.abc import Iterator

DATA = USER_FILES
"""The folder of the object store that is the users': data/SPEC/train and data/SPEC/predict."""

PIECE_ROWS = 131_072
PIECE_BYTES = 64 * 2**20
"""A piece of a file holds at most so many rows, and fewer where they would take more memory than this."""

PROBED = 1024
"""How many rows are read to see how long they are."""

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
DATED = re.compile(r"(?:\w+=)?(\d{4}-\d{2}-\d{2})(?:T(\d{2}))?")


@dataclass(frozen=True)
class Fetched:
    """A file's bytes on the local disk, from their beginning, their SHA-256, and the file with the mark they had."""

    data: BinaryIO
    sha256: str
    file: InputFile


def inbox(files: Files, spec: str, kind: BatchKind) -> list[InputFile]:
    """Return the parquet files in data/SPEC/KIND and its folders, oldest time first.

    What begins with a dot or an underscore is left out: so programs name what they are still writing.
    """
    folder = f"{DATA}/{spec}/{kind}"
    found = [_input_file(files, item) for item in files.items(folder) if _is_input(item.key, folder)]
    return sorted(found, key=lambda file: (file.time, file.key))


def named(files: Files, uri: str) -> InputFile:
    """Return the file that a URI names; Refused when it lies outside the store or is not there."""
    key = _key(files.root, uri)
    if key is None:
        raise Refused(f"a file must lie in the object store, {files.root}; found {uri}. Copy it there.")
    folder = "" if str(PurePosixPath(key).parent) == "." else str(PurePosixPath(key).parent)
    item = next((item for item in files.items(folder) if item.key == key), None)
    if item is None:
        raise _gone(uri)
    return _input_file(files, item)


def file_time(key: str, modified: datetime) -> datetime:
    """Return the time of a file: the date in its innermost dated folder (UTC), else when it was written.

    A dated folder is 2026-11-20 or 2026-11-20T06, with or without a name before it, as in date=2026-11-20.
    """
    for folder in reversed(PurePosixPath(key).parts[:-1]):
        match = DATED.fullmatch(folder)
        if match:
            with suppress(ValueError):  # 2026-13-45 is a name like any other
                return datetime.strptime(f"{match[1]} {match[2] or '00'} +0000", "%Y-%m-%d %H %z")
    return modified


@contextmanager
def fetched(files: Files, file: InputFile, scratch: Path) -> Iterator[Fetched]:
    """Copy a file into the scratch folder, to be read as often as needed; the copy has no name and leaves nothing.

    Raises Refused when the file is gone, StoreError when the disk does not take it.
    """
    with scratch_file(scratch) as copy:
        sha256 = hashlib.sha256()
        room = sized(file.size) if file.size else f"a copy of {file.uri}"
        with writing(scratch, room), files.open(file.key) as opened:
            if opened is None:
                raise _gone(file.uri)
            while chunk := opened.stream.read(CHUNK):
                sha256.update(chunk)
                copy.write(chunk)
            copy.flush()
            read = replace(file, size=copy.tell(), mark=opened.mark or file.mark)
        copy.seek(0)
        yield Fetched(copy, sha256.hexdigest(), read)


@contextmanager
def scratch_file(scratch: Path) -> Iterator[BinaryIO]:
    """Yield an empty file without a name in the scratch folder, made if need be; a kill leaves nothing of it."""
    with writing(scratch, "a file"):
        scratch.mkdir(parents=True, exist_ok=True)
        file = tempfile.TemporaryFile(dir=scratch, prefix="gauntlet-")  # noqa: SIM115 - closed below
    with file:
        yield file


@contextmanager
def writing(scratch: Path, what: str) -> Iterator[None]:
    """Turn the operating system's errors into StoreError, which names the scratch folder and `what` must fit it."""
    try:
        yield
    except OSError as error:
        if error.errno in NO_ROOM:
            raise StoreError(
                f"{scratch} must have room for {what}; found: {error.strerror}. Make room there, or set SCRATCH_DIR to "
                "a larger disk."
            ) from error
        found = f"{error.strerror} at {error.filename}" if error.filename else str(error)
        raise StoreError(
            f"files must be read, and copied into {scratch}; found: {found}. Give access, or set SCRATCH_DIR."
        ) from error


def sized(size: int) -> str:
    """Return a number of bytes, exactly and as people read it."""
    return f"{size:,} bytes ({readable(size)})"


def sha256_of(file: BinaryIO) -> str:
    """Return the SHA-256 (hex) of a file, which is at its beginning again afterwards."""
    file.seek(0)
    sha256 = sha256_left(file)
    file.seek(0)
    return sha256


def keep(files: Files, spec: str, found: Fetched) -> str:
    """Keep a copy of a file under the hash of its content, over one that is there; returns its URI.

    One that is there may be old, and named by nothing any more: written anew it outlasts a pruning under way.
    """
    key = kept_key(spec, found.sha256)
    found.data.seek(0)
    files.write(key, found.data)
    found.data.seek(0)
    return uri_of(files.root, key)


def opened_parquet(data: BinaryIO, name: str) -> pq.ParquetFile:
    """Open a parquet file; FileRefused when it is none, or a damaged one. `name` is what the error calls it."""
    data.seek(0)
    with _whole(name):
        return pq.ParquetFile(data, page_checksum_verification=True)


def pieces(parquet: pq.ParquetFile, name: str) -> Iterator[pa.RecordBatch]:
    """Yield a file's rows in order, in pieces of bounded size; FileRefused where it turns out to be damaged."""
    with _whole(name):
        batches = parquet.iter_batches(batch_size=_piece_rows(parquet))
    while True:
        with _whole(name):
            batch = next(batches, None)
        if batch is None:
            return
        yield batch


def _piece_rows(parquet: pq.ParquetFile) -> int:
    """Return how many rows a piece has: fewer where rows are long, by the file's word and by its first rows."""
    metadata = parquet.metadata
    total = sum(metadata.row_group(number).total_byte_size for number in range(metadata.num_row_groups))
    first = next(parquet.iter_batches(batch_size=PROBED), None)
    per_row = total / max(metadata.num_rows, 1)
    if first is not None and first.num_rows:  # a text that repeats is written once, and read many times
        per_row = max(per_row, first.nbytes / first.num_rows)
    return max(1, min(PIECE_ROWS, int(PIECE_BYTES / max(per_row, 1))))


@contextmanager
def _whole(name: str) -> Iterator[None]:
    """Turn what pyarrow raises where the bytes are not parquet into FileRefused."""
    try:
        yield
    except MemoryError:
        raise  # the machine failed, not the file
    except (pa.ArrowException, OSError, UnicodeError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        first = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise FileRefused(f"a file must be parquet, and whole; {name}: {first}. Write it anew.") from error


def uri_of(root: str, key: str) -> str:
    """Return the URI of a key of the store at `root`."""
    return f"{root}/{quote(key)}" if root.startswith("file:") else f"{root}/{key}"


def _key(root: str, uri: str) -> str | None:
    """Return the key of a URI in the store at `root`; None when it lies outside, or is no URI."""
    if root.startswith("file:"):
        with suppress(ValueError):
            return _path_key(root, uri)
        return None
    key = uri.removeprefix(f"{root}/")
    return key if key not in (uri, "") and ".." not in PurePosixPath(key).parts else None


def _path_key(root: str, uri: str) -> str | None:
    parts = urlsplit(uri)
    if (parts.scheme, parts.query, parts.fragment) != ("file", "", "") or parts.netloc not in ("", "localhost"):
        return None
    path, folder = Path(unquote(parts.path)).resolve(), Path(unquote(urlsplit(root).path))
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) and path != folder else None


def _is_input(key: str, folder: str) -> bool:
    names = PurePosixPath(key).relative_to(folder).parts
    return key.lower().endswith(".parquet") and not any(name.startswith((".", "_")) for name in names)


def _input_file(files: Files, item: Item) -> InputFile:
    uri = uri_of(files.root, item.key)
    return InputFile(uri, item.key, item.size, item.mark, file_time(item.key, item.modified.astimezone(UTC)))


def _gone(uri: str) -> Refused:
    return Refused(f"a file must be there to be read; {uri} is not. Was it moved, or is the name another?")
