"""Rows of the marts against the same rows made again: which differ, and by how much."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

SHOWN = 10
"""How many of the differing values are kept."""

ROW_NUMBER, ROW_ID = "row_number", "row_id"

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Difference:
    """A value that differs: `mart` is what the marts hold, `again` what was made again."""

    row_number: int
    row_id: int
    column: str
    mart: Any
    again: Any


@dataclass(frozen=True)
class RowTally:
    """How two streams of rows compare; `largest` is the largest absolute difference of two numbers.

    `differing` are rows on both sides with another value in any column; `first` the first values that differ.
    """

    compared: int = 0
    differing: int = 0
    only_mart: int = 0
    only_again: int = 0
    largest: float = 0.0
    first: tuple[Difference, ...] = ()

    @property
    def equal(self) -> bool:
        """Say whether both sides hold the same rows, bit for bit."""
        return not (self.differing or self.only_mart or self.only_again)


def compared(mart: Iterator[pa.RecordBatch], again: Iterator[pa.RecordBatch]) -> Iterator[RowTally]:
    """Yield the tally after each piece of `again`, and once more after the last row of `mart`.

    Both must be in the order of their row numbers; the columns of `again` are compared. Memory holds a piece of each.
    """
    tally, ahead = RowTally(), _Ahead(mart)
    for piece in again:
        if not len(piece):
            continue
        numbers = piece[ROW_NUMBER]
        tally = _added(tally, ahead.upto(numbers[len(numbers) - 1].as_py(), piece.schema), piece)
        yield tally
    rest = sum(len(piece) for piece in ahead.rest())
    yield replace(tally, only_mart=tally.only_mart + rest)


class _Ahead:
    """A stream of rows that is read as far as a row number."""

    def __init__(self, pieces: Iterator[pa.RecordBatch]) -> None:
        self._pieces = pieces
        self._left: pa.RecordBatch | None = None

    def upto(self, number: int, schema: pa.Schema) -> pa.Table:
        """Return the next rows whose number is at most `number`, with the columns of a schema."""
        # the marts may have lost what must be there
        schema = pa.schema([field.with_nullable(True) for field in schema])
        taken: list[pa.RecordBatch] = []
        while (piece := self._next()) is not None:
            count = int(np.searchsorted(piece[ROW_NUMBER].to_numpy(), number, side="right"))
            taken.append(piece.slice(0, count).select(schema.names).cast(schema))
            if count < len(piece):
                self._left = piece.slice(count)
                break
        return pa.Table.from_batches(taken, schema)

    def rest(self) -> Iterator[pa.RecordBatch]:
        """Yield what is left."""
        while (piece := self._next()) is not None:
            yield piece

    def _next(self) -> pa.RecordBatch | None:
        piece, self._left = self._left, None
        return next(self._pieces, None) if piece is None else piece


def _added(tally: RowTally, mart: pa.Table, again: pa.RecordBatch) -> RowTally:
    made = pa.Table.from_batches([again])
    numbers, others = mart[ROW_NUMBER].to_numpy(), made[ROW_NUMBER].to_numpy()
    if not np.array_equal(numbers, others):
        _, here, there = np.intersect1d(numbers, others, assume_unique=True, return_indices=True)
        tally = replace(
            tally,
            only_mart=tally.only_mart + len(numbers) - len(here),
            only_again=tally.only_again + len(others) - len(there),
        )
        mart, made = mart.take(here), made.take(there)
    differs = np.zeros(len(made), dtype=bool)
    first: list[Difference] = []
    largest = tally.largest
    for name in made.column_names:
        mask = _unequal(mart[name], made[name])
        if mask.any():
            differs |= mask
            largest = max(largest, _distance(mart[name].filter(mask), made[name].filter(mask)))
            first += _shown(mart, made, name, np.flatnonzero(mask)[:SHOWN])
    first.sort(key=lambda one: one.row_number)
    return replace(
        tally,
        compared=tally.compared + len(made),
        differing=tally.differing + int(differs.sum()),
        largest=largest,
        first=(*tally.first, *first)[:SHOWN],
    )


def _unequal(left: pa.ChunkedArray, right: pa.ChunkedArray) -> Mask:
    """Return where values differ, shape (rows,); two missing ones are equal, numbers are compared bit for bit."""
    missing, lacking = _mask(left.is_null()), _mask(right.is_null())
    if pa.types.is_floating(right.type):
        bits = [
            pc.fill_null(each, 0.0).to_numpy().astype(np.float64, copy=False).view(np.int64) for each in (left, right)
        ]
        other = bits[0] != bits[1]
    else:
        other = _mask(pc.fill_null(pc.not_equal(left, right), False))
    unequal: Mask = (other & ~missing & ~lacking) | (missing != lacking)
    return unequal


def _mask(values: pa.ChunkedArray) -> Mask:
    return np.asarray(values.to_numpy(), dtype=bool)


def _distance(left: pa.ChunkedArray, right: pa.ChunkedArray) -> float:
    """Return the largest absolute difference of two numbers; 0 for texts."""
    if not (pa.types.is_floating(right.type) and len(left)):
        return 0.0
    found = pc.max(pc.abs(pc.subtract(left, right))).as_py()
    return 0.0 if found is None else float(found)


def _shown(mart: pa.Table, made: pa.Table, name: str, places: npt.NDArray[np.intp]) -> list[Difference]:
    return [
        Difference(
            row_number=made[ROW_NUMBER][place].as_py(),
            row_id=made[ROW_ID][place].as_py(),
            column=name,
            mart=mart[name][place].as_py(),
            again=made[name][place].as_py(),
        )
        for place in places.tolist()
    ]
