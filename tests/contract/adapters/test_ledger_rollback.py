"""Rollbacks, freezes, stays in production and whole cases: the ledger's promises, on Postgres and in memory."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from tests.contract.adapters.records import make_case, make_version, stored

from gauntlet.adapters.ledger import PostgresLedger
from gauntlet.adapters.ledger_names import LedgerNames
from gauntlet.domain.promotion import Decision
from gauntlet.domain.verdict import Verdict
from gauntlet.jobs.ledger_port import Ledger
from gauntlet.jobs.ledger_records import Period, Rollback
from gauntlet.jobs.ports import Kind, StoreError, Version


def make_rollback(spec: str, key: str, old: int, new: int) -> Rollback:
    return Rollback(
        spec=spec,
        model=f"Model-{spec}",
        key=key,
        old=old,
        new=make_version(spec, new),
        reason="it is worse",
        decided_by="ann on the command line",
        code_version="0.1.0",
        evidence={"look": 3},
    )


def version_in_production(ledger: Ledger, spec: str) -> int | None:
    production = ledger.production(spec)
    return production.version if production else None


def production_at(ledger: Ledger, spec: str, when: datetime) -> Period | None:
    found = ledger.periods(spec, when)
    assert len(found) <= 1
    return found[0] if found else None


@pytest.fixture
def three(with_versions: Ledger, spec: str) -> Ledger:
    """Versions 1, 2 and 3 have been promoted, one after the other."""
    for number in (1, 2, 3):
        with_versions.settle(make_case(spec, f"run {number}", number - 1 or None, number))
    return with_versions


# --- rollback -----------------------------------------------------------------------------------


def test_a_rollback_moves_production_and_is_a_line_of_its_own(three: Ledger, spec: str) -> None:
    entry = three.rollback(make_rollback(spec, "key", 3, 2))
    assert entry is not None
    assert (entry.kind, entry.verdict, entry.run_key) == (Kind.ROLLBACK, None, "key")
    assert (entry.champion, entry.challenger) == (3, 2)
    assert (entry.reason, entry.decided_by) == ("it is worse", "ann on the command line")
    assert entry.evidence == {"look": 3}
    assert version_in_production(three, spec) == 2
    assert three.history(spec, 1) == [entry]
    assert three.rolled_back(spec, "key") == entry
    assert three.rolled_back(spec, "another") is None


def test_previous_is_what_stood_before_the_restored_version_then(three: Ledger, spec: str) -> None:
    assert three.previous(spec) == 2
    three.rollback(make_rollback(spec, "one", 3, 2))
    assert three.previous(spec) == 1
    three.rollback(make_rollback(spec, "two", 2, 1))
    assert three.previous(spec) is None


def test_previous_after_the_promotion_that_follows_a_rollback(three: Ledger, spec: str) -> None:
    three.rollback(make_rollback(spec, "one", 3, 2))
    three.settle(make_case(spec, "run 4", 2, 4))
    assert three.previous(spec) == 2


def test_a_key_rolls_back_once_also_after_production_moved_on(three: Ledger, spec: str) -> None:
    first = three.rollback(make_rollback(spec, "key", 3, 2))
    three.settle(make_case(spec, "run 4", 2, 4))
    assert three.rollback(make_rollback(spec, "key", 4, 2)) == first
    assert version_in_production(three, spec) == 4


def test_production_that_moved_meanwhile_is_not_rolled_back(three: Ledger, spec: str) -> None:
    assert three.rollback(make_rollback(spec, "key", 2, 1)) is None
    assert version_in_production(three, spec) == 3
    assert three.rolled_back(spec, "key") is None


def test_twenty_rollbacks_at_once_are_one(three: Ledger, spec: str) -> None:
    before = three.history(spec, 99)
    with ThreadPoolExecutor(20) as pool:
        entries = list(pool.map(three.rollback, [make_rollback(spec, f"key {number}", 3, 2) for number in range(20)]))
    assert sum(entry is not None for entry in entries) == 1
    assert len(three.history(spec, 99)) == len(before) + 1
    assert version_in_production(three, spec) == 2


def test_twenty_tries_of_one_rollback_are_one(three: Ledger, spec: str) -> None:
    with ThreadPoolExecutor(20) as pool:
        entries = list(pool.map(three.rollback, [make_rollback(spec, "key", 3, 2)] * 20))
    assert len({entry.id for entry in entries if entry}) == 1
    assert None not in entries


def test_promotions_and_rollbacks_at_once_leave_one_chain(three: Ledger, spec: str) -> None:
    for number in range(6, 16):
        three.add_version(make_version(spec, number))
    with ThreadPoolExecutor(20) as pool:
        promoted = [pool.submit(three.settle, make_case(spec, f"run {n}", 3, n)) for n in range(6, 16)]
        back = [pool.submit(three.rollback, make_rollback(spec, f"key {n}", 3, 2)) for n in range(10)]
    moved = [each.result().promoted for each in promoted] + [each.result() is not None for each in back]
    assert moved.count(True) == 1
    periods = three.periods(spec)
    assert len(periods) == 4
    assert [newer.since == older.until for newer, older in pairwise(periods)] == [True] * 3
    assert [period.until is None for period in periods] == [True, False, False, False]


# --- what was rolled back is not tried again ----------------------------------------------------


def challenge(ledger: Ledger, version: Version, champion: int) -> tuple[Verdict | None, str]:
    ledger.add_version(version)
    case = make_case(version.spec, f"challenge {version.version}", champion, version.version)
    entry = ledger.settle(replace(case, challenger=version))
    return entry.verdict, entry.reason


def test_the_same_file_is_refused(three: Ledger, spec: str) -> None:
    three.rollback(make_rollback(spec, "key", 3, 2))
    same = replace(make_version(spec, 7), model_sha256=make_version(spec, 3).model_sha256)
    refused = (Verdict.INVALID, "a model that was rolled back is not tried again: v7 is the same file as v3")
    assert challenge(three, same, 2) == refused
    assert version_in_production(three, spec) == 2


def test_the_same_snapshot_recipe_and_seed_is_refused(three: Ledger, spec: str) -> None:
    three.rollback(make_rollback(spec, "key", 3, 2))
    old = make_version(spec, 3)
    made = replace(make_version(spec, 7), snapshot=replace(old.snapshot, uri="file:///elsewhere"))
    _, reason = challenge(three, made, 2)
    assert reason == (
        "a model that was rolled back is not tried again: v7 was made like v3, by the same snapshot, recipe and seed"
    )
    assert challenge(three, replace(made, version=8, run_key="8", seed=21), 2)[0] is Verdict.PROMOTE


def test_the_version_itself_is_refused(three: Ledger, spec: str) -> None:
    three.rollback(make_rollback(spec, "key", 3, 2))
    entry = three.settle(make_case(spec, "again", 2, 3))
    assert (entry.verdict, entry.reason) == (Verdict.INVALID, "a model that was rolled back is not tried again: v3 was")


def test_a_version_that_was_put_back_on_purpose_bars_nobody(three: Ledger, spec: str) -> None:
    three.rollback(make_rollback(spec, "one", 3, 2))
    three.rollback(make_rollback(spec, "two", 2, 3))
    same = replace(make_version(spec, 7), model_sha256=make_version(spec, 3).model_sha256)
    assert challenge(three, same, 3)[0] is Verdict.PROMOTE


def test_a_changed_champion_is_named_first(three: Ledger, spec: str) -> None:
    three.rollback(make_rollback(spec, "key", 3, 2))
    entry = three.settle(make_case(spec, "again", 3, 3))
    assert entry.reason == "champion changed: the test named v3 as champion, production is v2 now"


# --- held back ----------------------------------------------------------------------------------


def test_a_frozen_spec_records_verdicts_and_stays(three: Ledger, spec: str) -> None:
    assert three.freeze(spec, True, "inventory", "ann")
    entry = three.settle(make_case(spec, "run 4", 3, 4))
    freeze = three.frozen(spec)
    assert freeze is not None
    assert entry.verdict is Verdict.PROMOTE
    assert entry.held == f"frozen since {freeze.since:%Y-%m-%d %H:%M} UTC: inventory"
    assert not entry.promoted
    assert version_in_production(three, spec) == 3
    assert three.settle(make_case(spec, "run 4", 3, 4)) == entry
    assert three.freeze(spec, False, "done", "ann")
    assert three.settle(make_case(spec, "run 5", 3, 5)).promoted
    assert version_in_production(three, spec) == 5


def test_a_first_model_is_held_too(with_versions: Ledger, spec: str) -> None:
    with_versions.freeze(spec, True, "inventory", "ann")
    assert not with_versions.settle(make_case(spec, "run", None, 1)).promoted
    assert with_versions.production(spec) is None


def test_freezing_twice_is_freezing_once(ledger: Ledger, spec: str) -> None:
    assert not ledger.freeze(spec, False, "no reason", "ann")
    assert ledger.freeze(spec, True, "inventory", "ann")
    assert not ledger.freeze(spec, True, "another", "bob")
    freeze = ledger.frozen(spec)
    assert freeze is not None
    assert (freeze.spec, freeze.reason, freeze.decided_by) == (spec, "inventory", "ann")
    assert ledger.freezes()[spec] == freeze
    ledger.freeze(spec, False, "done", "bob")
    assert ledger.frozen(spec) is None
    assert spec not in ledger.freezes()
    lines = [(entry.kind, entry.reason, entry.decided_by) for entry in ledger.history(spec, 9)]
    assert lines == [(Kind.UNFREEZE, "done", "bob"), (Kind.FREEZE, "inventory", "ann")]


def test_a_freeze_is_of_one_spec_and_does_not_hold_a_rollback(three: Ledger, spec: str) -> None:
    three.freeze(f"{spec}_2", True, "inventory", "ann")
    assert three.frozen(spec) is None
    three.freeze(spec, True, "inventory", "ann")
    assert three.rollback(make_rollback(spec, "key", 3, 2)) is not None


def test_a_person_who_says_no_holds_a_promotion_and_nothing_else(three: Ledger, spec: str) -> None:
    rejected = three.settle(make_case(spec, "run 4", 3, 4, held="rejected by ann"))
    assert (rejected.verdict, rejected.held, rejected.promoted) == (Verdict.PROMOTE, "rejected by ann", False)
    assert version_in_production(three, spec) == 3
    decision = Decision(verdict=Verdict.KEEP, reason="no", effect=None, interval=None, rows=7, rows_needed=None)
    kept = three.settle(make_case(spec, "run 5", 3, 5, decision=decision, held="rejected by ann"))
    assert (kept.verdict, kept.held) == (Verdict.KEEP, None)
    late = three.settle(make_case(spec, "run 6", 2, 5, held="rejected by ann"))
    assert (late.verdict, late.held) == (Verdict.INVALID, None)


# --- production at any time ---------------------------------------------------------------------


def test_the_version_in_production_at_any_time(three: Ledger, spec: str) -> None:
    three.rollback(make_rollback(spec, "key", 3, 2))
    periods = three.periods(spec)
    assert [(period.version, period.kind) for period in periods] == [
        (2, "rollback"),
        (3, "promote"),
        (2, "promote"),
        (1, "first"),
    ]
    first, now = periods[-1], periods[0]
    moment = timedelta(microseconds=1)
    assert production_at(three, spec, first.since - moment) is None
    for period in periods:
        assert production_at(three, spec, period.since) == period
        assert period.until is None or period.since < period.until
        assert period.until is None or production_at(three, spec, period.until - moment) == period
    assert production_at(three, spec, datetime.now(UTC) + timedelta(days=1)) == now
    assert (now.model, now.run_id, now.decided_by) == (f"Model-{spec}", "run2", "ann on the command line")
    assert [period for period in three.periods(None) if period.spec == spec] == periods
    assert [period for period in three.periods(None, first.since) if period.spec == spec] == [first]


def test_a_time_without_production_lies_in_no_stay(three: Ledger, spec: str) -> None:
    three.record_external(spec, f"Model-{spec}", 3, None, None)
    ended = three.periods(spec)[0].until
    assert ended is not None
    assert production_at(three, spec, ended) is None
    three.settle(make_case(spec, "run 4", None, 4))
    assert [period.version for period in three.periods(spec)] == [4, 3, 2, 1]
    assert production_at(three, spec, ended) is None


# --- the whole case -----------------------------------------------------------------------------


def test_a_case_is_whole(three: Ledger, spec: str) -> None:
    three.add_drift_report(spec, "run 2", 1, stored("snapshot"), {"drifted": True, "findings": []})
    entry = three.settled(spec, "run 2")
    assert entry is not None
    case = three.entry(entry.id)
    assert case is not None
    assert case.entry == entry
    assert (case.champion, case.challenger) == (make_version(spec, 1), make_version(spec, 2))
    assert (case.policy, case.policy_sha256, case.code_version) == ({"mde": 0.05}, "a" * 64, "0.1.0")
    assert case.drift == {"drifted": True, "findings": []}
    assert case.model == f"Model-{spec}"
    assert case.period == three.periods(spec)[1]
    assert case.period is not None
    assert three.entry(case.period.event_id) == case


def test_a_case_that_moved_nothing_has_no_stay(three: Ledger, spec: str) -> None:
    entry = three.settle(make_case(spec, "run 4", 3, 4, held="rejected"))
    case = three.entry(entry.id)
    assert case is not None
    assert (case.entry.held, case.period, case.drift) == ("rejected", None, None)


def test_cases_without_a_verdict(three: Ledger, spec: str) -> None:
    rolled = three.rollback(make_rollback(spec, "key", 3, 2))
    three.record_external(spec, f"Model-{spec}", 2, 9, "run9")
    three.freeze(spec, True, "inventory", "ann")
    frozen, moved, _ = three.history(spec, 3)
    assert rolled is not None
    of_rollback, of_move, of_freeze = (three.entry(entry.id) for entry in (rolled, moved, frozen))
    assert of_rollback
    assert of_move
    assert of_freeze
    assert (of_rollback.champion, of_rollback.challenger) == (make_version(spec, 3), make_version(spec, 2))
    assert (of_rollback.code_version, of_rollback.policy) == ("0.1.0", None)
    assert of_rollback.period
    assert of_rollback.period.version == 2
    assert (of_move.challenger, of_move.entry.challenger, of_move.entry.decided_by) == (None, 9, "outside")
    assert (of_freeze.entry.kind, of_freeze.period, of_freeze.model) == (Kind.FREEZE, None, None)


def test_a_number_that_is_no_line_has_no_case(ledger: Ledger) -> None:
    assert ledger.entry(2**40) is None


def test_evidence_of_a_rollback_that_is_not_json_is_refused(three: Ledger, spec: str) -> None:
    with pytest.raises(ValueError, match="JSON"):
        three.rollback(replace(make_rollback(spec, "key", 3, 2), evidence={"low": float("nan")}))
    assert version_in_production(three, spec) == 3


def test_a_challenger_must_still_be_recorded_when_frozen(ledger: Ledger, spec: str) -> None:
    ledger.freeze(spec, True, "inventory", "ann")
    with pytest.raises(StoreError, match="a challenger must be in the ledger"):
        ledger.settle(make_case(spec, "one", None, 1))


def test_what_the_evidence_of_a_rollback_names_is_kept_by_pruning(app_url: str, spec: str) -> None:
    ledger = PostgresLedger(app_url)
    for number in (1, 2):
        ledger.add_version(make_version(spec, number))
        ledger.settle(make_case(spec, f"run {number}", number - 1 or None, number))
    rows = {"looks": [{"rows_uri": f"s3://bucket/{spec}.parquet"}]}
    ledger.rollback(replace(make_rollback(spec, "key", 2, 1), evidence=rows))
    assert f"{spec}.parquet" in LedgerNames(app_url).named().objects
