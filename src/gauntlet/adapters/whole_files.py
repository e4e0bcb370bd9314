"""Files that a command writes piece by piece and that are seen only when they are whole."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from gauntlet.adapters.tables import TableError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

OPEN_TO_ALL = 0o666


@contextmanager
def writing_whole(path: Path) -> Iterator[BinaryIO]:
    """Yield a file that takes the place of `path` when the block ends well; else nothing is left of it.

    Raises TableError where nothing can be written.
    """
    if path.exists() and not path.is_file():
        raise TableError(f"a file to write must be a file; {path} is none. Name another one.")
    try:
        handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    except OSError as error:
        raise _not_writable(path, error) from None
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        Path(beside).chmod(OPEN_TO_ALL & ~_umask())
        Path(beside).replace(path)
    except OSError as error:
        raise _not_writable(path, error) from error
    finally:
        with suppress(FileNotFoundError):
            Path(beside).unlink()


@contextmanager
def rows_file(path: Path, schema: pa.Schema) -> Iterator[pq.ParquetWriter | pa_csv.CSVWriter]:
    """Yield what writes rows into a file, seen when it is whole; parquet or CSV, by the file's name."""
    writer = {".parquet": pq.ParquetWriter, ".csv": pa_csv.CSVWriter}.get(path.suffix.lower())
    if writer is None:
        raise TableError(f"a table must be a .csv or .parquet file; found {path.name}. Rename it.")
    with writing_whole(path) as file, writer(file, schema) as rows:
        yield rows


def _umask() -> int:
    """Return which rights new files do not get; the system tells only who sets it."""
    present = os.umask(0o077)
    os.umask(present)
    return present


def _not_writable(path: Path, error: OSError) -> TableError:
    return TableError(f"{path} must be writable; found: {error.strerror or error}. Name a file that you may write.")
