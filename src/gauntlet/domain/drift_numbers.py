"""Two samples of a numeric column: their exact Kolmogorov-Smirnov distance, and exact counts at any values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gauntlet.domain.columns import Counts, Mask, Numbers
from gauntlet.domain.drift_grid import Cells, Grid, distinct, pick
from gauntlet.domain.drift_samples import NumericReference, NumericSample, Side

SORTS_BETTER = 0.5
"""With more than this share of the values in the cells to look into, sorting them all is quicker."""
QUANTILES = 10
"""How many bins of the reference's quantiles the PSI of numbers has."""


@dataclass(frozen=True)
class NumericPair:
    """The KS distance of two samples; how many current values are <= each of the values in each array asked for."""

    distance: float
    counts: tuple[Counts, ...]


@dataclass(frozen=True)
class _Counter:
    """Counts a sample's values up to some value: those sorted, and how many lie below its cell without being sorted.

    Without a grid all values are sorted; with one, those of the cells that will be asked for. `unsorted`, shape
    (cells,): how many values of a cell and those below it were not sorted.
    """

    ordered: Numbers
    grid: Grid | None = None
    unsorted: Counts | None = None

    def at_most(self, values: Numbers, side: Side = "right") -> Counts:
        found: Counts = np.searchsorted(self.ordered, values, side=side)
        return found if self.grid is None or self.unsorted is None else found + self.unsorted[self.grid.map(values)]


def compare_numbers(reference: NumericReference, current: NumericSample, *at: Numbers) -> NumericPair:
    """Return the distance D = max |F(x) - G(x)|, 0..1, of two samples that are not empty, and counts at some values.

    Two int64 samples are compared as integers, an int64 and a float64 one as float64. The counts at the edges of the
    grid's cells give D but for what happens within a cell, which its two edges bound; only the cells in which the
    distance could be larger yet are looked into.
    """
    grid, below = reference.grid, reference.below
    if grid is None or below is None:
        counter = _Counter(np.sort(current.values))
        distance = _largest_gap(reference, reference.steps, counter, current.size)
        return NumericPair(distance, tuple(counter.at_most(values) for values in at))
    cells = grid.map(current.values)
    found = grid.count(cells)
    ours, theirs = below / reference.size, found / current.size
    best = float(np.abs(ours - theirs).max())
    # cells that hold one whole number each have nothing within, save the outer two, where the reference has nothing
    whole = grid.exact and current.values.dtype == np.int64
    winners = np.zeros(grid.cells, dtype=bool) if whole else _winners(ours, theirs, best)
    wanted = winners.copy()
    for asked in ([0, grid.cells - 1],) if whole else (grid.map(values) for values in at):
        wanted[asked] = True
    counter = _sorting(current.values, cells, wanted, np.diff(found), grid)
    steps = distinct(_values_in(reference.values, below, winners))
    best = max(best, _largest_gap(reference, steps, counter, current.size))
    return NumericPair(best, tuple(counter.at_most(values) for values in at))


def _sorting(values: Numbers, cells: Cells, wanted: Mask, counts: Counts, grid: Grid) -> _Counter:
    """Return a counter that sorts the values in the wanted cells; all of them, where those are most."""
    unsorted = np.where(wanted, 0, counts)
    if unsorted.sum() < (1 - SORTS_BETTER) * len(values):
        return _Counter(np.sort(values))
    return _Counter(pick(values, cells, wanted & (counts > 0)), grid, np.cumsum(unsorted))


def _winners(ours: Numbers, theirs: Numbers, best: float) -> Mask:
    """Return the cells in which the distance could exceed `best`, from both distributions at the cells' edges."""
    found: Mask = np.maximum(ours[1:] - theirs[:-1], theirs[1:] - ours[:-1]) > best
    return found


def _values_in(ordered: Numbers, below: Counts, cells: Mask) -> Numbers:
    """Return the values of a sorted sample in some cells, given how many lie below each cell."""
    edges = np.flatnonzero(np.diff(cells, prepend=False, append=False))
    runs = [ordered[below[start] : below[end]] for start, end in zip(edges[::2], edges[1::2], strict=True)]
    return np.concatenate(runs) if runs else ordered[:0]


def _largest_gap(reference: NumericReference, steps: Numbers, counter: _Counter, size: int) -> float:
    """Return the largest distance at some of the reference's values and just below them.

    Between two of the reference's values its distribution stands still and the other rises, so there the distance has
    its extremes at the ends.
    """
    sides: tuple[Side, ...] = ("left", "right")
    gaps = (
        np.abs(reference.at_most(steps, side) / reference.size - counter.at_most(steps, side) / size) for side in sides
    )
    return max(float(gap.max(initial=0.0)) for gap in gaps)


def quantile_edges(reference: NumericReference) -> Numbers:
    """Return the upper edges of all but the last of the bins that hold a tenth of a reference each, fewer with ties."""
    places = np.ceil(reference.size * np.arange(1, QUANTILES) / QUANTILES).astype(np.int64) - 1
    return np.unique(reference.values[places])


def bin_counts(at_most: Counts, size: int) -> Counts:
    """Return the counts of bins from the counts up to their inner edges."""
    return np.diff(at_most, prepend=0, append=size)
