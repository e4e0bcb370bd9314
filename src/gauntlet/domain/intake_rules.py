"""The rules for one column of a file: which types it may have, which cells break it, and what is said of those."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from gauntlet.domain.columns import Floats, Mask
from gauntlet.domain.identity import LARGEST_ID, mixed, text_hashes
from gauntlet.domain.intake_values import as_codes, as_floats, as_texts, is_scalar
from gauntlet.domain.rows import categories_rule, range_rule
from gauntlet.domain.seen import Doubles, Hashes
from gauntlet.domain.spec import Range

ROW_ID = "row_id"
LONGEST_KEY = 1000
"""In bytes; Postgres has no index on texts of more than about 2,700."""
SHOWN = 60
"""So many characters of a cell stand in a reason."""

Positions = npt.NDArray[np.intp]
Reasons = Callable[[int, Any], str]


@dataclass(frozen=True)
class Cells:
    """A column of a piece that was read.

    `values` has shape (rows,); what it holds where a rule is broken means nothing. `broken` is None when all is well.
    `reason` gives the rule that a row at a place breaks, and what was found, from the cell as it came.
    """

    values: Any
    broken: Mask | None
    reason: Reasons


class Rule(Protocol):
    """What a column must fulfil."""

    @property
    def name(self) -> str:
        """The column's name."""
        ...

    def refused(self, kind: pa.DataType) -> str | None:
        """Return what the column must hold, when its type can hold nothing of the kind."""
        ...

    def read(self, array: pa.Array) -> Cells:
        """Read the column's next cells."""
        ...


@dataclass(frozen=True)
class NumberRule:
    """A number in its range, both ends included."""

    name: str
    bounds: Range

    def refused(self, kind: pa.DataType) -> str | None:
        """Numbers, booleans, and text, which may be numbers."""
        return None if is_scalar(kind) else "numbers"

    def read(self, array: pa.Array) -> Cells:
        """Return float64."""
        values = as_floats(array)
        low, high = self.bounds.min, self.bounds.max
        # NaN is neither; the least and the greatest are found in a fraction of the time of comparing each.
        if not len(values) or (values.min() >= low and values.max() <= high):
            return Cells(values, None, _fine)
        return Cells(values, ~((values >= low) & (values <= high)), self._reason(values))

    def _reason(self, values: Floats) -> Reasons:
        in_range = range_rule(self.name, self.bounds)

        def reason(place: int, cell: Any) -> str:
            if _missing(cell):
                return missing(self.name)
            if math.isnan(values[place]):
                return found(f"{self.name} must be a number", cell)
            return found(in_range, cell)

        return reason


@dataclass(frozen=True)
class CategoryRule:
    """One of a column's categories."""

    name: str
    categories: tuple[str, ...]

    def refused(self, kind: pa.DataType) -> str | None:
        """Text, numbers, booleans."""
        return None if is_scalar(kind) else "text or numbers"

    def read(self, array: pa.Array) -> Cells:
        """Return positions among the categories."""
        codes = as_codes(array, self.categories)
        if not len(codes) or codes.min() >= 0:
            return Cells(codes, None, _fine)
        return Cells(codes, codes < 0, self._reason())

    def _reason(self) -> Reasons:
        one_of = categories_rule(self.name, self.categories)
        return lambda _, cell: missing(self.name) if _missing(cell) else found(one_of, cell)


class KeyRule:
    """A text that no other row of the file has."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._doubles = Doubles()

    def refused(self, kind: pa.DataType) -> str | None:
        """Text, numbers, booleans."""
        return None if is_scalar(kind) else "text or numbers"

    def read(self, array: pa.Array) -> Cells:
        """Return texts with their hashes."""
        texts = as_texts(array)
        hashes = text_hashes(texts)
        storable = _storable(texts)
        doubled = _doubled(self._doubles, hashes, texts.is_valid().to_numpy(zero_copy_only=False))
        broken = doubled | ~storable

        def reason(place: int, cell: Any) -> str:
            if not texts[place].is_valid:
                return missing(self.name)
            if not storable[place]:
                return found(
                    f"{self.name} must be text in UTF-8 of at most {LONGEST_KEY:,} bytes, none of them 0", cell
                )
            return found(f"{self.name} must be unique in a file", cell) + " again"

        return Cells(Keys(texts, hashes), broken if broken.any() else None, reason)


@dataclass(frozen=True)
class Keys:
    """Keys as text, and their hashes, both of shape (rows,)."""

    texts: pa.LargeStringArray
    hashes: Hashes

    def __getitem__(self, positions: Positions) -> Keys:
        return Keys(self.texts.take(pa.array(positions)), self.hashes[positions])


class RowIdRule:
    """A whole number that a float64 holds exactly and no other row of the file has."""

    name = ROW_ID

    def __init__(self) -> None:
        self._doubles = Doubles()

    def refused(self, kind: pa.DataType) -> str | None:
        """Numbers, and text, which may be numbers."""
        return None if is_scalar(kind) else "whole numbers"

    def read(self, array: pa.Array) -> Cells:
        """Return int64."""
        numbers = as_floats(array)
        with np.errstate(invalid="ignore"):
            fits = (numbers >= 0) & (numbers <= LARGEST_ID) & (np.floor(numbers) == numbers)
        values = np.where(fits, numbers, 0).astype(np.int64)
        doubled = _doubled(self._doubles, mixed(values.astype(np.uint64)), fits)
        broken = doubled | ~fits

        def reason(place: int, cell: Any) -> str:
            if _missing(cell):
                return missing(self.name)
            if not fits[place]:
                return found(f"{self.name} must be a whole number in 0..{LARGEST_ID}", cell)
            return found(f"{self.name} must be unique in a file", cell) + " again"

        return Cells(values, broken if broken.any() else None, reason)


def missing(column: str) -> str:
    """Return what is said of a cell that is not there."""
    return f"{column} must not be missing"


def found(rule: str, cell: object) -> str:
    """Return a rule with the cell that breaks it."""
    if isinstance(cell, float):
        shown = str(int(cell)) if cell.is_integer() else str(cell)
    elif isinstance(cell, str):
        text = cell if len(cell) <= SHOWN else f"{cell[:SHOWN]}..."
        shown = f'"{text}"' if text.isprintable() else f'"{repr(text)[1:-1]}"'
    else:
        shown = str(cell).lower() if isinstance(cell, bool) else str(cell)
    return f"{rule}; found {shown}"


def _fine(_place: int, _cell: Any) -> str:
    raise AssertionError("a reason was asked for where nothing is broken")


def _missing(cell: object) -> bool:
    return cell is None or cell != cell


def _doubled(doubles: Doubles, hashes: Hashes, valid: Mask) -> Mask:
    """Tell which rows repeat a value of an earlier row; rows that are not valid have none."""
    if valid.all():
        return doubles.find(hashes)
    result = np.zeros(len(hashes), dtype=bool)
    result[valid] = doubles.find(hashes[valid])
    return result


def _storable(texts: pa.LargeStringArray) -> Mask:
    """Tell which texts Postgres can hold and index."""
    fits = pc.and_(pc.less_equal(pc.binary_length(texts), LONGEST_KEY), pc.invert(pc.match_substring(texts, "\0")))
    result: Mask = fits.fill_null(False).to_numpy(zero_copy_only=False)
    try:
        texts.validate(full=True)
    except pa.ArrowInvalid:
        result = result & np.fromiter(map(_is_unicode, texts.cast(pa.large_binary()).to_pylist()), dtype=bool)
    return result


def _is_unicode(data: bytes | None) -> bool:
    try:
        (data or b"").decode()
    except UnicodeDecodeError:
        return False
    return True
