"""The exact distance through grids, against scipy, and the counts that bins are made of."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from gauntlet.domain.drift_grid import FEW_ROWS, MANY_CELLS, MANY_ROWS, Grid
from gauntlet.domain.drift_numbers import compare_numbers, quantile_edges
from gauntlet.domain.drift_samples import NumericReference, NumericSample
from gauntlet.domain.drift_statistics import ks_p_value

Rng = np.random.Generator
ROWS = FEW_ROWS + 5000


def with_specials(rng: Rng, rows: int, shift: float) -> Any:
    values = rng.normal(shift, 1, rows)
    specials = [np.inf, -np.inf, -0.0, 0.0, np.nan, 5e-324]
    chosen = rng.permutation(rows)[: rows // 20]
    values[chosen] = rng.choice(specials, len(chosen))
    return values


def with_outlier(rng: Rng, rows: int, shift: float) -> Any:
    values = rng.normal(shift, 1, rows)
    values[0] = 1e6
    return values


KINDS: dict[str, Callable[[Rng, int, float], Any]] = {
    "normal": lambda rng, rows, shift: rng.normal(shift, 1, rows),
    "lognormal": lambda rng, rows, shift: rng.lognormal(shift, 1.5, rows),
    "cauchy": lambda rng, rows, shift: rng.standard_cauchy(rows) + shift,
    "rounded": lambda rng, rows, shift: rng.normal(shift, 1, rows).round(1),
    "half tied": lambda rng, rows, shift: np.maximum(rng.normal(shift, 1, rows), 0.2),
    "whole": lambda rng, rows, shift: rng.integers(0, 3000, rows) + int(1000 * shift),
    "whole and negative": lambda rng, rows, shift: rng.integers(-40, 40, rows) + int(10 * shift),
    "beyond 2^53": lambda rng, rows, shift: rng.integers(0, 10**9, rows) + 2**60 + int(10**8 * shift),
    "beyond 2^53, close": lambda rng, rows, shift: 3 * rng.integers(0, 900, rows) + 2**62 + int(100 * shift),
    "constant": lambda _rng, rows, _shift: np.full(rows, 7.0),
    "specials": with_specials,
    "outlier": with_outlier,
    "widest": lambda rng, rows, _shift: rng.uniform(-1, 1, rows) * rng.choice([1.7e308, 1e-300, 1.0], rows),
    "subnormal": lambda rng, rows, _shift: rng.integers(0, 10**6, rows) * 5e-324,
    "single": lambda rng, rows, shift: rng.normal(shift, 1, rows).astype(np.float32),
}


def reference_of(values: Any) -> NumericReference:
    return NumericReference.of(NumericSample.read(pd.Series(values)))


def check_against_scipy(reference: Any, current: Any) -> None:
    with np.errstate(all="ignore"):
        expected = stats.ks_2samp(reference, current, method="asymp", nan_policy="omit")
    ours, theirs = reference_of(reference), NumericSample.read(pd.Series(current))
    tenths = quantile_edges(ours)
    pair = compare_numbers(ours, theirs, tenths)
    assert pair.distance == pytest.approx(expected.statistic, abs=1e-12)
    assert ks_p_value(pair.distance, ours.size, theirs.size) == pytest.approx(expected.pvalue, abs=1e-12)
    assert pair.counts[0].tolist() == [int((theirs.values <= edge).sum()) for edge in tenths]


@pytest.mark.parametrize(("n", "m"), [(ROWS, ROWS), (3 * ROWS, ROWS - 7), (3000, ROWS), (ROWS, 40), (7, 5)])
@pytest.mark.parametrize("shift", [0.0, 0.02, 0.5, 40.0])
@pytest.mark.parametrize("kind", KINDS)
def test_the_distance_is_scipys(kind: str, shift: float, n: int, m: int) -> None:
    rng = np.random.default_rng(n + m)
    with np.errstate(over="ignore"):
        check_against_scipy(KINDS[kind](rng, n, 0.0), KINDS[kind](rng, m, shift))


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    kinds=st.tuples(st.sampled_from(sorted(KINDS)), st.sampled_from(sorted(KINDS))),
    sizes=st.tuples(st.integers(FEW_ROWS, 2 * FEW_ROWS), st.integers(1000, 2 * FEW_ROWS)),
    shift=st.sampled_from([0.0, 0.01, 0.3]),
)
def test_the_distance_is_scipys_for_any_mix(
    seed: int, kinds: tuple[str, str], sizes: tuple[int, int], shift: float
) -> None:
    """Each sample is half of one kind and half of another, so that some of the cells are full and many are empty."""
    rng = np.random.default_rng(seed)

    def mixed(rows: int, by: float) -> Any:
        return np.concatenate([KINDS[kind](rng, rows // 2, by) for kind in kinds])

    check_against_scipy(mixed(sizes[0], 0.0), mixed(sizes[1], shift))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32), kinds=st.tuples(st.sampled_from(sorted(KINDS)), st.sampled_from(sorted(KINDS))))
def test_the_distance_is_symmetric(seed: int, kinds: tuple[str, str]) -> None:
    rng = np.random.default_rng(seed)
    a, b = (NumericSample.read(pd.Series(KINDS[kind](rng, ROWS + 11 * k, 0.1))) for k, kind in enumerate(kinds))
    forth = compare_numbers(NumericReference.of(a), b).distance
    assert forth == compare_numbers(NumericReference.of(b), a).distance
    assert 0 <= forth <= 1
    assert compare_numbers(NumericReference.of(a), a).distance == 0


@pytest.mark.parametrize(
    ("kind", "by_bits"),
    [
        ("normal", False),
        ("specials", False),
        ("lognormal", True),
        ("cauchy", True),
        ("outlier", True),
        ("widest", True),
    ],
)
def test_heavy_tails_have_cells_by_bits(kind: str, by_bits: bool) -> None:
    grid = reference_of(KINDS[kind](np.random.default_rng(2), ROWS, 0.0)).grid
    assert grid is not None
    assert (grid.shift is not None) is by_bits


@pytest.mark.parametrize("kind", ["constant", "rounded"])
def test_ties_have_no_grid(kind: str) -> None:
    reference = reference_of(KINDS[kind](np.random.default_rng(2), ROWS, 0.0))
    assert reference.grid is None
    assert reference.steps.tolist() == sorted(set(reference.values))


@settings(max_examples=50)
@given(st.sampled_from(sorted(KINDS)), st.lists(st.floats(allow_nan=False), min_size=2))
def test_a_grid_is_monotone(kind: str, values: list[float]) -> None:
    grid = reference_of(KINDS[kind](np.random.default_rng(1), ROWS, 0.0)).grid
    if grid is not None:
        cells = grid.map(np.sort(np.array(values))).astype(np.int64)
        assert (np.diff(cells) >= 0).all()
        assert 0 <= cells.min() <= cells.max() < grid.cells
        assert grid.map(np.array([-0.0])) == grid.map(np.array([0.0]))


def test_very_many_rows_have_more_cells() -> None:
    grid = Grid.over(np.arange(MANY_ROWS) / 7)
    assert grid is not None
    assert grid.cells == MANY_CELLS
    assert grid.map(np.array([0.0, np.inf])).tolist() == [0, MANY_CELLS - 1]


@pytest.mark.parametrize("observations", [1, 2, 20, 140, 2400, 2501, 2600, 40_000, 500_000])
@pytest.mark.parametrize(
    "size", [0.01, 0.029999, 0.03, 0.05, 0.3, 1.0, 2.1999, 2.2, 2.2001, 3.0, 8.0, 17.9, 18.1, 60.0, 369.9, 370.1, 900.0]
)
def test_the_p_value_is_scipys(observations: int, size: float) -> None:
    distance = math.sqrt(size / observations)
    if distance <= 1:
        expected = float(stats.kstwo.sf(distance, observations))
        found = ks_p_value(distance, 2 * observations, 2 * observations)
        assert found == pytest.approx(expected, abs=1e-12)
        assert size > 300 or found == pytest.approx(expected, rel=1e-9)
