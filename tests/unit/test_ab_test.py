"""The test step on fakes: every rule on the rows the router serves, and what a failing model leaves behind."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tests.fakes import MemoryTraffic
from tests.unit.test_pipeline import World

from gauntlet.domain.comparison import Comparison
from gauntlet.domain.promotion import PromotionPolicy, PromotionRule
from gauntlet.domain.verdict import Verdict
from gauntlet.jobs import compare
from gauntlet.jobs.ports import ArmSample, Entry
from gauntlet.jobs.scoring import Scorer, scorer

SPLIT = PromotionPolicy(rule=PromotionRule.SPLIT)
NOT_WORSE = PromotionPolicy(rule=PromotionRule.NON_INFERIORITY, margin=0.1)


@pytest.fixture
def started() -> World:
    world = World()
    world.go()
    return world


def settled(world: World) -> Entry:
    entry = world.ledger.settled("toys", f"main_pipeline/{world.runs}")
    assert entry is not None
    return entry


def failed(entry: Entry) -> list[str]:
    return [each["name"] for each in entry.evidence["decision"]["guardrails"] if not each["passed"]]


def test_the_evidence_holds_everything_that_decided(started: World) -> None:
    started.prices_rise()
    started.go()
    entry = settled(started)
    comparison = Comparison.from_dict(entry.evidence["comparison"])
    policy = PromotionPolicy.from_dict(entry.evidence["policy"])
    assert entry.evidence["policy_sha256"] == policy.sha256() == PromotionPolicy().sha256()
    assert [each.category for each in comparison.segments] == ["blue", "green", "red"]
    assert comparison.latency is not None
    assert comparison.latency.batches == 20
    names = [each["name"] for each in entry.evidence["decision"]["guardrails"]]
    assert names == ["segments", "p95 error", "bias", "failures", "latency"]


class LatePolicy(MemoryTraffic):
    """Would let the rows be read before the policy's hash is known."""

    hashed: bool = False

    def test_rows(self, spec: str, drift_cols: Sequence[str]) -> ArmSample:
        assert self.hashed
        return super().test_rows(spec, drift_cols)


def test_the_policy_is_fixed_before_the_rows_are_read(started: World, monkeypatch: pytest.MonkeyPatch) -> None:
    traffic = LatePolicy(started.traffic.training, started.traffic.test, data_size=2000)
    world = replace(started, traffic=traffic)
    sha256 = PromotionPolicy.sha256

    def hashed(policy: PromotionPolicy) -> str:
        traffic.hashed = True
        return sha256(policy)

    monkeypatch.setattr(PromotionPolicy, "sha256", hashed)
    world.go(force_retrain=True)
    assert settled(world).evidence["policy_sha256"] == sha256(PromotionPolicy())


def test_arms_are_judged_by_the_shares_of_the_traffic(started: World) -> None:
    started.prices_rise()
    started.traffic.share_a = 0.3
    started.go(promotion_policy=SPLIT)
    entry = settled(started)
    assert entry.verdict is Verdict.PROMOTE
    assert "on 1,400 rows of its own against the champion's 600" in entry.reason
    assert entry.evidence["comparison"]["sample_ratio"] == pytest.approx(1.0)


def test_an_empty_arm_is_invalid_and_no_crash(started: World) -> None:
    started.traffic.share_a = 1.0
    started.go(promotion_policy=SPLIT, force_retrain=True)
    assert settled(started).verdict is Verdict.INVALID


def test_rows_that_are_served_twice_are_invalid(started: World) -> None:
    pool = started.traffic.test["toys"]
    started.traffic.test = {"toys": pd.concat([pool.iloc[:1000]] * 3)}
    started.go(force_retrain=True)
    entry = settled(started)
    assert entry.verdict is Verdict.INVALID
    assert "every row must count once" in entry.reason


def test_an_equal_challenger_passes_under_non_inferiority_and_the_first_champion_is_no_anchor(started: World) -> None:
    started.go(promotion_policy=NOT_WORSE, force_retrain=True)
    entry = settled(started)
    assert (entry.verdict, entry.evidence["anchor"]) == (Verdict.PROMOTE, None)


def test_the_best_version_ever_is_the_anchor(started: World) -> None:
    started.go(promotion_policy=NOT_WORSE, force_retrain=True)
    effect = settled(started).evidence["comparison"]["effect"]
    started.go(promotion_policy=NOT_WORSE, force_retrain=True)
    entry = settled(started)
    assert entry.evidence["anchor"] == (1 if effect > 0 else None)
    anchored = entry.evidence["comparison"]["anchor"]
    assert (anchored is not None) == (effect > 0)


def _failing(version: int, rows: int) -> Any:
    """A scorer whose model of one version has no answer for the costliest toys, and raises for some batches."""

    def made(ports: Any, of: Any, spec: Any) -> Scorer:
        predict = scorer(ports, of, spec)

        def partly(frame: pd.DataFrame) -> Any:
            predicted = predict(frame)
            if of.version == version:
                if rows == 0:
                    raise RuntimeError("broken")
                predicted[frame["size"].to_numpy() > np.sort(frame["size"])[-rows]] = np.nan
            return predicted

        return partly

    return made


@pytest.mark.parametrize("rows", [5, 0])
def test_a_challenger_that_fails_is_kept_out_with_its_failures_on_record(
    started: World, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    started.prices_rise()
    monkeypatch.setattr(compare, "scorer", _failing(2, rows))
    started.go()
    entry = settled(started)
    assert entry.verdict is Verdict.KEEP
    assert "failures" in failed(entry)
    assert started.champion == 1
    json.dumps(entry.evidence, allow_nan=False)
    assert ("b_mae" in _metrics(entry)) is (rows > 0)


def test_a_champion_that_fails_makes_the_test_invalid(started: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare, "scorer", _failing(1, 0))
    started.go(force_retrain=True)
    entry = settled(started)
    assert entry.verdict is Verdict.INVALID
    assert "2,000 predictions of the champion are missing or infinite" in entry.reason


def _metrics(entry: Entry) -> Mapping[str, float]:
    found: Mapping[str, float] = entry.evidence["metrics"]
    return found
