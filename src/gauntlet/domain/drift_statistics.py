"""The statistics of drift: p-values, the population stability index, and p-values adjusted for their number."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from gauntlet.domain.columns import Counts

ORIGINAL_EPSILON = 1e-6
"""What an empty level's share counts as in the plain PSI."""
SMOOTHING = 0.5
"""What the smoothed PSI adds to each level's count."""

CERTAIN = 0.03
"""Where n D^2 is below, the p-value is 1 to within 1e-15."""
TAIL, END, MANY = 2.2, 370.0, 2500
"""Where n D^2 lies between, scipy adds up n terms: slow from MANY on. Beyond END it answers 0."""
NODES = 500
"""At how many places the terms of that sum are looked at instead."""


def ks_p_value(distance: float, reference: int, current: int) -> float:
    """Return the two-sided asymptotic p-value of a KS distance for the two sample sizes.

    The distribution of the one-sample statistic at n*m / (n+m) observations, rounded, as
    `scipy.stats.ks_2samp(method="asymp")` takes it, to within 1e-12; 1 for one value against one, where scipy answers
    NaN.
    """
    observations = int(np.round(float(reference) * current / (float(reference) + current)))
    size = observations * distance * distance  # in this order, since scipy's answer has a step at TAIL
    if not observations or size < CERTAIN:
        return 1.0
    if observations > MANY and distance < 0.5 and TAIL <= size < END:
        return 2 * _smirnov(distance, observations)
    return float(np.clip(stats.kstwo.sf(distance, observations), 0, 1))


def _smirnov(distance: float, observations: int) -> float:
    """Return P(D+ >= d), d * sum over j of binom(n, j) (d + j/n)^(j-1) (1 - d - j/n)^(n-j), 0 <= j <= n (1 - d).

    Birnbaum and Tingey 1951. For many observations the terms are a smooth function of j that vanishes with all its
    derivatives at both ends, so the sum over every j is that over evenly spaced places, times their spacing. A term is
    a binomial probability, in the form by which Loader (2000) loses no digits, over d + j/n.
    """
    n, nd = float(observations), observations * distance
    spacing = (n - nd) / NODES
    j = spacing * np.arange(1, NODES)
    k = n - j
    deviance = j * np.log1p(nd / j) + k * np.log1p(-nd / k)
    stirling = _stirling(n) - _stirling(j) - _stirling(k)
    terms = np.exp(stirling + deviance) * np.sqrt(n / (2 * math.pi * j * k)) / (distance + j / n)
    return float(distance * spacing * terms.sum())


def _stirling(number: Any) -> Any:
    """Return ln(n!) less Stirling's formula for it, from its series."""
    square = 1 / (number * number)
    return (1 / 12 - square * (1 / 360 - square * (1 / 1260 - square / 1680))) / number


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
