"""Rows like those of a spec's own data: drawn from it with replacement, its numeric features moved a little."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from gauntlet.domain.errors import Final
from gauntlet.domain.rows import check, typed
from gauntlet.domain.spec import Range, Spec

Positions = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]

JITTER = 0.01
"""A numeric feature moves by up to this share of its value, so that drawn rows differ and remain plausible."""
MOST_DECIMALS = 6
WORD = "much"
"""What stands in place of a number, and of a category."""


class ExampleError(Final):
    """Nothing can be drawn from a spec's data."""


@dataclass(frozen=True)
class _Numbers:
    """A numeric column; `whole`: stored as whole numbers; `moves`: jittered; `decimals` of the values."""

    values: npt.NDArray[np.float64]
    bounds: Range
    whole: bool
    moves: bool
    decimals: int


@dataclass(frozen=True)
class _Texts:
    """A categorical column, as places in `categories`."""

    codes: npt.NDArray[np.int32]
    categories: tuple[str, ...]


@dataclass(frozen=True)
class Damage:
    """Which rows of a piece break the spec, and how: row by row a place in the list of ways, -1 for a good row."""

    ways: npt.NDArray[np.intp]

    @property
    def rows(self) -> int:
        """How many rows break the spec."""
        return int((self.ways >= 0).sum())


@dataclass(frozen=True)
class Example:
    """What rows are drawn from; `columns` in the order of the data, the key left out."""

    spec: Spec
    columns: Mapping[str, _Numbers | _Texts]
    rows: int
    key_is_number: bool

    @classmethod
    def of(cls, frame: pd.DataFrame, spec: Spec) -> Example:
        """Take those rows of the spec's data that keep it; raises ExampleError when none does, RowsError by columns."""
        kept = check(typed(frame, spec).frame, spec).kept
        if kept.empty:
            found = f"none of the {len(frame):,} rows of {spec.data} does"
            raise ExampleError(f"rows are drawn from those that keep the spec; {found}. Mend the data, or the spec.")
        columns = {
            str(name): _column(str(name), kept[name], pd.api.types.is_integer_dtype(frame[name].dtype), spec)
            for name in kept.columns
            if name != spec.key
        }
        is_number = spec.key is not None and pd.api.types.is_integer_dtype(frame[spec.key].dtype)
        return cls(spec, columns, len(kept), is_number)

    def draw(
        self, rng: np.random.Generator, first: int, rows: int, *, training: bool, bad_share: float
    ) -> tuple[pa.RecordBatch, Damage]:
        """Return rows `first`, `first` + 1, ... of a file, the target only for training, and which of them are bad.

        Where rows may be bad, the first numeric feature is text, so that a word can stand in it. The key is the row's
        number.
        """
        places = rng.integers(self.rows, size=rows)
        names = [name for name in self.columns if training or name != self.spec.target]
        ways = self._ways(names) if bad_share else []
        bad = rng.random(rows) < bad_share
        damage = Damage(np.where(bad, rng.integers(max(1, len(ways)), size=rows), -1))
        wordy = self._wordy if bad_share else None
        arrays = {}
        if self.spec.key is not None:
            arrays[self.spec.key] = self._key(first, _hit(damage, ways, self.spec.key, "missing"))
        for name in names:
            column = self.columns[name]
            hits = {how: _hit(damage, ways, name, how) for how in ("missing", "beyond", "word")}
            if isinstance(column, _Texts):
                arrays[name] = _texts(column, places, hits)
            else:
                arrays[name] = _numbers(column, places, rng, hits, as_text=name == wordy)
        return pa.RecordBatch.from_arrays(list(arrays.values()), names=list(arrays)), damage

    @property
    def _wordy(self) -> str | None:
        """The column of numbers in which words may stand."""
        return next((name for name in self.columns if name in self.spec.numeric_features), None)

    def _ways(self, names: Sequence[str]) -> list[tuple[str, str]]:
        """The ways in which a row can be bad: a column, and what is wrong in it."""
        ways = [(name, "missing") for name in names]
        if self.spec.key is not None:
            ways.append((self.spec.key, "missing"))
        for name in names:
            column = self.columns[name]
            if isinstance(column, _Texts) or name == self._wordy:
                ways.append((name, "word"))
            if isinstance(column, _Numbers) and _beyond(column.bounds) < 2**53:
                ways.append((name, "beyond"))
        return ways

    def _key(self, first: int, missing: Mask) -> pa.Array:
        keys = pa.array(np.arange(first, first + len(missing)), mask=missing)
        return keys if self.key_is_number else keys.cast(pa.string())


def _column(name: str, values: pd.Series, whole: bool, spec: Spec) -> _Numbers | _Texts:
    if name in spec.categorical:
        known = spec.categorical[name]
        return _Texts(pd.Categorical(values, categories=list(known)).codes.astype(np.int32), known)
    numbers = values.to_numpy(dtype=np.float64)
    decimals = next((n for n in range(MOST_DECIMALS) if np.array_equal(np.round(numbers, n), numbers)), MOST_DECIMALS)
    return _Numbers(numbers, spec.numeric[name], whole, name != spec.target, decimals)


def _hit(damage: Damage, ways: Sequence[tuple[str, str]], column: str, how: str) -> Mask:
    """The rows that are bad in this way."""
    way = (column, how)
    return damage.ways == ways.index(way) if way in ways else np.zeros(len(damage.ways), dtype=bool)


def _beyond(bounds: Range) -> float:
    """A whole number that is out of range."""
    return float(np.ceil(bounds.max + (bounds.max - bounds.min)))


def _numbers(
    column: _Numbers, places: Positions, rng: np.random.Generator, hits: Mapping[str, Mask], *, as_text: bool
) -> pa.Array:
    values = column.values[places]
    if column.moves:
        moved = values * (1 + rng.uniform(-JITTER, JITTER, len(values)))
        # two decimals more let rows differ; what is whole stays so
        moved = np.round(moved, column.decimals + 2 if column.decimals else 0)
        inside = (moved >= column.bounds.min) & (moved <= column.bounds.max)
        values = np.where(inside, moved, values)
    values = np.where(hits["beyond"], _beyond(column.bounds), values)
    array = pa.array(values.astype(np.int64) if column.whole else values, mask=hits["missing"])
    return pc.if_else(pa.array(hits["word"]), WORD, array.cast(pa.string())) if as_text else array


def _texts(column: _Texts, places: Positions, hits: Mapping[str, Mask]) -> pa.Array:
    codes = np.where(hits["word"], len(column.categories), column.codes[places])
    array = pa.array(codes, mask=hits["missing"])
    return pa.array([*column.categories, WORD], type=pa.string()).take(array)
