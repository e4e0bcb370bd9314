"""The other rules: split by arms, and not worse than the best version ever."""

from typing import Any

import numpy as np
import pytest

from gauntlet.domain.comparison import compare, compare_split
from gauntlet.domain.promotion import Decision, PromotionPolicy, PromotionRule, decide
from gauntlet.domain.spec import Spec
from gauntlet.domain.verdict import Verdict

SPLIT = PromotionPolicy(rule=PromotionRule.SPLIT)
NOT_WORSE = PromotionPolicy(rule=PromotionRule.NON_INFERIORITY)
NO_IDS = np.array([], dtype=np.int64)


def errors(rows: int, seed: int, better: float = 0.0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=rows)
    champion, challenger = shared + rng.normal(0, 0.5, rows), shared + rng.normal(0, 0.5, rows)
    return champion, challenger * (1 - better)


def split(spec: Spec, champion: Any, challenger: Any, in_b: Any, share_b: float = 0.5, **changes: Any) -> Decision:
    rows = len(in_b)
    given: dict[str, Any] = {
        "truth": np.zeros(rows), "row_ids": np.arange(rows), "trained_row_ids": NO_IDS, "segments": {}, **changes,
    }  # fmt: skip
    comparison = compare_split(
        spec=spec, champion=champion, challenger=challenger, in_b=in_b, share_b=share_b, policy=SPLIT, **given
    )
    return decide(comparison, SPLIT)


def arms(rows: int, share_b: float, seed: int = 0) -> Any:
    return np.random.default_rng(seed).permutation(rows) < round(rows * share_b)


def anchored(spec: Spec, champion: Any, challenger: Any, anchor: Any = None, policy: Any = NOT_WORSE) -> Decision:
    rows = len(champion)
    comparison = compare(
        spec=spec, truth=np.zeros(rows), champion=champion, challenger=challenger, row_ids=np.arange(rows),
        trained_row_ids=NO_IDS, segments={}, anchor=anchor, policy=policy,
    )  # fmt: skip
    return decide(comparison, policy)


def test_arms_tell_a_large_gain_and_not_a_small_one(houses: Spec) -> None:
    champion, challenger = errors(5000, 1, better=0.15)
    large = split(houses, champion, challenger, arms(5000, 0.5))
    assert large.verdict is Verdict.PROMOTE
    assert "on 2,500 rows of its own against the champion's 2,500" in large.reason
    champion, challenger = errors(5000, 1, better=0.03)
    small = split(houses, champion, challenger, arms(5000, 0.5))
    assert small.verdict is Verdict.INCONCLUSIVE
    assert small.rows_needed is not None
    assert small.rows_needed > 5000
    worse = split(houses, *errors(20_000, 1, better=-0.1), arms(20_000, 0.5))
    assert worse.verdict is Verdict.KEEP


def test_each_model_is_judged_on_its_own_arm_alone(houses: Spec) -> None:
    champion, challenger = errors(4000, 2, better=0.2)
    in_b = arms(4000, 0.5)
    plain = split(houses, champion, challenger, in_b)
    elsewhere = split(houses, np.where(in_b, np.nan, champion), np.where(in_b, challenger, 1e9), in_b)
    assert plain == elsewhere


def test_equal_models_on_arms_are_rarely_promoted(houses: Spec) -> None:
    verdicts = [split(houses, *errors(1000, seed), arms(1000, 0.5, seed)).verdict for seed in range(300)]
    assert verdicts.count(Verdict.PROMOTE) <= 16  # 2.5 % of 300 are 7.5; lower mean: 150
    assert Verdict.INVALID not in verdicts


@pytest.mark.parametrize("share_b", [0.0, 1.0])
def test_an_empty_arm_is_invalid(houses: Spec, share_b: float) -> None:
    decision = split(houses, *errors(2000, 3), arms(2000, share_b), share_b)
    assert decision.verdict is Verdict.INVALID
    assert decision.reason in (
        "each arm needs rows; there are 2,000 and 0",
        "each arm needs rows; there are 0 and 2,000",
    )
    nothing = split(houses, np.array([]), np.array([]), np.array([], dtype=bool))
    assert (nothing.verdict, nothing.reason) == (Verdict.INVALID, "each arm needs rows; there are 0 and 0")


def test_arms_of_other_sizes_than_their_shares_are_invalid(houses: Spec) -> None:
    champion, challenger = errors(5000, 4, better=0.3)
    decision = split(houses, champion, challenger, arms(5000, 0.46), 0.5)
    assert decision.verdict is Verdict.INVALID
    assert (
        decision.reason == "the arms must have the sizes that their shares say; they have 2,700 and 2,300 (p = 1.5e-08)"
    )
    assert split(houses, champion, challenger, arms(5000, 0.48), 0.5).verdict is Verdict.PROMOTE  # p = .005
    assert split(houses, champion, challenger, arms(5000, 0.46), 0.46).verdict is Verdict.PROMOTE


def test_small_arms_are_invalid(houses: Spec) -> None:
    few = split(houses, *errors(800, 5, better=0.5), arms(800, 0.5))
    assert few.reason == "the test needs 1,000 rows, 100 in each arm; there are 400 and 400"
    lopsided = split(houses, *errors(5000, 5, better=0.5), arms(5000, 0.01), 0.01)
    assert lopsided.reason == "the test needs 1,000 rows, 100 in each arm; there are 4,950 and 50"


def test_a_split_drops_training_rows_and_refuses_repeated_ones(houses: Spec) -> None:
    champion, challenger = errors(4000, 6, better=0.3)
    in_b = arms(4000, 0.5)
    dropped = split(houses, champion, challenger, in_b, trained_row_ids=np.arange(1000))
    assert (dropped.verdict, dropped.rows) == (Verdict.PROMOTE, 3000)
    repeated = split(houses, champion, challenger, in_b, row_ids=np.repeat(np.arange(2000), 2))
    assert repeated.reason == "every row must count once; 2,000 rows repeat the id of another"


def test_a_challenger_that_fails_on_its_arm_is_scored_with_the_champions_prediction(houses: Spec) -> None:
    champion, challenger = errors(5000, 7, better=0.3)
    in_b = arms(5000, 0.5)
    costly = np.flatnonzero(in_b)[np.argsort(-np.abs(challenger[in_b]))[:125]]
    challenger[costly] = np.nan
    decision = split(houses, champion, challenger, in_b)
    assert decision.verdict is Verdict.KEEP
    assert "failures: 125 of 2,500 rows without a prediction (5.00 %)" in decision.reason
    unknown = split(houses, np.where(in_b, np.nan, champion), challenger, in_b)
    assert unknown.verdict is Verdict.INVALID


@pytest.mark.parametrize("rare_in_b", [0, 1])
def test_a_segment_that_an_arm_lacks_does_not_block(houses: Spec, rare_in_b: int) -> None:
    """Without rows in one of the arms, or with a single one, there is nothing to compare it by."""
    champion, challenger = errors(5000, 14, better=0.3)
    in_b = arms(5000, 0.5)
    rare = np.isin(np.arange(5000), [*np.flatnonzero(~in_b)[:200], *np.flatnonzero(in_b)[:rare_in_b]])
    challenger[in_b & rare] = 9.0
    decision = split(houses, champion, challenger, in_b, segments={"kind": np.where(rare, "rare", "usual")})
    assert decision.verdict is Verdict.PROMOTE
    (segments,) = (each for each in decision.guardrails if each.name == "segments")
    assert "worst of 1: kind = usual" in segments.reason


def test_an_equal_challenger_is_not_worse_given_enough_rows(houses: Spec) -> None:
    champion, challenger = errors(50_000, 8)
    decision = anchored(houses, champion, challenger)
    assert decision.verdict is Verdict.PROMOTE
    assert decision.reason.endswith("on 50,000 paired rows: a loss of 2 % is excluded")
    few = anchored(houses, *errors(1500, 8))
    assert few.verdict is Verdict.INCONCLUSIVE
    assert few.rows_needed is not None
    assert f"a loss of 2 % is not excluded, which takes about {few.rows_needed:,} rows" in few.reason
    worse = anchored(houses, *errors(50_000, 8, better=-0.05))
    assert worse.verdict is Verdict.KEEP
    assert ": a loss of more than 2 % is shown" in worse.reason


def test_the_anchor_stops_creep(houses: Spec) -> None:
    """Each version is 1 % worse than the one before: a moving champion admits it, the best version ever does not."""
    rng = np.random.default_rng(9)
    shared, noise = rng.normal(size=60_000), rng.normal(0, 0.4, (3, 60_000))
    best, champion, challenger = (shared + mine for mine in noise)
    champion, challenger = (each * np.abs(best).mean() / np.abs(each).mean() for each in (champion, challenger))
    champion, challenger = 1.01 * champion, 1.02 * challenger
    assert anchored(houses, champion, challenger).verdict is Verdict.PROMOTE
    held = anchored(houses, champion, challenger, best)
    assert held.verdict is Verdict.INCONCLUSIVE
    assert held.effect == pytest.approx(0.02)
    assert held.reason.startswith("challenger's MAE is 2.0 % higher than the anchor's (")
    assert anchored(houses, champion, 1.02 * challenger, best).verdict is Verdict.KEEP


def test_guardrails_hold_for_an_equal_challenger_too(houses: Spec) -> None:
    champion, challenger = errors(50_000, 10)
    challenger[:1000] = np.nan
    decision = anchored(houses, champion, challenger)
    assert decision.verdict is Verdict.KEEP
    assert ": a loss of 2 % is excluded, but a guardrail fails: failures: 1,000 of 50,000" in decision.reason


def test_an_anchor_without_predictions_is_invalid(houses: Spec) -> None:
    champion, challenger = errors(2000, 11)
    anchor = champion.copy()
    anchor[:3] = np.nan
    decision = anchored(houses, champion, challenger, anchor)
    assert decision.verdict is Verdict.INVALID
    assert "3 predictions of the anchor are missing or infinite" in decision.reason


def test_an_anchor_without_error_is_not_lost(houses: Spec) -> None:
    champion, challenger = errors(2000, 12)
    decision = anchored(houses, champion, challenger, np.zeros(2000))
    assert decision.verdict is Verdict.KEEP
    assert decision.reason.startswith("the anchor's MAE is 0 and cannot be beaten")


def test_the_same_rows_and_policy_give_the_same_decision(houses: Spec) -> None:
    champion, challenger = errors(5000, 13, better=0.05)
    assert anchored(houses, champion, challenger, policy=PromotionPolicy()) == anchored(
        houses, champion, challenger, policy=PromotionPolicy()
    )
