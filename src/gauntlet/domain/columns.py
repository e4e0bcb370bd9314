"""One column of any dtype, read as numbers or as categories; what does not fit is told apart from what is missing."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Counts = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.float64 | np.int64]


class NumberColumn(NamedTuple):
    """Numbers, shape (rows,); what `values` holds where one is missing or a misfit means nothing."""

    values: Numbers
    missing: Mask
    misfit: Mask

    @property
    def present(self) -> Numbers:
        """The numbers that are there: int64 when all of the column's are whole, so that those beyond 2^53 differ."""
        return self.values[~(self.missing | self.misfit)]

    @property
    def floats(self) -> Floats:
        """All rows as float64, shape (rows,), NaN where there is no number."""
        values = self.values.astype(np.float64)
        values[self.missing | self.misfit] = np.nan
        return values


class CategoryColumn(NamedTuple):
    """Categories as text (pandas `str`, NaN where there is none), with the index of the column they came from."""

    values: pd.Series[str]
    missing: Mask
    misfit: Mask


def as_numbers(column: pd.Series[Any]) -> NumberColumn:
    """Read a column as numbers: booleans count as 0 and 1; text and everything else is a misfit, not parsed."""
    missing = column.isna().to_numpy(dtype=bool)
    if _is_numeric(column):
        return NumberColumn(_exact(column.where(~missing, 0)), missing, np.zeros(len(column), dtype=bool))
    objects = column.to_numpy(dtype=object)
    fits = np.fromiter((isinstance(value, Real | Decimal) for value in objects), dtype=bool, count=len(objects))
    numbers = [value if fit else 0 for value, fit in zip(objects, fits & ~missing, strict=True)]
    return NumberColumn(_exact(pd.Series(numbers, dtype=None)), missing, ~fits & ~missing)


class PresentNumbers(NamedTuple):
    """The numbers of a column that are there, their least and greatest, and how many rows have none."""

    values: Numbers
    ends: tuple[float, float]
    missing: int
    misfits: int


def present_numbers(column: pd.Series[Any]) -> PresentNumbers:
    """Read a column as `as_numbers` does; the values share its memory where it is float64 or int64 without gaps."""
    dtype = column.dtype
    if isinstance(dtype, np.dtype) and dtype.kind in "fib":
        values: Numbers = np.ascontiguousarray(column.to_numpy(), dtype=np.float64 if dtype.kind == "f" else np.int64)
        ends = _ends(values)
        if not np.isnan(ends[0]):
            return PresentNumbers(values, ends, 0, 0)
        present: Numbers = values[~np.isnan(values)]
        return PresentNumbers(present, _ends(present), len(values) - len(present), 0)
    numbers = as_numbers(column)
    return PresentNumbers(
        numbers.present, _ends(numbers.present), int(numbers.missing.sum()), int(numbers.misfit.sum())
    )


def _ends(values: Numbers) -> tuple[float, float]:
    """Return the least and the greatest number, NaN if one is NaN; of none at all, 0 and 0."""
    return (float(values.min()), float(values.max())) if len(values) else (0.0, 0.0)


def count_categories(column: pd.Series[Any]) -> tuple[dict[str, int], int, int]:
    """Return how often each category occurs, by name, and how many are missing and misfits, as `as_categories` does."""
    counted = _counted(column)
    if counted is None:
        categories = as_categories(column)
        counts = categories.values.value_counts()
        pairs = [(str(level), int(count)) for level, count in counts.items()]
        return dict(sorted(pairs)), int(categories.missing.sum()), int(categories.misfit.sum())
    levels, counts, missing = counted
    found: Counter[str] = Counter()
    misfits = 0
    for level, count in zip(levels, counts, strict=True):
        text = category_text(level)
        if text is None:
            misfits += int(count)
        elif count:
            found[text] += int(count)
    return dict(sorted(found.items())), missing, misfits


def _counted(column: pd.Series[Any]) -> tuple[Any, Any, int] | None:
    """Return the distinct values, how often each occurs, and how many are missing, where that is quick."""
    dtype = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        counts = np.bincount(column.cat.codes.to_numpy() + 1, minlength=len(dtype.categories) + 1)
        return dtype.categories.to_numpy(dtype=object), counts[1:], int(counts[0])
    if isinstance(dtype, np.dtype) and dtype.kind in "fiub":
        values = column.to_numpy()
        present = values[~np.isnan(values)] if dtype.kind == "f" else values
        return *np.unique(present, return_counts=True), len(values) - len(present)
    if isinstance(dtype, pd.StringDtype) or (isinstance(dtype, np.dtype) and dtype.kind == "O"):
        return _counted_texts(column)
    return None


def _counted_texts(column: pd.Series[Any]) -> tuple[Any, Any, int] | None:
    try:
        texts = pa.array(column, from_pandas=True)
    except (pa.ArrowException, OverflowError, UnicodeError):  # not of one type, or no text that can be encoded
        return None
    if not (pa.types.is_string(texts.type) or pa.types.is_large_string(texts.type)):
        return None
    letters = _counted_letters(texts)
    if letters is not None:
        return letters
    counts = pc.value_counts(texts.drop_null() if texts.null_count else texts)
    return counts.field("values").to_pylist(), counts.field("counts").to_pylist(), texts.null_count


def _counted_letters(texts: pa.Array) -> tuple[Any, Any, int] | None:
    """Return what `_counted_texts` does where every text is one byte, as codes often are: a tenth of the time."""
    wide = pa.types.is_large_string(texts.type)
    if not isinstance(texts, pa.Array) or texts.null_count or not len(texts):
        return None
    _, places, letters = texts.buffers()
    edges = np.frombuffer(places, dtype=np.int64 if wide else np.int32)[texts.offset :][: len(texts) + 1]
    if edges[-1] - edges[0] != len(texts) or not (np.diff(edges) == 1).all():
        return None
    counts = np.bincount(np.frombuffer(letters, dtype=np.uint8)[edges[0] : edges[-1]])
    found = np.flatnonzero(counts)
    return [chr(letter) for letter in found], counts[found], 0


def _is_numeric(column: pd.Series[Any]) -> bool:
    dtype = column.dtype
    real = pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_complex_dtype(dtype)
    return real or pd.api.types.is_bool_dtype(dtype)


def _exact(column: pd.Series[Any]) -> Numbers:
    """Return int64 where that loses nothing, else float64; nothing is missing here."""
    whole = pd.api.types.is_integer_dtype(column.dtype) or pd.api.types.is_bool_dtype(column.dtype)
    if whole and (column <= np.iinfo(np.int64).max).all():
        return column.to_numpy(dtype=np.int64)
    return column.to_numpy(dtype=np.float64)


def as_categories(column: pd.Series[Any]) -> CategoryColumn:
    """Read a column as text: 1, 1.0 and "1" are all "1"; lists, dates and the like are misfits."""
    if isinstance(column.dtype, pd.StringDtype):
        missing = column.isna().to_numpy(dtype=bool)
        return CategoryColumn(column.astype("str"), missing, np.zeros(len(column), dtype=bool))
    if isinstance(column.dtype, pd.CategoricalDtype) or _is_numeric(column):
        levels = column.astype("category").cat
        codes = levels.codes.to_numpy()
        texts = np.append(_texts(levels.categories.to_numpy(dtype=object)), [None])[codes]  # code -1 is "missing"
        missing = codes < 0
    else:
        missing = column.isna().to_numpy(dtype=bool)
        texts = _texts(column.to_numpy(dtype=object))
        texts[missing] = None
    values = pd.Series(texts, index=column.index, dtype="str")
    return CategoryColumn(values, missing, values.isna().to_numpy(dtype=bool) & ~missing)


def _texts(values: npt.NDArray[np.object_]) -> npt.NDArray[np.object_]:
    texts = np.empty(len(values), dtype=object)
    texts[:] = [category_text(value) for value in values]
    return texts


def category_text(value: object) -> str | None:
    """Return a scalar's text, the same for equal numbers of any type; None for what is no category."""
    if isinstance(value, str):
        return str(value) if value.isascii() or _is_unicode(value) else None
    if isinstance(value, bool | np.bool_):
        return str(bool(value))
    if isinstance(value, Integral):
        return str(int(value))
    if isinstance(value, Real | Decimal):
        number = float(value)
        return str(int(number)) if number.is_integer() else repr(number)
    return None


def _is_unicode(text: str) -> bool:
    """Whether a text can be stored at all; half a surrogate pair cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
