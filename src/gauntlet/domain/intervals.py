"""Estimates with their intervals: relative effects, quantiles, areas under a curve, shares."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

from gauntlet.domain.scores import Floats

WINDOW = 6.0
"""Half width, in standard deviations of a sample quantile's rank, of what a bootstrap of quantiles looks at."""


@dataclass(frozen=True)
class Estimate:
    """A figure and the interval around it."""

    value: float
    low: float
    high: float


class Effect(NamedTuple):
    """A relative effect, its standard error, and Student's degrees of freedom (None: as good as normal)."""

    effect: float | None
    error: float | None
    degrees: float | None


def paired_effect(a: Floats, b: Floats) -> Effect:
    """Return r = mean b / mean a - 1 of losses of the same rows, shape (rows,) each.

    Its standard error is sd(b - (1 + r) a) / (mean a * sqrt(n)) by the delta method; None for fewer than two rows.
    """
    effect = _ratio(a, b)
    if effect is None or len(a) < 2 or not a.mean():
        return Effect(effect, None, None)
    error = float(np.std(b - (1 + effect) * a, ddof=1)) / (float(a.mean()) * math.sqrt(len(a)))
    return Effect(effect, error, None)


def welch_effect(a: Floats, b: Floats) -> Effect:
    """Return r = mean b / mean a - 1 of losses of different rows, with Welch's error and degrees of freedom.

    By the delta method this is Welch's comparison of b with (1 + r) a, in units of mean a.
    """
    effect = _ratio(a, b)
    if effect is None or min(len(a), len(b)) < 2 or not a.mean():
        return Effect(effect, None, None)
    of_a = (1 + effect) ** 2 * float(np.var(a, ddof=1)) / len(a)
    of_b = float(np.var(b, ddof=1)) / len(b)
    error = math.sqrt(of_a + of_b) / float(a.mean())
    if not error:
        return Effect(effect, 0.0, None)
    degrees = (of_a + of_b) ** 2 / (of_a**2 / (len(a) - 1) + of_b**2 / (len(b) - 1))
    return Effect(effect, error, degrees)


def _ratio(a: Floats, b: Floats) -> float | None:
    if not len(a) or not len(b):
        return None
    if a.mean() == 0:
        return 0.0 if b.mean() == 0 else None
    return float(b.mean() / a.mean()) - 1


def mean_error(values: Floats) -> float:
    """Return the standard error of the mean of at least two values."""
    return float(np.std(values, ddof=1)) / math.sqrt(len(values))


def quantile(values: Floats, share: float) -> float:
    """Return the smallest value that at least `share` of the values do not exceed (the inverse empirical cdf)."""
    return float(np.partition(values, rank := _rank(len(values), share))[rank])


def bootstrap_quantiles(
    columns: Sequence[Floats], share: float, rng: np.random.Generator, replicates: int
) -> npt.NDArray[np.float64]:
    """Return the quantile of each column in samples of whole rows with replacement, shape (replicates, columns).

    A resampled quantile lies within a few sqrt(n) ranks of the sample's own, so only the rows that some column has
    there are drawn one by one; of the others only how many fall below is drawn. This is the plain bootstrap (Efron
    1979) but for a chance of about 1e-9, in O(sqrt(n)) for each sample.
    """
    n, rank = len(columns[0]), _rank(len(columns[0]), share)
    reach = math.ceil(WINDOW * math.sqrt(n * share * (1 - share))) + 1
    low, high = max(0, rank - reach), min(n, rank + reach + 1)
    near, below = np.zeros(n, dtype=bool), np.zeros(n, dtype=np.intp)
    for position, values in enumerate(columns):
        order = np.argpartition(values, [low, high - 1])
        near[order[low:high]] = True
        below[order[:low]] |= 1 << position
    rows = np.flatnonzero(near)
    cells = np.bincount(below[~near], minlength=1 << len(columns))
    drawn, away = _draws(len(rows), cells, n, rng, replicates)
    found = np.empty((replicates, len(columns)))
    for position, values in enumerate(columns):
        under = away[:, [cell for cell in range(len(cells)) if cell >> position & 1]].sum(axis=1)
        order = rows[np.argsort(values[rows], kind="stable")]
        counts = drawn[:, np.argsort(values[rows], kind="stable")].cumsum(axis=1) + under[:, None]
        found[:, position] = values[order][np.minimum((counts <= rank).sum(axis=1), len(order) - 1)]
    return found


def _draws(
    near: int, cells: npt.NDArray[np.intp], n: int, rng: np.random.Generator, replicates: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.int64]]:
    """Draw n rows `replicates` times: how often each near row comes, and how many rows of each cell of the others."""
    inside = rng.binomial(n, near / n, size=replicates)
    places = np.repeat(np.arange(replicates) * near, inside) + rng.integers(near, size=int(inside.sum()))
    drawn = np.bincount(places, minlength=replicates * near).reshape(replicates, near)
    others = n - near
    shares = cells / others if others else np.eye(len(cells))[0]
    return drawn, rng.multinomial(n - inside, shares)


def _rank(n: int, share: float) -> int:
    return min(n - 1, max(0, math.ceil(share * n - 1e-9) - 1))


def percentile_interval(samples: Floats, alpha: float) -> tuple[float, float]:
    """Return the interval that leaves alpha / 2 of the bootstrap samples out on either side."""
    low, high = np.quantile(samples, [alpha / 2, 1 - alpha / 2])
    return float(low), float(high)


def sample_ratio_p_value(rows_a: int, rows_b: int, share_b: float) -> float:
    """Return the p-value of Pearson's chi-square test that b's part of the rows is its share, 0 < share_b < 1."""
    rows = rows_a + rows_b
    return float(stats.chisquare([rows_a, rows_b], [rows * (1 - share_b), rows * share_b]).pvalue)


def wilson(hits: int, rows: int, z: float) -> Estimate:
    """Return a share with Wilson's score interval (1927)."""
    share = hits / rows
    centre, spread = share + z**2 / (2 * rows), z * math.sqrt(share * (1 - share) / rows + z**2 / (4 * rows**2))
    scale = 1 + z**2 / rows
    return Estimate(share, (centre - spread) / scale, (centre + spread) / scale)


def mcnemar_p_value(only_a: int, only_b: int) -> float:
    """Return the exact two-sided p-value of McNemar's test on the rows that one model alone gets right."""
    discordant = only_a + only_b
    return float(stats.binomtest(only_a, discordant).pvalue) if discordant else 1.0


def auc_influence(positive: npt.NDArray[np.bool_], score: Floats) -> tuple[float, Floats]:
    """Return the area under the ROC curve and what each row contributes to its error, shape (rows,).

    The sum of squares is DeLong's variance (DeLong, DeLong and Clarke-Pearson 1988), with placements from midranks
    (Sun and Xu 2014); that of a difference of contributions is the variance of the difference of two areas. Needs at
    least two rows of either kind.
    """
    ones, zeros = int(positive.sum()), int((~positive).sum())
    among_all = stats.rankdata(score)
    placed = np.empty(len(score))
    placed[positive] = (among_all[positive] - stats.rankdata(score[positive])) / zeros
    placed[~positive] = 1 - (among_all[~positive] - stats.rankdata(score[~positive])) / ones
    area = float(placed[positive].mean())
    scale = np.where(positive, math.sqrt(ones * (ones - 1)), math.sqrt(zeros * (zeros - 1)))
    return area, (placed - area) / scale
