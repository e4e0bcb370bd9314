"""One column of any dtype, read as numbers or as categories; what does not fit is told apart from what is missing."""

from __future__ import annotations

from decimal import Decimal
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Numbers = Floats | npt.NDArray[np.int64]


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
    texts[:] = [_text(value) for value in values]
    return texts


def _text(value: object) -> str | None:
    """Return a scalar's text, the same for equal numbers of any type; None for what is no category."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bool | np.bool_):
        return str(bool(value))
    if isinstance(value, Integral):
        return str(int(value))
    if isinstance(value, Real | Decimal):
        number = float(value)
        return str(int(number)) if number.is_integer() else repr(number)
    return None
