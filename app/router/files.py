"""Reading a CSV or parquet file into columns; a dirty file is served as it is, as far as it can be read."""

import csv
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from router.columns import NULL, Column, Numbers
from router.specs import DataError, ServedSpec

NULLS = ("", "NA", "N/A", "n/a", "<NA>", "#N/A", "NaN", "nan", "null", "NULL", "None")
LARGEST_WHOLE = 2**53
LONGEST_CELL = 1000


def read_columns(path: Path, spec: ServedSpec) -> list[Column]:
    """The columns that `spec` names: the key first, the others in the order of the file.

    Raises:
        DataError: when the file cannot be read, lacks a column, names one twice, or has no rows.
    """
    parquet = path.suffix in {".parquet", ".pq"}
    try:
        names = pa.parquet.read_schema(path).names if parquet else _header(path)
        wanted = _wanted(names, spec, path)
        table = pa.parquet.read_table(path, columns=wanted, use_threads=False) if parquet else _csv(path, wanted)
        if not table.num_rows:
            raise DataError(f"{path} must hold rows; found none")
        return [_column(table.column(name).combine_chunks(), name, spec) for name in wanted]
    except (pa.ArrowException, OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} must be a readable {'parquet' if parquet else 'CSV'} file: {error}") from error


def _header(path: Path) -> list[str]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        return next(csv.reader(file), [])


def _wanted(names: list[str], spec: ServedSpec, path: Path) -> list[str]:
    missing = [name for name in spec.columns if name not in names]
    if missing:
        listed = ", ".join(missing)
        raise DataError(f"{path} must have the columns that specs/{spec.name}.toml names; missing: {listed}")
    doubled = [name for name in spec.columns if names.count(name) > 1]
    if doubled:
        raise DataError(f"{path} must name each column once; doubled: {', '.join(doubled)}")
    return sorted(spec.columns, key=lambda name: (name != spec.key, names.index(name)))


def _csv(path: Path, wanted: list[str]) -> pa.Table:
    # Everything as text: what is a number is decided cell by cell, so that one bad cell does not spoil the file.
    return pa.csv.read_csv(
        path,
        read_options=pa.csv.ReadOptions(use_threads=False),
        parse_options=pa.csv.ParseOptions(newlines_in_values=True),
        convert_options=pa.csv.ConvertOptions(include_columns=wanted, column_types=dict.fromkeys(wanted, pa.utf8())),
    )


def _column(array: pa.Array, name: str, spec: ServedSpec) -> Column:
    if name in spec.numeric:
        return _number_column(array, name)
    return _text_column(array, name, spec.categorical.get(name, ()))


def _number_column(array: pa.Array, name: str) -> Column:
    if _is_number(array.type):
        numbers = array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        return _numbers(name, numbers, pa.types.is_integer(array.type))
    array = pc.utf8_trim_whitespace(array.cast(pa.utf8()))
    array = pc.if_else(pc.is_in(array, pa.array(NULLS)), None, array)
    try:
        return _numbers(name, array.cast(pa.int64()).cast(pa.float64()).to_numpy(zero_copy_only=False), whole=True)
    except pa.ArrowInvalid:
        return _mixed(name, array)


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _numbers(name: str, numbers: Numbers, whole: bool) -> Column:
    numbers = np.where(np.isfinite(numbers), numbers, np.nan)
    return Column(name, numbers, None, whole=whole and bool((np.abs(numbers) < LARGEST_WHOLE).all()))


def _mixed(name: str, array: pa.Array) -> Column:
    """A number column of texts: what reads as a finite number is one, the other cells stay texts."""
    try:
        numbers = array.cast(pa.float64()).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid:
        numbers = np.array([_number(cell) for cell in array.to_pylist()])
    texts = pc.if_else(pa.array(np.isfinite(numbers)), None, array)
    if texts.null_count == len(texts):
        return _numbers(name, numbers, whole=False)
    rest = _text_column(texts, name, ())
    return Column(name, np.where(np.isfinite(numbers), numbers, np.nan), rest.codes, rest.texts)


def _number(cell: str | None) -> float:
    try:
        return float("nan" if cell is None or "_" in cell else cell)
    except ValueError:
        return float("nan")


def _text_column(array: pa.Array, name: str, categories: tuple[str, ...]) -> Column:
    if pa.types.is_floating(array.type):
        # 1.0 is the category "1": a missing cell made the column of whole numbers one of fractions.
        array = pa.array([_without_fraction(cell) for cell in array.to_pylist()], type=pa.utf8())
    array = array.cast(pa.utf8())
    nulls = [text for text in NULLS if text not in categories]
    array = pc.if_else(pc.is_in(array, pa.array(nulls)), None, array)
    encoded = array.dictionary_encode()
    texts = tuple(encoded.dictionary.to_pylist())
    longest = max(texts, key=len, default="")
    if len(longest) > LONGEST_CELL:
        raise DataError(f"A cell may have {LONGEST_CELL} characters; found {len(longest)} in the column {name}")
    return Column(name, None, encoded.indices.fill_null(NULL).to_numpy().astype(np.int32), texts)


def _without_fraction(cell: float | None) -> str | None:
    if cell is None or np.isnan(cell):
        return None
    return str(int(cell)) if float(cell).is_integer() else str(cell)
