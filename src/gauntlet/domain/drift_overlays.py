"""Overlays: a column's two samples over the same bins, for people to look at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gauntlet.domain.columns import Counts, Floats, Numbers
from gauntlet.domain.drift_grid import finite
from gauntlet.domain.drift_numbers import bin_counts
from gauntlet.domain.drift_report import Overlay
from gauntlet.domain.drift_samples import CategoricalSample, NumericReference, NumericSample

BINS = 30
"""At most so many bins or levels are shown."""
OTHER = "(other)"
SHOWN = 0.005
"""The bins reach from this quantile of either sample to the same one from above: outliers would hide the rest."""
PROBES = 2**12
"""How many current values tell their quantiles."""


def overlay_edges(reference: NumericReference, current: NumericSample) -> Floats:
    """Return the edges of bins of equal width over most of both samples; none when no two numbers differ."""
    ends = _ends(np.concatenate([_quantiles(reference.values), _quantiles(_probes(current.values))]))
    if ends is None:
        return np.empty(0)
    low, high = ends
    whole = reference.values.dtype == current.values.dtype == np.int64
    if whole and high - low < BINS:
        return np.arange(low - 0.5, high + 1)
    if not np.isfinite(high - low):
        return np.empty(0)
    return np.unique(low + (high - low) * (np.arange(BINS + 1) / BINS))


def numeric_overlay(column: str, edges: Floats, reference: Counts, current: Counts, sizes: tuple[int, int]) -> Overlay:
    """Return the overlay of a numeric column from both samples' counts up to the inner edges."""
    shares = [_shares(bin_counts(counts, size)) for counts, size in zip((reference, current), sizes, strict=True)]
    return Overlay(column, tuple(edges.tolist()), (), *shares)


def categorical_overlay(
    column: str, known: Sequence[str], reference: CategoricalSample, current: CategoricalSample
) -> Overlay:
    """Return the overlay of a categorical column: the known levels first, in their order."""
    samples = (reference.counts, current.counts)
    levels = [*(level for level in known if any(level in counts for counts in samples))]
    levels += sorted({*samples[0], *samples[1]}.difference(levels))
    if len(levels) > BINS:
        share = {
            level: max(reference.counts.get(level, 0) / reference.size, current.counts.get(level, 0) / current.size)
            for level in levels
        }
        kept = set(sorted(levels, key=lambda level: -share[level])[: BINS - 1])
        levels = [level for level in levels if level in kept]
    table = np.array([[counts.get(level, 0) for level in levels] for counts in samples], dtype=np.int64)
    rest = np.array([[reference.size], [current.size]]) - table.sum(axis=1, keepdims=True)
    if rest.any():
        levels, table = [*levels, OTHER], np.hstack([table, rest])
    return Overlay(column, (), tuple(levels), _shares(table[0]), _shares(table[1]))


def _shares(counts: Counts) -> tuple[float, ...]:
    return tuple((counts / counts.sum()).tolist())


def _probes(values: Numbers) -> Numbers:
    return np.sort(values[:: max(len(values) // PROBES, 1)])


def _quantiles(ordered: Numbers) -> Numbers:
    """Return the outer quantiles of a sorted sample's finite numbers; none when there are none."""
    numbers = finite(ordered)
    last = len(numbers) - 1
    return numbers[[int(SHOWN * last), last - int(SHOWN * last)]] if len(numbers) else numbers


def _ends(numbers: Numbers) -> tuple[float, float] | None:
    if not len(numbers) or numbers.min() == numbers.max():
        return None
    return float(numbers.min()), float(numbers.max())
