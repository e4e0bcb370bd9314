"""The promotion rule keeps its promises on real diamonds; `python -m benchmarks.promotion` is the long version.

Every seed is fixed. Each bound is one that the rule as it is meant keeps and that a broken one would not.
"""

import pytest
from benchmarks.promotion.held_out import BOOSTING, Diamonds, Pair, in_pairs
from benchmarks.promotion.retrains import months
from benchmarks.promotion.trials import PAIRED, Tally, tally
from scipy import stats

from gauntlet.domain.scores import Floats

ROWS = 5_000


@pytest.fixture(scope="module")
def diamonds() -> Diamonds:
    return Diamonds.load()


@pytest.fixture(scope="module")
def models(diamonds: Diamonds) -> list[Floats]:
    return diamonds.models(BOOSTING, 12)


@pytest.fixture(scope="module")
def pairs(diamonds: Diamonds, models: list[Floats]) -> list[Pair]:
    return in_pairs(diamonds.rows(), models[:8])


@pytest.fixture(scope="module")
def equal(pairs: list[Pair]) -> Tally:
    return tally(pairs, ROWS, range(400), swap=True)


def test_equal_models_are_hardly_ever_promoted(equal: Tally) -> None:
    # A rule that errs in 2.5 % of 400 runs makes at most 18 promotions with a probability of .993, and one that errs
    # in 10 % with one of .00004.
    assert stats.binom.cdf(18, 400, PAIRED.alpha) > 0.99
    assert stats.binom.cdf(18, 400, 0.10) < 1e-4
    assert equal.promoted <= equal.shown <= 18


def test_the_same_runs_fool_the_lower_mean(equal: Tally) -> None:
    assert 0.4 <= equal.common / equal.runs <= 0.6


def test_a_gain_of_five_percent_is_found(pairs: list[Pair]) -> None:
    better = [pair.rescaled(-0.05) for pair in pairs]
    assert [pair.effect for pair in better] == pytest.approx([-0.05] * 4)
    found = tally(better, ROWS, range(100))
    assert found.promoted >= 80


def test_a_loss_of_two_percent_is_not_taken_for_a_gain(pairs: list[Pair]) -> None:
    found = tally([pair.rescaled(0.02) for pair in pairs], ROWS, range(100))
    assert found.promoted <= 2
    assert found.common >= 20


def test_one_bad_segment_blocks_a_better_whole(pairs: list[Pair]) -> None:
    worse = [pair.worse_in("clarity", "SI2", 0.15, -0.10) for pair in pairs]
    assert [pair.effect for pair in worse] == pytest.approx([-0.10] * 4)
    found = tally(worse, ROWS, range(100))
    assert found.shown >= 95  # without guardrails it would pass
    assert found.promoted <= 20


def test_daily_retrains_do_little_harm(diamonds: Diamonds, models: list[Floats]) -> None:
    found = months(diamonds.rows(), models, ROWS, 5)
    harmful = {name: sum(month.harmful for month in results) for name, results in found.items()}
    assert harmful["paired rule"] <= 2
    assert harmful["lower MAE on halves"] >= 10
