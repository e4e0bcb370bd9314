"""Files that people hand to a command: tables in CSV or parquet, policies in TOML, and the page that comes of them."""

from __future__ import annotations

import tomllib
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from gauntlet.domain.errors import Final

OTHER_MARKS = {";": "semicolons", "\t": "tabs"}


class TableError(Final):
    """A file is no table that can be read."""


def read_table(path: Path) -> pd.DataFrame:
    """Return the table in a CSV (UTF-8, commas, with a header; also .csv.gz) or parquet file, numbered from 0.

    Raises TableError when the file is missing, of another kind, damaged, has a column name twice, or has no rows.
    """
    readers = {".csv": _csv, ".csv.gz": _csv, ".parquet": _parquet}
    reader = next((one for ending, one in readers.items() if path.name.lower().endswith(ending)), None)
    if reader is None:
        raise TableError(
            f"a table must be a .csv, .csv.gz or .parquet file; found {path.name}. Convert it, or rename it."
        )
    try:
        frame = reader(path)
    except FileNotFoundError:
        raise TableError(f"a table must exist; there is no {path}. Check the name.") from None
    except OSError as error:
        if error.errno is None:  # pyarrow says so when the bytes are not parquet
            raise _damaged(path, error) from None
        raise TableError(
            f"a table must be readable; {path}: {error.strerror}. Name a file that you may read."
        ) from None
    except (EOFError, zlib.error, ValueError, pa.ArrowException) as error:  # pandas' and Unicode's are ValueErrors
        raise _damaged(path, error) from None
    if frame.empty:
        raise TableError(f"a table must have rows and columns; {path} has none. Write the rows into it.")
    return frame


def read_toml(path: Path) -> dict[str, Any]:
    """Return what a TOML file holds; raises TableError when it is missing or no TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise TableError(f"{path} must be a file that you may read; {error.strerror}. Check the name.") from None
    except (ValueError, RecursionError) as error:
        raise TableError(f"{path} must be TOML in UTF-8; found: {error}. Mend the file at that place.") from None


def write_whole(path: Path, text: str) -> None:
    """Write a text file whole or not at all; raises OSError with the file's name. What is no file is written into."""
    if path.exists() and not path.is_file():
        path.write_text(text, encoding="utf-8")
        return
    beside = path.with_name(f".{path.name}.part")
    try:
        beside.write_text(text, encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        with suppress(OSError):
            beside.unlink()
        raise OSError(error.errno, error.strerror, str(path)) from None


def _csv(path: Path) -> pd.DataFrame:
    header = pd.read_csv(path, header=None, nrows=1, dtype=str, keep_default_na=False)
    names = [str(name) for name in header.iloc[0]]
    _require_commas(path, names)
    _require_unique(path, names)
    frame = pd.read_csv(path, low_memory=False)
    if not isinstance(frame.index, pd.RangeIndex):  # pandas would take the first column for an index
        raise ValueError("lines have more fields than the header")  # noqa: TRY004 - as pandas has it
    return frame


def _parquet(path: Path) -> pd.DataFrame:
    if path.is_dir():
        raise IsADirectoryError(21, "it is a folder", str(path))
    with path.open("rb") as file:
        table = pq.read_table(file)
    _require_unique(path, [str(name) for name in table.column_names])
    frame: pd.DataFrame = table.to_pandas()
    kept = [name for name in frame.index.names if name is not None]  # pandas saves an index as columns of their own
    return frame.reset_index(kept) if kept else frame.reset_index(drop=True)


def _require_commas(path: Path, names: list[str]) -> None:
    if len(names) != 1 or not names[0].replace("\t", " ").isprintable():  # several columns, or bytes that are no text
        return
    found = next((word for mark, word in OTHER_MARKS.items() if mark in names[0]), None)
    if found:
        raise TableError(f"commas must part the columns of a CSV file; {path} has {found}. Save it with commas.")


def _require_unique(path: Path, names: list[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise TableError(f"each column must have a name of its own; {path} has {', '.join(twice)} twice. Rename one.")


def _damaged(path: Path, error: Exception) -> TableError:
    first = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
    kind = "parquet" if path.suffix.lower() == ".parquet" else "csv"
    remedy = "Save it as UTF-8." if isinstance(error, UnicodeDecodeError) else "Save it anew."
    return TableError(f"{path} must be a {kind} table; found: {first}. {remedy}")
