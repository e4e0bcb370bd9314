"""Intervals against scipy, statsmodels, and the definitions written out."""

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.power import TTestPower
from statsmodels.stats.proportion import proportion_confint

from gauntlet.domain.intervals import (
    auc_influence,
    bootstrap_quantiles,
    mcnemar_p_value,
    paired_effect,
    percentile_interval,
    quantile,
    sample_ratio_p_value,
    welch_effect,
    wilson,
)
from gauntlet.domain.promotion import PromotionPolicy, rows_needed


def losses(rows: int, seed: int = 0, better: float = 0.1) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    a = rng.exponential(3.0, rows)
    return a, a * (1 - better) * rng.uniform(0.6, 1.4, rows)


def test_the_paired_error_is_that_of_a_paired_t_test() -> None:
    a, b = losses(4000)
    found = paired_effect(a, b)
    assert found.effect is not None
    against = stats.ttest_rel(b, (1 + found.effect) * a).confidence_interval(0.95)
    half = stats.t.ppf(0.975, 3999) * (found.error or 0.0)
    assert half == pytest.approx((against.high - against.low) / 2 / a.mean(), rel=1e-12)
    close_a, close_b = losses(4000, better=0.01)
    close = paired_effect(close_a, close_b)
    assert close.effect is not None
    assert close.error is not None
    assert close.effect / close.error == pytest.approx(stats.ttest_rel(close_b, close_a).statistic, rel=0.02)


def test_the_split_interval_is_welchs() -> None:
    a, b = losses(700, 1)[0], losses(450, 2)[1]
    found = welch_effect(a, b)
    assert found.effect is not None
    assert found.effect == b.mean() / a.mean() - 1
    test = stats.ttest_ind(b, (1 + found.effect) * a, equal_var=False)
    low, high = test.confidence_interval(0.95)
    assert found.degrees == pytest.approx(test.df, rel=1e-12)
    assert found.error is not None
    half = PromotionPolicy().critical(found.degrees) * found.error
    assert half == pytest.approx((high - low) / 2 / a.mean(), rel=1e-9)


@pytest.mark.parametrize("effect_of", [paired_effect, welch_effect])
def test_effects_that_cannot_be_told(effect_of: Any) -> None:
    none, zeros, ones = np.array([]), np.zeros(3), np.ones(3)
    assert effect_of(none, none) == (None, None, None)
    assert effect_of(zeros, ones) == (None, None, None)
    assert effect_of(zeros, zeros).effect == 0.0
    assert effect_of(ones[:1], 2 * ones[:1]) == (1.0, None, None)
    assert effect_of(ones, 2 * ones)[:2] == (1.0, 0.0)


def test_the_rows_needed_are_those_of_a_one_sided_t_test() -> None:
    exact = TTestPower().solve_power(effect_size=0.05 / 1.3, alpha=0.025, power=0.8, alternative="larger")
    assert rows_needed(1.3, PromotionPolicy()) == pytest.approx(exact, rel=1e-3)


def test_the_sample_ratio_test_is_pearsons() -> None:
    expected = np.array([600.0, 400.0])
    statistic = float(((np.array([570, 430]) - expected) ** 2 / expected).sum())
    assert sample_ratio_p_value(570, 430, 0.4) == pytest.approx(stats.chi2.sf(statistic, 1), rel=1e-12)
    assert sample_ratio_p_value(600, 400, 0.4) == 1.0


def test_shares_have_wilsons_interval_and_mcnemars_test() -> None:
    found = wilson(831, 1000, stats.norm.ppf(0.975))
    assert (found.low, found.high) == pytest.approx(proportion_confint(831, 1000, method="wilson"), rel=1e-9)
    everything = wilson(50, 50, 1.96)
    assert everything.low < everything.value == everything.high == 1.0
    assert mcnemar_p_value(25, 11) == pytest.approx(mcnemar([[0, 25], [11, 0]], exact=True).pvalue, rel=1e-12)
    assert mcnemar_p_value(0, 0) == 1.0


def by_definition(positive: Any, first: Any, second: Any) -> tuple[float, float, float, float]:
    """Both areas, and DeLong's variances of the first and of the difference, from the kernel of every pair."""

    def components(score: Any) -> tuple[Any, Any]:
        kernel = (score[positive][:, None] > score[~positive]) + 0.5 * (score[positive][:, None] == score[~positive])
        return kernel.mean(axis=1), kernel.mean(axis=0)

    ones_a, zeros_a = components(first)
    ones_b, zeros_b = components(second)

    def variance(ones: Any, zeros: Any) -> float:
        return float(ones.var(ddof=1) / len(ones) + zeros.var(ddof=1) / len(zeros))

    return (
        ones_a.mean(),
        ones_b.mean(),
        variance(ones_a, zeros_a),
        variance(ones_b - ones_a, zeros_b - zeros_a),
    )


def test_the_area_under_the_curve_has_delongs_variance() -> None:
    rng = np.random.default_rng(3)
    positive = rng.uniform(size=300) < 0.3
    first = np.round(rng.normal(size=300) + positive, 1)  # with ties
    second = np.round(first + rng.normal(0, 0.5, 300), 1)
    area_a, parts_a = auc_influence(positive, first)
    area_b, parts_b = auc_influence(positive, second)
    expected = by_definition(positive, first, second)
    found = area_a, area_b, float((parts_a**2).sum()), float(((parts_b - parts_a) ** 2).sum())
    assert found == pytest.approx(expected, rel=1e-12)


def test_a_quantile_is_the_inverse_of_the_empirical_distribution() -> None:
    values = np.random.default_rng(1).exponential(size=997)
    for share in (0.01, 0.5, 0.95, 0.999):
        assert quantile(values, share) == np.quantile(values, share, method="inverted_cdf")
    assert quantile(np.array([7.0]), 0.95) == 7.0


@pytest.mark.parametrize("rows", [12, 400, 20_000])
def test_the_bootstrap_of_quantiles_is_the_plain_one(rows: int) -> None:
    """Drawing only the rows near the quantile gives the distribution that drawing all of them gives."""
    a, b = losses(rows)
    replicates = 1500 if rows < 10_000 else 300
    rng = np.random.default_rng(2)
    plain = np.empty((replicates, 2))
    for each in range(replicates):
        drawn = rng.integers(rows, size=rows)
        plain[each] = [np.quantile(values[drawn], 0.95, method="inverted_cdf") for values in (a, b)]
    quick = bootstrap_quantiles([a, b], 0.95, np.random.default_rng(3), replicates)
    for weights in ([1, 0], [0, 1], [-1, 1]):  # either quantile, and their difference
        assert stats.ks_2samp(quick @ weights, plain @ weights).pvalue > 1e-3
    assert np.asarray(np.corrcoef(quick.T)) == pytest.approx(np.asarray(np.corrcoef(plain.T)), abs=0.12)


def test_an_interval_of_bootstrap_samples() -> None:
    assert percentile_interval(np.arange(1001.0), 0.05) == (25.0, 975.0)
    assert math.isclose(*percentile_interval(np.full(10, 3.0), 0.05))
