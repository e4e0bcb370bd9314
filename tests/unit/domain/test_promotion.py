"""Verdicts: what is promoted, what is kept, and what does not count."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gauntlet.domain.comparison import compare, compare_arms
from gauntlet.domain.promotion import Decision, PromotionPolicy, PromotionRule, decide
from gauntlet.domain.spec import Spec
from gauntlet.domain.verdict import Verdict

from .conftest import HOUSES

PAIRED = PromotionPolicy()
ORIGINAL = PromotionPolicy(rule=PromotionRule.ORIGINAL)


def verdict_on(
    champion_errors: Any, challenger_errors: Any, policy: PromotionPolicy = PAIRED, **changes: Any
) -> Decision:
    """Decide on two models' errors against a truth of 0."""
    rows = len(champion_errors)
    given = {"row_ids": np.arange(rows), "trained_row_ids": np.array([], dtype=np.int64), "segments": {}, **changes}
    spec, truth = Spec.parse("houses", HOUSES), given.pop("truth", np.zeros(rows))
    return decide(
        compare(spec=spec, truth=truth, champion=champion_errors, challenger=challenger_errors, **given), policy
    )


def errors(rows: int, seed: int = 0, better: float = 0.0) -> tuple[Any, Any]:
    """Errors of two models that share a part; the challenger's are smaller by a share."""
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=rows)
    champion = shared + rng.normal(0, 0.5, rows)
    return champion, (shared + rng.normal(0, 0.5, rows)) * (1 - better)


def test_a_better_challenger_is_promoted() -> None:
    decision = verdict_on(*errors(5000, better=0.1))
    assert decision.verdict is Verdict.PROMOTE
    assert decision.reason == (
        "challenger's MAE is 11.1 % lower (95 % interval -12.7 % to -9.4 %) on 5,000 paired rows"
    )
    assert decision.effect == pytest.approx(-0.1, abs=0.02)
    assert decision.interval is not None
    assert decision.interval[0] < -0.1 < decision.interval[1] < 0
    assert decision.rows == 5000


def test_an_equal_or_worse_challenger_is_not() -> None:
    equal, worse = verdict_on(*errors(5000)), verdict_on(*errors(5000, better=-0.1))
    assert (equal.verdict, worse.verdict) == (Verdict.KEEP, Verdict.KEEP)
    assert equal.reason.endswith("on 5,000 paired rows: a gain of 5 % is excluded")
    assert worse.reason.startswith(
        "challenger's MAE is 8.7 % higher (95 % interval +6.7 % to +10.7 %) on 5,000 paired rows: "
        "a gain of 5 % is excluded; and a guardrail fails: p95 error: "
    )


def test_what_the_rows_cannot_tell_is_inconclusive() -> None:
    rng = np.random.default_rng(3)
    decision = verdict_on(rng.normal(size=1000), rng.normal(size=1000) * 0.97)
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert decision.rows_needed is not None
    assert decision.rows_needed > 1000
    assert f"which takes about {decision.rows_needed:,} rows" in decision.reason


def test_the_rows_needed_reach_the_power() -> None:
    """7.85 * (sd / (mde * mean))^2 rows find a gain of 5 % in 80 of 100 tests."""
    needed = verdict_on(*errors(20_000, seed=1, better=0.05)).rows_needed
    assert needed is not None
    policy = PromotionPolicy(min_rows=100)
    exact = verdict_on(*errors(20_000, seed=1, better=0.05), policy).rows_needed
    promoted = sum(
        verdict_on(*errors(needed, seed=seed, better=0.05), policy).verdict is Verdict.PROMOTE for seed in range(300)
    )
    assert exact == needed
    assert 0.72 < promoted / 300 < 0.88


def test_equal_models_are_rarely_promoted() -> None:
    """2.5 in 100 by design; the lower mean alone would promote 50."""
    rows, runs = 1000, 1000
    verdicts = [verdict_on(*errors(rows, seed=seed)).verdict for seed in range(runs)]
    promoted = verdicts.count(Verdict.PROMOTE) / runs
    assert 0.01 < promoted < 0.04
    assert Verdict.INVALID not in verdicts


def test_the_same_model_twice_is_kept() -> None:
    champion, _ = errors(5000)
    decision = verdict_on(champion, champion.copy())
    assert (decision.verdict, decision.effect, decision.interval) == (Verdict.KEEP, 0.0, (0.0, 0.0))
    assert decision.reason == (
        "challenger's MAE equals the champion's (95 % interval +0.0 % to +0.0 %) on 5,000 paired rows: "
        "a gain of 5 % is excluded"
    )


def test_a_champion_without_error_is_kept() -> None:
    perfect, wrong = np.zeros(1000), np.full(1000, 2.5)
    decision = verdict_on(perfect, wrong)
    assert decision.verdict is Verdict.KEEP
    assert decision.reason == "the champion's MAE is 0 and cannot be beaten; the challenger's is 2.5 on 1,000 rows"
    assert verdict_on(perfect, perfect).verdict is Verdict.KEEP
    assert verdict_on(wrong, perfect).verdict is Verdict.PROMOTE


def test_too_few_rows_are_invalid_however_good_the_challenger() -> None:
    decision = verdict_on(*errors(300, better=0.2))
    assert (decision.verdict, decision.effect, decision.interval, decision.rows) == (Verdict.INVALID, None, None, 300)
    assert decision.reason == "the test needs 1,000 rows; there are 300"


def test_no_rows_at_all_are_invalid() -> None:
    assert verdict_on(np.array([]), np.array([])).verdict is Verdict.INVALID
    one = verdict_on(np.array([2.0]), np.array([1.0]), PromotionPolicy(min_rows=1))
    assert (one.verdict, one.reason) == (Verdict.INVALID, "the test needs 2 rows; there are 1")


def test_training_rows_do_not_count() -> None:
    """A challenger that knows the test rows by heart is judged on the others alone."""
    champion, challenger = errors(5000)
    challenger[:3000] = 0
    leaked = verdict_on(champion, challenger)
    assert leaked.verdict is Verdict.PROMOTE
    decision = verdict_on(champion, challenger, trained_row_ids=np.arange(3000))
    assert (decision.verdict, decision.rows) == (Verdict.KEEP, 2000)
    few = verdict_on(champion, challenger, trained_row_ids=np.arange(4500))
    assert few.verdict is Verdict.INVALID
    assert few.reason == "the test needs 1,000 rows; there are 500 after 4,500 training rows were dropped"


def test_replayed_rows_are_invalid() -> None:
    champion, challenger = errors(1000, better=0.2)
    ids = np.tile(np.arange(1000), 5)
    decision = verdict_on(np.tile(champion, 5), np.tile(challenger, 5), row_ids=ids)
    assert decision.verdict is Verdict.INVALID
    assert decision.reason == "every row must count once; 4,000 rows repeat the id of another"


@pytest.mark.parametrize("lacking", [np.nan, np.inf])
def test_a_challenger_that_fails_on_the_costliest_rows_is_not_promoted(lacking: float) -> None:
    """Left out, its failures would be a gain; scored with the champion's predictions they are none."""
    champion, challenger = errors(5000)
    challenger[np.argsort(-np.abs(champion))[:250]] = lacking
    assert verdict_on(champion, challenger).verdict is Verdict.KEEP
    better = challenger * 0.8
    decision = verdict_on(champion, better)
    assert decision.verdict is Verdict.KEEP
    assert decision.interval is not None
    assert decision.interval[1] < 0
    assert decision.reason.endswith(
        "on 5,000 paired rows, but a guardrail fails: failures: 250 of 5,000 rows without a prediction (5.00 %); "
        "at most 0.50 %"
    )
    better[np.flatnonzero(~np.isfinite(better))[25:]] = 0.0  # half a point of failures is allowed
    assert verdict_on(champion, better).verdict is Verdict.PROMOTE


@pytest.mark.parametrize("huge", [1e60, 1e160, -1.7e308])
def test_a_prediction_whose_square_is_no_number_is_a_large_loss_and_no_crash(huge: float) -> None:
    champion, challenger = errors(5000, better=0.2)
    challenger[7] = huge
    decision = verdict_on(champion, challenger)
    assert decision.verdict is Verdict.INCONCLUSIVE
    json.dumps(decision.to_dict(), allow_nan=False)
    champion[7] = -huge
    assert verdict_on(champion, challenger).verdict is not Verdict.PROMOTE


def test_missing_labels_and_predictions_of_the_champion_are_invalid() -> None:
    champion, challenger = errors(2000, better=0.2)
    champion[:100] = np.nan
    decision = verdict_on(champion, challenger)
    assert decision.verdict is Verdict.INVALID
    assert decision.reason == (
        "every row must have its label and predictions; 100 predictions of the champion are missing or infinite"
    )
    truth = np.zeros(2000)
    truth[-2:] = np.nan
    reason = verdict_on(champion, challenger, truth=truth, row_ids=np.repeat(np.arange(1000), 2)).reason
    assert "2 labels, 100 predictions of the champion are missing or infinite; every row must count once" in reason


def test_one_row_is_told_as_one() -> None:
    champion, challenger = errors(2000, better=0.2)
    truth = np.zeros(2000)
    truth[-1] = np.nan
    reason = verdict_on(champion, challenger, truth=truth, row_ids=np.r_[0, np.arange(1999)]).reason
    assert reason == (
        "every row must have its label and predictions; 1 label is missing or infinite; "
        "every row must count once; 1 row repeats the id of another"
    )
    champion[0] = np.nan
    reason = verdict_on(champion, challenger, truth=truth).reason
    assert reason.endswith("1 label, 1 prediction of the champion are missing or infinite")


def test_the_best_of_five_equal_challengers_needs_a_wider_interval() -> None:
    """Bonferroni: 1.960 becomes 2.576; without it one of five equal challengers passes in 1 of 8 tests."""
    champion, challenger = errors(5000, seed=4, better=0.03)
    one = verdict_on(champion, challenger, PAIRED)
    five = verdict_on(champion, challenger, PromotionPolicy(challengers=5))
    assert PromotionPolicy(challengers=5).critical() == pytest.approx(2.576, abs=5e-4)
    assert one.interval is not None
    assert five.interval is not None
    widths = [high - low for low, high in (one.interval, five.interval)]
    assert widths[1] / widths[0] == pytest.approx(2.5758 / 1.9600, rel=1e-4)
    assert "(99 % interval" in five.reason
    promoted = {1: 0, 5: 0}
    for seed in range(200):
        rng = np.random.default_rng(seed)
        shared, noise = rng.normal(size=1000), rng.normal(0, 0.5, (6, 1000))
        best = min(noise[1:], key=lambda mine: float(np.abs(shared + mine).mean()))
        for k in promoted:
            policy = PromotionPolicy(challengers=k)
            promoted[k] += verdict_on(shared + noise[0], shared + best, policy).verdict is Verdict.PROMOTE
    assert promoted[5] <= 12 < promoted[1]  # at most 2.5 % beyond chance, against some 9 %


def test_what_the_rows_could_have_found() -> None:
    decision = verdict_on(*errors(5000))
    assert decision.detectable is not None
    assert decision.rows_needed is not None
    policy = PromotionPolicy(mde=decision.detectable)
    assert verdict_on(*errors(5000), policy).rows_needed == pytest.approx(5000, abs=1)


def test_a_lower_median_with_an_equal_mean_is_not_promoted() -> None:
    rng = np.random.default_rng(5)
    rows = 5000
    champion = rng.exponential(1.0, rows)
    challenger = rng.lognormal(0, 1.2, rows)
    challenger *= champion.mean() / challenger.mean()
    assert np.median(challenger) < 0.9 * np.median(champion)
    assert verdict_on(champion, challenger).verdict is not Verdict.PROMOTE


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), better=st.floats(-0.3, 0.3), rows=st.integers(0, 200))
def test_two_models_are_never_promoted_over_each_other(seed: int, better: float, rows: int) -> None:
    champion, challenger = errors(rows, seed, better)
    policy = PromotionPolicy(min_rows=10)
    forth, back = verdict_on(champion, challenger, policy), verdict_on(challenger, champion, policy)
    assert {forth.verdict, back.verdict} != {Verdict.PROMOTE}
    for decision in (forth, back):
        json.dumps(decision.to_dict(), allow_nan=False)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), scale=st.floats(1e-6, 1e6))
def test_neither_the_order_of_rows_nor_the_unit_matters(seed: int, scale: float) -> None:
    champion, challenger = errors(1200, seed, 0.03)
    order = np.random.default_rng(seed).permutation(1200)
    plain = verdict_on(champion, challenger)
    other = verdict_on(champion[order] * scale, challenger[order] * scale)
    assert plain.verdict is other.verdict
    assert plain.interval == pytest.approx(other.interval)


def test_the_original_rule_takes_the_lower_loss(houses: Spec) -> None:
    def decision(champion: Any, challenger: Any) -> Decision:
        arms = compare_arms(
            spec=houses,
            truth_a=np.zeros(len(champion)),
            champion_a=np.array(champion),
            truth_b=np.zeros(len(challenger)),
            challenger_b=np.array(challenger),
        )
        return decide(arms, ORIGINAL)

    lower = decision([2.0, 2.0], [1.0, 2.0, 1.5])
    assert (lower.verdict, lower.effect, lower.interval, lower.rows) == (Verdict.PROMOTE, -0.25, None, 5)
    assert lower.reason == "challenger's MAE is 25.0 % lower, on 3 rows of its own against the champion's 2"
    assert decision([1.0], [1.0]).verdict is Verdict.KEEP
    assert decision([1.0], [1.1]).verdict is Verdict.KEEP
    assert decision([0.0], [1.0]).verdict is Verdict.KEEP
    empty = decision([1.0], [])
    assert (empty.verdict, empty.reason) == (Verdict.INVALID, "each arm needs rows; there are 1 and 0")
    assert decision([1.0, np.nan], [0.5]).verdict is Verdict.INVALID


def test_a_rule_refuses_the_other_rules_comparison(houses: Spec) -> None:
    one = np.array([1.0])
    arms = compare_arms(spec=houses, truth_a=one, champion_a=one, truth_b=one, challenger_b=one)
    with pytest.raises(ValueError, match="the rule paired must be given its own comparison; got an unpaired one"):
        decide(arms, PAIRED)


def test_a_policy_is_identified_by_its_content() -> None:
    assert PromotionPolicy().sha256() == PAIRED.sha256() != ORIGINAL.sha256()


@pytest.mark.parametrize("better", [0.1, 0.0])
def test_a_decision_survives_json(better: float) -> None:
    decision = verdict_on(*errors(2000, better=better))
    assert Decision.from_dict(json.loads(json.dumps(decision.to_dict()))) == decision
    assert decision.guardrails
    early = {key: value for key, value in decision.to_dict().items() if key not in ("guardrails", "detectable")}
    assert Decision.from_dict(early) == replace(decision, guardrails=(), detectable=None)
    first = Decision.first_model()
    assert (first.verdict, first.reason) == (Verdict.PROMOTE, "first model")
    assert Decision.from_dict(json.loads(json.dumps(first.to_dict()))) == first
