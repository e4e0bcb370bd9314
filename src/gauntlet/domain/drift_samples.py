"""A column's sample, and the statistics by which two samples of one column are compared."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from gauntlet.domain.columns import Numbers, as_categories, as_numbers

ORIGINAL_EPSILON = 1e-6
"""What an empty level's share counts as in the plain PSI."""
SMOOTHING = 0.5
"""What the smoothed PSI adds to each level's count."""

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class NumericSample:
    """A numeric column: its distinct values, ascending, and how often each occurs; missing values and misfits apart."""

    values: Numbers
    counts: Counts
    missing: int
    misfits: int
    cumulative: Counts = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "cumulative", np.concatenate([[0], np.cumsum(self.counts)]))

    @classmethod
    def read(cls, column: pd.Series[Any]) -> NumericSample:
        """Read a column of any dtype."""
        numbers = as_numbers(column)
        present: npt.NDArray[Any] = numbers.present
        values, counts = np.unique(present, return_counts=True)
        return cls(values, counts.astype(np.int64), int(numbers.missing.sum()), int(numbers.misfit.sum()))

    @property
    def size(self) -> int:
        """How many values there are."""
        return int(self.cumulative[-1])

    def distribution(self, at: Numbers) -> npt.NDArray[np.float64]:
        """Return the empirical distribution function at the given values: the share of values <= each."""
        return self.cumulative[np.searchsorted(self.values, at, side="right")] / self.size


@dataclass(frozen=True)
class CategoricalSample:
    """A categorical column: how often each category occurs; missing values and misfits apart."""

    counts: dict[str, int]
    missing: int
    misfits: int

    @classmethod
    def read(cls, column: pd.Series[Any]) -> CategoricalSample:
        """Read a column of any dtype; equal text is one category, whatever the dtype."""
        categories = as_categories(column)
        counts = categories.values.value_counts().sort_index()
        return cls(
            {str(level): int(count) for level, count in counts.items()},
            int(categories.missing.sum()),
            int(categories.misfit.sum()),
        )

    @property
    def size(self) -> int:
        """How many values there are."""
        return sum(self.counts.values())


def ks_distance(reference: NumericSample, current: NumericSample) -> float:
    """Return the Kolmogorov-Smirnov distance D = max |F(x) - G(x)|, 0..1, of two samples that are not empty.

    Both distribution functions are steps, so the maximum lies at a value of one of the samples. Two int64 samples are
    compared as integers, an int64 and a float64 one as float64.
    """
    gaps = (np.abs(reference.distribution(at) - current.distribution(at)) for at in (reference.values, current.values))
    return float(max(gap.max() for gap in gaps))


def ks_p_value(distance: float, reference: int, current: int) -> float:
    """Return the two-sided asymptotic p-value of a KS distance for the two sample sizes.

    The distribution of the one-sample statistic at n*m / (n+m) observations, rounded, as
    `scipy.stats.ks_2samp(method="asymp")` takes it; 1 for one value against one, where scipy answers NaN.
    """
    observations = np.round(float(reference) * current / (float(reference) + current))
    return float(np.clip(stats.kstwo.sf(distance, observations), 0, 1)) if observations else 1.0


def level_table(reference: CategoricalSample, current: CategoricalSample) -> Counts:
    """Return the counts of both samples over the union of their levels, shape (2, levels)."""
    levels = sorted({*reference.counts, *current.counts})
    return np.array([[sample.counts.get(level, 0) for level in levels] for sample in (reference, current)])


def psi_smoothed(table: Counts) -> float:
    """Return the population stability index sum((q - p) * ln(q / p)), with 0.5 added to each level's count.

    Without the addition an empty level makes it infinite. Under no drift its mean is about (levels - 1)(1/n + 1/m).
    """
    counts = table + SMOOTHING
    return _psi(counts / counts.sum(axis=1, keepdims=True))


def psi_original(table: Counts) -> float:
    """Return the population stability index with the share of an empty level taken as 1e-6."""
    shares = table / table.sum(axis=1, keepdims=True)
    return _psi(np.maximum(shares, ORIGINAL_EPSILON))


def _psi(shares: npt.NDArray[np.float64]) -> float:
    reference, current = shares
    return float(np.sum((current - reference) * np.log(current / reference)))


def chi_square_p_value(table: Counts) -> float:
    """Return the p-value of Pearson's chi-square test of homogeneity, without continuity correction."""
    return float(stats.chi2_contingency(table, correction=False).pvalue)


def adjusted_p_values(p_values: list[float]) -> list[float]:
    """Return p-values adjusted for their number (Benjamini and Hochberg 1995): <= q means a discovery at rate q."""
    return [float(p) for p in stats.false_discovery_control(p_values)] if p_values else []
