"""Arrow columns of any type as numbers, as positions of categories, as texts, and cut: many cells at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from gauntlet.domain.columns import Floats, category_text
from gauntlet.domain.identity import Codes

NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
"""Text that is a number: not "nan", not "inf"."""

PLAIN = {pa.string_view(): pa.large_string(), pa.binary_view(): pa.large_binary()}
"""Types of which Arrow takes no cells by their places, and those that hold the same."""


def is_text(kind: pa.DataType) -> bool:
    """Tell whether a type holds text."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def is_number(kind: pa.DataType) -> bool:
    """Tell whether a type holds numbers; booleans count as 0 and 1."""
    tests = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_boolean)
    return any(test(kind) for test in tests)


def is_scalar(kind: pa.DataType) -> bool:
    """Tell whether a type holds what can be read as a number or as a category."""
    if pa.types.is_dictionary(kind):
        return is_scalar(kind.value_type)
    return is_text(kind) or is_number(kind) or bool(pa.types.is_null(kind))


def as_floats(array: pa.Array) -> Floats:
    """Return numbers, shape (rows,), NaN for what is missing or is no number; may share the array's memory."""
    kind = array.type
    if pa.types.is_dictionary(kind):
        array = compact(array)
        return np.append(as_floats(array.dictionary), np.nan)[_indices(array)]
    if is_text(kind):
        array = _number_texts(array)
    elif pa.types.is_float16(kind):
        array = array.cast(pa.float32())
    values: Floats = array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return values


def _number_texts(array: pa.Array) -> pa.Array:
    """Return the texts that are numbers, as Arrow reads them; null for others."""
    trimmed = pc.ascii_trim_whitespace(array.cast(pa.large_string()))
    return pc.if_else(pc.match_substring_regex(trimmed, NUMBER), pc.ascii_ltrim(trimmed, "+"), None)


def as_codes(array: pa.Array, categories: Sequence[str]) -> Codes:
    """Return each cell's position among the categories, shape (rows,), -1 for what is missing or none of them.

    Compared are distinct values only; 1, 1.0 and "1" are all "1".
    """
    if pa.types.is_null(array.type):
        return np.full(len(array), -1, dtype=np.int32)
    array = compact(array) if pa.types.is_dictionary(array.type) else _encoded(array)
    levels = array.dictionary
    if not is_text(levels.type):
        levels = _texts(levels)
    found = pc.index_in(levels.cast(pa.large_string()), value_set=pa.array(categories, type=pa.large_string()))
    positions: Codes = np.append(found.fill_null(-1).to_numpy(), -1).astype(np.int32)
    return positions[_indices(array)]


def _encoded(array: pa.Array) -> pa.Array:
    kind = array.type
    if pa.types.is_float16(kind):
        array = array.cast(pa.float32())
    elif pa.types.is_string_view(kind):
        array = array.cast(pa.large_string())
    elif pa.types.is_decimal32(kind) or pa.types.is_decimal64(kind):
        array = array.cast(pa.decimal128(kind.precision, kind.scale))
    return array.dictionary_encode()


def compact(array: pa.DictionaryArray) -> pa.DictionaryArray:
    """Return a dictionary array whose dictionary is not longer than the array: files may share one among pieces."""
    if len(array.dictionary) <= max(len(array), 1):
        return array
    return _encoded(array.dictionary_decode())


def _indices(array: pa.DictionaryArray) -> Codes:
    """Return positions in the dictionary, -1 for null."""
    indices = array.indices
    if indices.null_count:
        indices = indices.cast(pa.int64()).fill_null(-1)
    values: Codes = indices.to_numpy()
    return values


def as_texts(array: pa.Array) -> pa.LargeStringArray:
    """Return cells as text, null where they are missing: 1, 1.0 and "1" are all "1"."""
    kind = array.type
    if pa.types.is_dictionary(kind):
        return as_texts(array.dictionary_decode())
    if is_text(kind) or pa.types.is_integer(kind) or pa.types.is_null(kind):
        return array.cast(pa.large_string())
    return _texts(array)


def _texts(array: pa.Array) -> pa.LargeStringArray:
    texts = [None if value != value else category_text(value) for value in array.to_pylist()]
    return pa.array(texts, type=pa.large_string())


def cut(array: pa.Array, size: int) -> pa.Array:
    """Return texts as bytes, at most `size` of each; other types as they are."""
    if pa.types.is_dictionary(array.type):
        array = compact(array)
        return pa.DictionaryArray.from_arrays(array.indices, cut(array.dictionary, size))
    if not is_text(array.type):
        return array
    return pc.binary_slice(array.cast(pa.large_string()).cast(pa.large_binary()), 0, size)


def rows_at(rows: pa.RecordBatch, places: npt.NDArray[np.intp]) -> pa.RecordBatch:
    """Return the rows at ascending places, whatever the types of their columns."""
    return pa.RecordBatch.from_arrays([_cells_at(column, places) for column in rows.columns], schema=rows.schema)


def _cells_at(array: pa.Array, places: npt.NDArray[np.intp]) -> pa.Array:
    plain = PLAIN.get(array.type)
    if plain is not None:
        return _cells_at(array.cast(plain), places).cast(array.type)
    try:
        return array.take(pa.array(places))
    except pa.ArrowNotImplementedError:  # such types inside of lists and records
        runs = np.split(places, np.flatnonzero(np.diff(places) != 1) + 1)
        return pa.concat_arrays([array.slice(0, 0), *(array.slice(run[0], len(run)) for run in runs if len(run))])
