"""The statistics of drift, against scipy and against their laws."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from gauntlet.domain.drift_measures import level_table
from gauntlet.domain.drift_numbers import compare_numbers
from gauntlet.domain.drift_samples import CategoricalSample, NumericReference, NumericSample
from gauntlet.domain.drift_statistics import (
    adjusted_p_values,
    chi_square_p_value,
    ks_p_value,
    psi_original,
    psi_smoothed,
)

TIED = st.integers(-3, 3).map(lambda value: value / 2)
SPECIAL = st.sampled_from([0.0, -0.0, math.inf, -math.inf, math.nan, 5e-324, 1.7e308])
VALUES = st.lists(TIED | SPECIAL | st.floats(allow_nan=False), min_size=1, max_size=40).filter(
    lambda values: any(not math.isnan(value) for value in values)
)
COUNTS = st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 500), min_size=1)


def numbers(values: Any) -> NumericSample:
    return NumericSample.read(pd.Series(values))


def ks_distance(reference: NumericSample, current: NumericSample) -> float:
    return compare_numbers(NumericReference.of(reference), current).distance


def table(reference: dict[str, int], current: dict[str, int]) -> Any:
    return level_table(CategoricalSample(reference, 0, 0), CategoricalSample(current, 0, 0))


def compare_with_scipy(reference: Any, current: Any) -> None:
    with np.errstate(all="ignore"):
        expected = stats.ks_2samp(reference, current, method="asymp", nan_policy="omit")
    a, b = numbers(reference), numbers(current)
    distance = ks_distance(a, b)
    assert distance == pytest.approx(expected.statistic, abs=1e-12)
    if not np.isnan(expected.pvalue):  # scipy has no answer for one value against one
        assert ks_p_value(distance, a.size, b.size) == pytest.approx(expected.pvalue, abs=1e-12)


@given(VALUES, VALUES)
def test_ks_is_scipys_for_any_numbers(reference: list[float], current: list[float]) -> None:
    compare_with_scipy(np.array(reference), np.array(current))


@pytest.mark.parametrize(("n", "m"), [(1, 2), (2, 5000), (3500, 5000), (5000, 3500), (20000, 20000)])
def test_ks_is_scipys_for_unequal_samples_with_ties(n: int, m: int) -> None:
    rng = np.random.default_rng(n + m)
    compare_with_scipy(rng.normal(size=n).round(1), rng.normal(0.1, size=m).round(1))


def test_ks_golden() -> None:
    a, b = numbers([1.0, 2.0, 2.0, 3.0]), numbers([2.0, 3.0, 4.0, 4.0, 4.0])
    assert ks_distance(a, b) == pytest.approx(3 / 3 - 2 / 5)
    assert ks_p_value(0.1, 5000, 5000) == pytest.approx(3.602e-22, rel=1e-3)
    assert ks_p_value(1.0, 1, 1) == 1.0


@given(VALUES, VALUES)
def test_ks_distance_is_a_symmetric_share(reference: list[float], current: list[float]) -> None:
    a, b = numbers(reference), numbers(current)
    assert 0 <= ks_distance(a, b) <= 1
    assert ks_distance(a, b) == ks_distance(b, a)
    assert ks_distance(a, a) == 0


@given(st.data(), VALUES)
def test_the_order_of_rows_says_nothing(data: st.DataObject, values: list[float]) -> None:
    shuffled = data.draw(st.permutations(values))
    a, b = (NumericReference.of(numbers(sample)).values for sample in (values, shuffled))
    assert a.tobytes() == b.tobytes()


def test_whole_numbers_beyond_2_to_the_53_are_compared_as_integers() -> None:
    reference, current = np.arange(100) * 2 + 2**60, np.arange(100) * 2 + 2**60 + 1
    assert ks_distance(numbers(reference), numbers(current)) == pytest.approx(0.01)
    far = np.full(10, 2**60 + 1)
    assert ks_distance(numbers(np.full(10, 2**60)), numbers(far)) == 1.0
    with_gap = pd.Series([*far, None], dtype="Int64")
    assert ks_distance(numbers(np.full(10, 2**60)), numbers(with_gap)) == 1.0


@pytest.mark.parametrize(("current", "distance", "p_value"), [([7.0] * 50, 0.0, 1.0), ([8.0] * 50, 1.0, 0.0)])
def test_constants(current: list[float], distance: float, p_value: float) -> None:
    a, b = numbers([7.0] * 40), numbers(current)
    assert ks_distance(a, b) == distance
    assert ks_p_value(distance, a.size, b.size) == pytest.approx(p_value, abs=1e-12)


def test_negative_zero_is_zero() -> None:
    assert ks_distance(numbers([0.0, 0.0]), numbers([-0.0, -0.0])) == 0


@given(COUNTS, COUNTS)
def test_psi_is_symmetric_and_never_negative(reference: dict[str, int], current: dict[str, int]) -> None:
    for psi in (psi_smoothed, psi_original):
        forth, back = psi(table(reference, current)), psi(table(current, reference))
        assert forth >= 0
        assert forth == pytest.approx(back)
        assert psi(table(reference, reference)) == 0


def test_psi_golden() -> None:
    counts = table({"x": 30, "y": 70}, {"x": 50, "y": 50})
    by_hand = (0.5 - 0.3) * math.log(0.5 / 0.3) + (0.5 - 0.7) * math.log(0.5 / 0.7)
    assert psi_original(counts) == pytest.approx(by_hand)
    p, q = 30.5 / 101, 50.5 / 101
    smoothed = (q - p) * math.log(q / p) + ((1 - q) - (1 - p)) * math.log((1 - q) / (1 - p))
    assert psi_smoothed(counts) == pytest.approx(smoothed)


def test_psi_of_a_level_that_is_new() -> None:
    counts = table({"x": 100}, {"x": 90, "y": 10})
    assert psi_original(counts) == pytest.approx(
        (0.9 - 1) * math.log(0.9) + (0.1 - 1e-6) * math.log(0.1 / 1e-6), rel=1e-6
    )
    p, q = 0.5 / 101, 10.5 / 101
    assert psi_smoothed(counts) == pytest.approx((q - p) * math.log(q / p) + (p - q) * math.log((1 - q) / (1 - p)))


def test_chi_square_is_pearsons() -> None:
    counts = table({"x": 30, "y": 70}, {"x": 50, "y": 50})
    expected = 2 * (10**2 / 40 + 10**2 / 60)
    assert chi_square_p_value(counts) == pytest.approx(stats.chi2.sf(expected, 1))
    assert chi_square_p_value(table({"x": 3}, {"x": 5})) == 1.0


def test_p_values_adjusted_by_hand() -> None:
    assert adjusted_p_values([0.01, 0.04, 0.03, 0.5]) == pytest.approx([0.04, 0.16 / 3, 0.16 / 3, 0.5])
    assert adjusted_p_values([]) == []


@pytest.mark.parametrize("dtype", [object, "str", "category"])
def test_categories_count_alike_whatever_their_dtype(dtype: Any) -> None:
    sample = CategoricalSample.read(pd.Series(["b", "a", None, "b"], dtype=dtype))
    assert (sample.counts, sample.missing, sample.misfits) == ({"a": 1, "b": 2}, 1, 0)


def test_a_category_without_rows_is_no_level() -> None:
    column = pd.Series(pd.Categorical(["a"], categories=["a", "b"]))
    assert CategoricalSample.read(column).counts == {"a": 1}
