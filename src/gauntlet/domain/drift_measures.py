"""The tests of one column: everything that is measured, before any rule judges it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gauntlet.domain.columns import Counts, Numbers
from gauntlet.domain.drift_numbers import bin_counts, compare_numbers, quantile_edges
from gauntlet.domain.drift_overlays import categorical_overlay, numeric_overlay, overlay_edges
from gauntlet.domain.drift_report import Overlay
from gauntlet.domain.drift_samples import CategoricalSample, Current, NumericReference, NumericSample, Reference
from gauntlet.domain.drift_statistics import chi_square_p_value, ks_p_value, psi_original, psi_smoothed


@dataclass(frozen=True)
class Measured:
    """What was measured of a column that has values in both samples.

    `distance` is the KS distance of numbers, None for categories; `p_value` is that of the KS test or of chi-square on
    the counts of categories; the PSI is that of categories or of bins of numbers, smoothed and as the rule ORIGINAL has
    it.
    """

    distance: float | None
    p_value: float
    psi: float
    psi_original: float
    overlay: Overlay | None


def measure(column: str, known: Sequence[str], reference: Reference, current: Current) -> Measured | None:
    """Compare two samples of a column; None where one is empty. `known` are the categories in the spec's order."""
    if not reference.size or not current.size:
        return None
    if isinstance(reference, NumericReference) and isinstance(current, NumericSample):
        return _numbers(column, reference, current)
    if isinstance(reference, CategoricalSample) and isinstance(current, CategoricalSample):
        table = level_table(reference, current)
        overlay = categorical_overlay(column, known, reference, current)
        return Measured(None, chi_square_p_value(table), psi_smoothed(table), psi_original(table), overlay)
    raise TypeError("the samples of a column must be of one kind")


def level_table(reference: CategoricalSample, current: CategoricalSample) -> Counts:
    """Return the counts of both samples over the union of their levels, shape (2, levels)."""
    levels = sorted({*reference.counts, *current.counts})
    return np.array([[sample.counts.get(level, 0) for level in levels] for sample in (reference, current)])


def _numbers(column: str, reference: NumericReference, current: NumericSample) -> Measured:
    tenths, edges = quantile_edges(reference), overlay_edges(reference, current)
    inner: Numbers = edges[1:-1]
    if reference.values.dtype == current.values.dtype == np.int64:
        inner = np.floor(inner).astype(np.int64)  # the same bins; with fractions all whole numbers would be converted
    pair = compare_numbers(reference, current, tenths, inner)
    in_tenths, in_bins = pair.counts
    sizes = reference.size, current.size
    table = np.array(
        [bin_counts(reference.at_most(tenths), reference.size), bin_counts(in_tenths, current.size)], dtype=np.int64
    )
    table = table[:, table.any(axis=0)]
    overlay = numeric_overlay(column, edges, reference.at_most(inner), in_bins, sizes) if len(edges) else None
    p_value = ks_p_value(pair.distance, *sizes)
    return Measured(pair.distance, p_value, psi_smoothed(table), psi_original(table), overlay)
