"""The confidence sequence: its formula, its edges, and what it promises about looking every hour."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gauntlet.domain.confidence_sequence import PairedSums, WatchPolicy, bounds
from gauntlet.domain.intervals import paired_effect

POLICY = WatchPolicy()


def losses(rows: int, seed: int, worse: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Losses of two models of one kind on the same rows: exactly equal but for a factor, since they are swapped."""
    rng = np.random.default_rng(seed)
    a = rng.lognormal(5, 1.2, rows)
    b = a * rng.lognormal(0, 0.5, rows)
    swapped = rng.random(rows) < 0.5
    return np.where(swapped, b, a), np.where(swapped, a, b) * (1 + worse)


def test_the_effect_and_its_spread_are_those_of_a_comparison() -> None:
    a, b = losses(3000, 1, worse=0.1)
    found, expected = bounds(PairedSums.of(a, b), POLICY), paired_effect(a, b)
    assert found is not None
    assert expected.error is not None
    assert found.effect == pytest.approx(expected.effect, rel=1e-12)
    spread = expected.error * math.sqrt(3000)
    rho2 = (2 * math.log(20) + math.log(1 + 2 * math.log(20))) / 5000
    scaled = 3000 * rho2 + 1
    half = math.sqrt(2 * scaled / (3000**2 * rho2) * math.log(1 + math.sqrt(scaled) / 0.05))
    assert found.upper - found.effect == pytest.approx(spread * half, rel=1e-9)
    assert found.effect - found.lower == pytest.approx(spread * half, rel=1e-9)


@given(alpha=st.floats(0.001, 0.1), tuned=st.integers(500, 50_000))
def test_the_bounds_are_tightest_where_they_are_tuned(alpha: float, tuned: int) -> None:
    def width(rows_tuned: int) -> float:
        sums = PairedSums(tuned, 1.0, 1.0, 2.0 * tuned, 2.0 * tuned, float(tuned))
        found = bounds(sums, WatchPolicy(alpha=alpha, tuned_rows=rows_tuned, min_rows=2))
        assert found is not None
        return found.upper - found.lower

    assert width(tuned) <= 1.02 * min(width(tuned // 3), width(tuned * 3))


def test_one_sequence_is_wider_than_one_interval_and_narrows() -> None:
    sums = [PairedSums(rows, 1.0, 1.0, 2.0 * rows, 2.0 * rows, float(rows)) for rows in (1000, 5000, 50_000)]
    widths = [found.upper - found.lower for found in (bounds(each, POLICY) for each in sums) if found is not None]
    assert widths == sorted(widths, reverse=True)
    one_look = [2 * 1.96 * math.sqrt(2 / each.rows) for each in sums]
    assert all(1.2 < width / single < 2.5 for width, single in zip(widths, one_look, strict=True))


def test_the_same_model_is_never_worse() -> None:
    a, _ = losses(2000, 2)
    found = bounds(PairedSums.of(a, a), POLICY)
    assert found is not None
    assert (found.effect, found.lower, found.upper) == (0.0, 0.0, 0.0)


def test_a_loss_that_is_higher_by_one_factor_on_every_row_leaves_no_doubt() -> None:
    a, _ = losses(2000, 3)
    found = bounds(PairedSums.of(a, a * 1.1), POLICY)
    assert found is not None
    assert found.lower == pytest.approx(0.1, abs=1e-6)


def test_too_few_rows_say_nothing() -> None:
    a, b = losses(999, 4, worse=5.0)
    assert bounds(PairedSums.of(a, b), POLICY) is None
    assert bounds(PairedSums.of(a[:1], b[:1]), WatchPolicy(min_rows=0)) is None


def test_a_version_before_that_makes_no_error_gives_no_effect() -> None:
    a, b = losses(1000, 5)
    assert bounds(PairedSums.of(np.zeros(1000), b), POLICY) is None
    found = bounds(PairedSums.of(a, np.zeros(1000)), POLICY)
    assert found is not None
    assert found.effect == -1.0


def alarms(worse: float, watches: int) -> list[int]:
    """At how many rows each watch of 14 days, 1,000 rows a day, one look an hour, first shows production worse."""
    found = []
    n = np.linspace(0, 14_000, 14 * 24 + 1).round().astype(int)[1:]
    for seed in range(watches):
        a, b = losses(14_000, 100 + seed, worse)
        x, y = a - a.mean(), b - b.mean()
        sx, sy, sxx, syy, sxy = (np.cumsum(each)[n - 1] for each in (x, y, x * x, y * y, x * y))
        looks = zip(
            a.mean() + sx / n, b.mean() + sy / n, sxx - sx * sx / n, syy - sy * sy / n, sxy - sx * sy / n, strict=True
        )
        for rows, sums in zip(n.tolist(), looks, strict=True):
            bound = bounds(PairedSums(rows, *(float(each) for each in sums)), POLICY)
            if bound is not None and bound.lower > 0:
                found.append(rows)
                break
    return found


def test_equal_models_are_rarely_called_worse_however_often_one_looks() -> None:
    assert len(alarms(0.0, watches=400)) <= 10  # 2.5 %; 0.8 % is usual


def test_production_that_is_5_percent_worse_is_found_within_14_days() -> None:
    found = alarms(0.05, watches=60)
    assert len(found) >= 57
    assert np.mean(found) < 7_000
