"""A column's sample: of the reference, kept sorted with its grid, or of the current rows, read as it is."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import pandas as pd

from gauntlet.domain.columns import Counts, Numbers, count_categories, present_numbers
from gauntlet.domain.drift_grid import Grid, distinct

Side = Literal["left", "right"]


@dataclass(frozen=True, eq=False)
class NumericSample:
    """The numbers of a column in any order, their ends and how many; missing values and misfits are counted apart."""

    values: Numbers
    ends: tuple[float, float]
    missing: int
    misfits: int
    size: int

    @classmethod
    def read(cls, column: pd.Series[Any]) -> NumericSample:
        """Read a column of any dtype; the values may share the column's memory."""
        numbers = present_numbers(column)
        return cls(*numbers, size=len(numbers.values))

    def without_values(self) -> NumericSample:
        """Return the sample without its numbers, which are much of a table, once they have been compared."""
        return replace(self, values=np.empty(0))


@dataclass(frozen=True, eq=False)
class NumericReference:
    """The numbers of a column, ascending; missing values and misfits are counted apart.

    `below`, shape (cells + 1,): how many numbers lie below each cell of the grid, and how many there are. Where there
    is no grid, `steps` are the distinct numbers.
    """

    values: Numbers
    missing: int
    misfits: int
    grid: Grid | None = field(init=False, repr=False)
    below: Counts | None = field(init=False, repr=False)
    steps: Numbers = field(init=False, repr=False)

    def __post_init__(self) -> None:
        grid = Grid.over(self.values)
        object.__setattr__(self, "grid", grid)
        object.__setattr__(self, "steps", distinct(self.values if grid is None else self.values[:0]))
        object.__setattr__(self, "below", None if grid is None else grid.count(grid.map(self.values)))

    @classmethod
    def of(cls, sample: NumericSample) -> NumericReference:
        """Return a sample as a reference, with values of its own."""
        values = np.sort(sample.values)
        values[np.searchsorted(values, 0) : np.searchsorted(values, 0, side="right")] = (
            0  # one zero, or equal references would be of unequal bytes
        )
        return cls(values, sample.missing, sample.misfits)

    @property
    def size(self) -> int:
        """How many numbers there are."""
        return len(self.values)

    def at_most(self, at: Numbers, side: Side = "right") -> Counts:
        """Return how many numbers are <= each of the given ones (< with side "left")."""
        found: Counts = np.searchsorted(self.values, at, side=side)
        return found


@dataclass(frozen=True)
class CategoricalSample:
    """A categorical column: how often each category occurs; missing values and misfits apart."""

    counts: dict[str, int]
    missing: int
    misfits: int

    @classmethod
    def read(cls, column: pd.Series[Any]) -> CategoricalSample:
        """Read a column of any dtype; equal text is one category, whatever the dtype."""
        return cls(*count_categories(column))

    @property
    def size(self) -> int:
        """How many values there are."""
        return sum(self.counts.values())


Reference = NumericReference | CategoricalSample
Current = NumericSample | CategoricalSample
