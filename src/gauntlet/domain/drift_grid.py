"""A grid over a sorted reference: monotone cells, and how many of a sample's values lie in each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gauntlet.domain.columns import Counts, Floats, Mask, Numbers

Cells = npt.NDArray[np.uint16 | np.uint32]

CELLS, MANY_CELLS = 2**16, 2**18
MANY_ROWS = 3_000_000
"""From here on a reference has MANY_CELLS cells."""
FEW_ROWS = 20_000
"""Below, sorting is quicker than a grid."""
BLOCK, COUNTED = 2**15, 2**20
"""How many values are mapped at once, since that fits a core's own cache; how many cells are counted at once."""
TIED = 16
"""With so many equal values of a kind, cells would hold little but ties."""
TINY = 1e-300
"""A span from which on a grid's scale is a finite number."""
PROBES = 2**13
"""How many values of a reference the choice between grids looks at."""


@dataclass(frozen=True)
class Grid:
    """Cells between two numbers: of equal width, or (`shift`) of equal width in the bits of floats, about a log scale.

    The map from numbers to cells is monotone, since each floating point operation of it is. Numbers outside fall into
    the first and last cell. `exact`: each whole number has a cell of its own, and the outer two have none.
    """

    low: float
    high: float
    cells: int
    origin: float
    scale: float = 1.0
    shift: int | None = None
    exact: bool = False

    @classmethod
    def over(cls, ordered: Numbers) -> Grid | None:
        """Return the grid that spreads a sorted sample best, or None where sorting is the better way."""
        ends = _finite_ends(ordered)
        if len(ordered) < FEW_ROWS or ends is None:
            return None
        cells = CELLS if len(ordered) < MANY_ROWS else MANY_CELLS
        low, high = ends
        if ordered.dtype == np.int64 and high - low < cells - 3 and abs(low) < 2**52:
            return cls(low - 1, high + 1, int(high - low) + 3, low - 1, exact=True)
        if np.count_nonzero(ordered[1:] != ordered[:-1]) < len(ordered) / TIED:
            return None
        grids = [cls._by_bits(low, high, cells)]
        if TINY < high - low < np.inf:
            grids.insert(0, cls(low, high, cells, low, (cells - 1) / (high - low)))
        probes = ordered[:: max(len(ordered) // PROBES, 1)]
        crowds = [float((np.bincount(grid.map(probes)) ** 2.0).sum()) for grid in grids]
        # equal widths follow most samples better within a cell: bits must be clearly better
        return grids[0] if len(grids) == 1 or crowds[1] > crowds[0] / 2 else grids[1]

    @classmethod
    def _by_bits(cls, low: float, high: float, cells: int) -> Grid:
        first, last = (int(key) for key in _keys(np.array([low, high]), signed=True))
        shift = 0
        while (last >> shift) - (first >> shift) >= cells:
            shift += 1
        return cls(low, high, (last >> shift) - (first >> shift) + 1, first >> shift, shift=shift)

    def map(self, values: Numbers) -> Cells:
        """Return the cell of each number, 0..cells - 1."""
        found: Cells = np.empty(len(values), dtype=np.uint16 if self.cells <= 2**16 else np.uint32)
        room = np.empty(min(BLOCK, len(values)))
        for start in range(0, len(values), BLOCK):
            block = values[start : start + BLOCK]
            numbers = room[: len(block)]
            np.maximum(block, self.low, out=numbers)
            np.minimum(numbers, self.high, out=numbers)
            np.copyto(found[start : start + BLOCK], self._place(numbers), casting="unsafe")
        return found

    def _place(self, numbers: Floats) -> npt.NDArray[Any]:
        """Return numbers within the grid as cells, in their place."""
        if self.shift is None:
            numbers -= self.origin
            numbers *= self.scale
            return numbers
        keys = _keys(numbers, signed=self.low < 0)
        keys >>= self.shift
        keys -= int(self.origin)
        return keys

    def count(self, cells: Cells) -> Counts:
        """Return how many numbers lie below each cell, and how many there are, shape (cells + 1,)."""
        below = np.zeros(self.cells + 1, dtype=np.int64)
        for start in range(0, len(cells), COUNTED):
            below[1:] += np.bincount(cells[start : start + COUNTED], minlength=self.cells)
        return np.cumsum(below, out=below)


def distinct(ordered: Numbers) -> Numbers:
    """Return the distinct values of a sorted sample."""
    return ordered[np.append(True, ordered[1:] != ordered[:-1])] if len(ordered) else ordered


def pick(values: Numbers, cells: Cells, wanted: Mask) -> Numbers:
    """Return the numbers in the wanted cells, sorted; `wanted` has shape (cells,)."""
    if not wanted.any():
        return values[:0]
    blocks = (slice(start, start + BLOCK) for start in range(0, len(values), BLOCK))
    return np.sort(np.concatenate([values[block][wanted.take(cells[block])] for block in blocks]))


def _keys(numbers: Floats, *, signed: bool) -> npt.NDArray[np.int64]:
    """Return whole numbers in the order of floats, in their place: their bits, those of negative ones turned round."""
    numbers += 0.0  # -0.0 becomes 0.0
    bits: npt.NDArray[np.int64] = numbers.view(np.int64)
    if signed:
        bits ^= (bits >> 63) & np.iinfo(np.int64).max
    return bits


def _finite_ends(ordered: Numbers) -> tuple[float, float] | None:
    """Return the least and the greatest finite value of a sorted sample; None when no two of them differ."""
    numbers = finite(ordered)
    if not len(numbers):
        return None
    low, high = float(numbers[0]), float(numbers[-1])
    return (low, high) if low < high else None


def finite(ordered: Numbers) -> Numbers:
    """Return the finite numbers of a sorted sample."""
    if ordered.dtype == np.int64:
        return ordered
    return ordered[np.searchsorted(ordered, -np.inf, side="right") : np.searchsorted(ordered, np.inf, side="left")]
