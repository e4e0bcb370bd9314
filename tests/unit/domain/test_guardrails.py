"""Guardrails: what blocks a challenger that is better on the whole, and what does not."""

import json
from typing import Any

import numpy as np
import pytest

from gauntlet.domain.comparison import Comparison, compare, compare_split
from gauntlet.domain.promotion import Decision, Guardrail, PromotionPolicy, decide
from gauntlet.domain.spec import Spec
from gauntlet.domain.verdict import Verdict

POLICY = PromotionPolicy()
ROWS = 5000
GRADES = np.array(["I1", "SI1", "VS1", "VVS1", "IF"])


def prices(seed: int = 0) -> tuple[Any, Any, Any]:
    """Truth around 4,000, and the errors of a champion and of one 10 % better, both without bias."""
    rng = np.random.default_rng(seed)
    shared = rng.normal(0, 300, ROWS)
    champion, challenger = shared + rng.normal(0, 150, ROWS), shared + rng.normal(0, 150, ROWS)
    return rng.lognormal(8, 0.5, ROWS), champion - champion.mean(), 0.9 * (challenger - challenger.mean())


def judged(
    houses: Spec, truth: Any, champion: Any, challenger: Any, segments: Any = None, **changes: Any
) -> tuple[Decision, dict[str, Guardrail]]:
    comparison = compare(
        spec=houses,
        truth=truth,
        champion=truth + champion,
        challenger=truth + challenger,
        row_ids=np.arange(len(truth)),
        trained_row_ids=np.array([], dtype=np.int64),
        segments=segments or {},
        **changes,
    )
    decision = decide(comparison, changes.get("policy", POLICY))
    return decision, {each.name: each for each in decision.guardrails}


def test_a_challenger_that_is_better_everywhere_passes_all(houses: Spec) -> None:
    truth, champion, challenger = prices()
    grade = GRADES[np.arange(ROWS) % 5]
    seconds = np.full(50, 0.02), np.full(50, 0.021)
    decision, rails = judged(houses, truth, champion, challenger, {"clarity": grade}, seconds=seconds)
    assert decision.verdict is Verdict.PROMOTE
    assert list(rails) == ["segments", "p95 error", "bias", "failures", "latency"]
    assert all(each.passed for each in rails.values())


def test_one_grade_that_is_worse_blocks_and_is_named(houses: Spec) -> None:
    """10 % better on the whole, one clarity grade 15 % worse."""
    truth, champion, challenger = prices()
    grade = GRADES[np.arange(ROWS) % 5]
    challenger[grade == "IF"] = 1.15 * champion[grade == "IF"]
    challenger[grade != "IF"] *= 0.92
    decision, rails = judged(houses, truth, champion, challenger, {"clarity": grade})
    assert decision.effect == pytest.approx(-0.10, abs=0.03)
    assert decision.verdict is Verdict.KEEP
    assert ", but a guardrail fails: segments: clarity = IF: MAE +15.0 % (" in decision.reason
    assert not rails["segments"].passed
    assert rails["segments"].value == pytest.approx(0.15)


def test_segments_that_cannot_be_judged_do_not_block(houses: Spec) -> None:
    truth, champion, challenger = prices()
    few = np.where(np.arange(ROWS) < 99, "rare", "usual")
    challenger[:99] = 1.4 * champion[:99]
    decision, rails = judged(houses, truth, champion, challenger, {"kind": few})
    assert (decision.verdict, rails["segments"].passed) == (Verdict.PROMOTE, True)
    assert "worst of 1: kind = usual" in rails["segments"].reason
    assert rails["segments"].reason.endswith("fails only above +5.0 % with the whole interval above 0")
    worse = np.where(np.arange(ROWS) < 2500, "left", "right")
    challenger[:2500] = 1.04 * champion[:2500]  # worse beyond chance, and by less than the 5 % that matter
    _, rails = judged(houses, truth, champion, challenger, {"kind": worse})
    assert rails["segments"].passed
    assert "segments" not in judged(houses, truth, champion, challenger)[1]


def test_many_segments_have_wider_intervals(houses: Spec) -> None:
    """Bonferroni: twenty segments of equal models block as rarely as one."""
    blocked = 0
    for seed in range(100):
        truth, champion, challenger = prices(seed)
        kinds = np.array([f"k{number}" for number in range(20)])[np.arange(ROWS) % 20]
        blocked += not judged(houses, truth, champion, challenger / 0.9, {"kind": kinds})[1]["segments"].passed
    assert blocked <= 8


def test_a_segment_where_the_champion_makes_no_error_must_not_get_one(houses: Spec) -> None:
    truth, champion, challenger = prices()
    champion[:200] = 0.0
    kind = np.where(np.arange(ROWS) < 200, "exact", "rough")
    decision, rails = judged(houses, truth, champion, challenger * 0.8, {"kind": kind})
    assert decision.verdict is Verdict.KEEP
    assert "kind = exact: the champion's MAE is 0 and the challenger's is not (200 rows)" in rails["segments"].reason


def test_larger_extreme_errors_block(houses: Spec) -> None:
    truth, champion, challenger = prices()
    worst = np.argsort(-np.abs(challenger))[:400]
    challenger *= 0.8
    challenger[worst] *= 1.9
    decision, rails = judged(houses, truth, champion, challenger)
    assert decision.verdict is Verdict.KEEP
    assert [name for name, each in rails.items() if not each.passed] == ["p95 error"]
    assert rails["p95 error"].value is not None
    assert rails["p95 error"].value > 0.2
    assert "but a guardrail fails: p95 error: " in decision.reason
    assert decision.reason.endswith("fails only if the whole interval is above +0.0 %")


def test_equal_extreme_errors_rarely_block(houses: Spec) -> None:
    blocked = 0
    for seed in range(200):
        truth, champion, challenger = prices(seed)
        blocked += not judged(houses, truth, champion, challenger / 0.9)[1]["p95 error"].passed
    assert blocked <= 14  # 2.5 % of 200 are 5


def test_a_bias_blocks_only_beyond_the_limit_and_beyond_the_champions_own(houses: Spec) -> None:
    truth, champion, challenger = prices()
    mean = truth.mean()
    verdicts = {}
    for name, of_champion, of_challenger in [
        ("new", 0.0, 0.04),
        ("small", 0.0, 0.01),
        ("known", 0.08, 0.04),
        ("same", 0.04, 0.04),
        ("turned", -0.03, 0.05),
    ]:
        decision, rails = judged(houses, truth, champion + of_champion * mean, 0.7 * challenger + of_challenger * mean)
        verdicts[name] = rails["bias"].passed
        assert decision.verdict is (Verdict.PROMOTE if rails["bias"].passed else Verdict.KEEP)
    assert verdicts == {"new": False, "small": True, "known": True, "same": True, "turned": False}


@pytest.mark.parametrize(
    ("champion_ms", "challenger_ms", "passes"),
    [(20, 21, True), (1, 30, True), (100, 115, True), (500, 1500, False), (450, 625, False), (300, 100, True)],
)
def test_only_slowness_that_matters_blocks(houses: Spec, champion_ms: int, challenger_ms: int, passes: bool) -> None:
    rng = np.random.default_rng(4)
    truth, champion, challenger = prices()
    seconds = tuple(each / 1000 * rng.uniform(0.95, 1.05, 50) for each in (champion_ms, challenger_ms))
    decision, rails = judged(houses, truth, champion, challenger, seconds=seconds)
    assert rails["latency"].passed is passes
    assert decision.verdict is (Verdict.PROMOTE if passes else Verdict.KEEP)


def test_a_busy_moment_of_the_machine_does_not_block(houses: Spec) -> None:
    """Four of fifty batches took thirty times as long, all of them the challenger's."""
    truth, champion, challenger = prices()
    slow = np.full(50, 0.02)
    slow[[3, 9, 30, 31]] = 0.6
    decision, rails = judged(houses, truth, champion, challenger, seconds=(np.full(50, 0.02), slow))
    assert rails["latency"].passed
    assert decision.verdict is Verdict.PROMOTE


def test_arms_have_the_same_guardrails(houses: Spec) -> None:
    truth, champion, challenger = prices()
    grade = GRADES[np.arange(ROWS) % 5]
    challenger = 0.6 * challenger
    challenger[grade == "IF"] *= 4.0
    comparison = compare_split(
        spec=houses,
        truth=truth,
        champion=truth + champion,
        challenger=truth + challenger,
        in_b=np.random.default_rng(5).permutation(ROWS) < ROWS // 2,
        share_b=0.5,
        row_ids=np.arange(ROWS),
        trained_row_ids=np.array([], dtype=np.int64),
        segments={"clarity": grade},
    )
    decision = decide(comparison, PromotionPolicy.from_dict({"rule": "split"}))
    failed = [each.name for each in decision.guardrails if not each.passed]
    assert (decision.verdict, failed) == (Verdict.KEEP, ["segments", "p95 error"])
    assert Comparison.from_dict(json.loads(json.dumps(comparison.to_dict(), allow_nan=False))) == comparison


def test_a_classification_has_the_guardrails_that_make_sense(loans: Spec) -> None:
    """Neither a bias, which needs numbers, nor a quantile: a sharper model is dearer where it errs, and may be."""
    rng = np.random.default_rng(6)
    truth = rng.choice(np.array(["late", "paid", "lost"], dtype=object), 2000)
    position = np.array([["late", "paid", "lost"].index(each) for each in truth])
    champion, challenger = np.full((2000, 3), 0.3), np.full((2000, 3), 0.25)
    champion[np.arange(2000), position], challenger[np.arange(2000), position] = 0.4, 0.5
    challenger[:15] = np.nan
    comparison = compare(
        spec=loans,
        truth=truth,
        champion=champion,
        challenger=challenger,
        row_ids=np.arange(2000),
        trained_row_ids=np.array([], dtype=np.int64),
        segments={"kind": np.repeat(["1", "2"], 1000)},
        seconds=(np.full(20, 0.1), np.full(20, 0.1)),
    )
    decision = decide(comparison, PromotionPolicy(metric="log_loss"))
    assert [each.name for each in decision.guardrails] == ["segments", "failures", "latency"]
    assert decision.verdict is Verdict.KEEP
    assert [each.name for each in decision.guardrails if not each.passed] == ["failures"]


@pytest.mark.parametrize(("error", "verdict"), [(300.0, Verdict.KEEP), (1e8, Verdict.INCONCLUSIVE)])
def test_one_wild_row_of_the_champion_promotes_nothing(houses: Spec, error: float, verdict: Verdict) -> None:
    rng = np.random.default_rng(3)
    truth, champion, _ = prices()
    challenger = 1.04 * rng.permutation(champion)
    champion[0] = error
    decision, _ = judged(houses, truth, champion, challenger)
    assert decision.verdict is verdict
    if verdict is Verdict.INCONCLUSIVE:
        assert "a single row makes up" in decision.reason
