"""The ledger's promises, on Postgres and on the one in memory."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.contract.adapters.records import make_case, make_version, stored

from gauntlet.domain.lineage import Move
from gauntlet.domain.promotion import Decision
from gauntlet.domain.verdict import Verdict
from gauntlet.jobs.ledger_port import Ledger
from gauntlet.jobs.ports import StoreError


def test_an_empty_ledger_knows_nothing(ledger: Ledger, spec: str) -> None:
    assert ledger.production(spec) is None
    assert ledger.previous(spec) is None
    assert ledger.version(spec, 1) is None
    assert ledger.version_of_run(spec, "run") is None
    assert ledger.settled(spec, "run") is None
    assert ledger.projected(spec) is None
    assert ledger.drift_report(spec, "run") is None
    assert ledger.history(spec, 10) == []
    assert spec not in ledger.champions()


def test_a_version_comes_back_as_it_was_and_once(ledger: Ledger, spec: str) -> None:
    first = make_version(spec, 1, "train")
    assert ledger.add_version(first) == first
    assert ledger.add_version(make_version(spec, 2, "train")) == first
    assert ledger.version(spec, 1) == first
    assert ledger.version(spec, 2) is None
    assert ledger.version_of_run(spec, "train") == first


def test_all_versions_and_moves_are_listed_oldest_first(with_versions: Ledger, spec: str) -> None:
    assert with_versions.recorded(spec) == [make_version(spec, number) for number in range(1, 6)]
    assert with_versions.recorded(f"{spec}_other") == []
    assert with_versions.moves(spec) == []
    with_versions.settle(make_case(spec, "one", None, 1))
    with_versions.settle(make_case(spec, "two", 1, 2))
    with_versions.record_external(spec, f"Model-{spec}", 2, None, None)
    assert with_versions.moves(spec) == [Move(None, 1), Move(1, 2), Move(2, None)]


def test_a_version_number_is_not_given_twice(ledger: Ledger, spec: str) -> None:
    ledger.add_version(make_version(spec, 1, "one"))
    with pytest.raises(StoreError, match=f"a version's number must be new; {spec} has v1 already"):
        ledger.add_version(make_version(spec, 1, "another"))


def test_a_first_model_is_promoted(with_versions: Ledger, spec: str) -> None:
    entry = with_versions.settle(make_case(spec, "run", None, 1))
    production = with_versions.production(spec)
    assert production is not None
    assert (production.version, production.run_id, production.model) == (1, "run1", f"Model-{spec}")
    assert with_versions.champions()[spec] == production
    assert with_versions.previous(spec) is None
    assert (entry.verdict, entry.reason, entry.champion, entry.challenger) == (Verdict.PROMOTE, "5 % better", None, 1)
    assert (entry.effect, entry.interval, entry.rows) == (-0.05, (-0.07, -0.03), 5000)
    assert entry.evidence == {"a_mae": 100.0, "segments": {"good": [1, 2]}}
    assert with_versions.settled(spec, "run") == entry
    assert with_versions.history(spec, 10) == [entry]


def test_a_promotion_moves_production_and_keeps_the_one_before(with_versions: Ledger, spec: str) -> None:
    with_versions.settle(make_case(spec, "one", None, 1))
    with_versions.settle(make_case(spec, "two", 1, 2))
    production = with_versions.production(spec)
    assert production is not None
    assert production.version == 2
    assert with_versions.previous(spec) == 1


@pytest.mark.parametrize("verdict", [Verdict.KEEP, Verdict.INCONCLUSIVE, Verdict.INVALID])
def test_another_verdict_leaves_production_alone(with_versions: Ledger, spec: str, verdict: Verdict) -> None:
    with_versions.settle(make_case(spec, "one", None, 1))
    decision = Decision(verdict=verdict, reason="no", effect=None, interval=None, rows=7, rows_needed=None)
    entry = with_versions.settle(make_case(spec, "two", 1, 2, decision=decision))
    production = with_versions.production(spec)
    assert production is not None
    assert production.version == 1
    assert (entry.verdict, entry.effect, entry.interval) == (verdict, None, None)


def test_a_changed_champion_makes_the_verdict_invalid(with_versions: Ledger, spec: str) -> None:
    with_versions.settle(make_case(spec, "one", None, 1))
    with_versions.settle(make_case(spec, "two", 1, 3))
    entry = with_versions.settle(make_case(spec, "three", 1, 2))
    assert entry.verdict is Verdict.INVALID
    assert entry.reason == "champion changed: the test named v1 as champion, production is v3 now"
    production = with_versions.production(spec)
    assert production is not None
    assert production.version == 3


def test_a_champion_that_came_or_went_makes_the_verdict_invalid(with_versions: Ledger, spec: str) -> None:
    first = with_versions.settle(make_case(spec, "one", 1, 2))
    assert first.reason == "champion changed: the test named v1 as champion, production is none now"
    with_versions.settle(make_case(spec, "two", None, 1))
    second = with_versions.settle(make_case(spec, "three", None, 2))
    assert second.reason == "champion changed: the test named none as champion, production is v1 now"


def test_a_run_settles_once(with_versions: Ledger, spec: str) -> None:
    first = with_versions.settle(make_case(spec, "one", None, 1))
    assert with_versions.settle(make_case(spec, "one", None, 2)) == first
    assert len(with_versions.history(spec, 10)) == 1


def test_a_challenger_must_be_recorded_first(ledger: Ledger, spec: str) -> None:
    with pytest.raises(StoreError, match=f"a challenger must be in the ledger; {spec} v1 is not."):
        ledger.settle(make_case(spec, "one", None, 1))
    assert ledger.production(spec) is None


def test_twenty_at_once_make_one_chain(with_versions: Ledger, spec: str) -> None:
    for number in range(6, 22):
        with_versions.add_version(make_version(spec, number))
    with_versions.settle(make_case(spec, "first", None, 1))
    with ThreadPoolExecutor(20) as pool:
        cases = [make_case(spec, f"run {number}", 1, number) for number in range(2, 22)]
        verdicts = [entry.verdict for entry in pool.map(with_versions.settle, cases)]
    assert verdicts.count(Verdict.PROMOTE) == 1
    assert verdicts.count(Verdict.INVALID) == 19
    ids = [entry.id for entry in with_versions.history(spec, 100)]
    assert len(set(ids)) == 21
    assert with_versions.previous(spec) == 1


def test_twenty_tries_of_one_run_settle_it_once(with_versions: Ledger, spec: str) -> None:
    with ThreadPoolExecutor(20) as pool:
        entries = list(pool.map(with_versions.settle, [make_case(spec, "run", None, 1)] * 20))
    assert len({entry.id for entry in entries}) == 1


def test_an_alias_moved_by_hand_becomes_the_truth(with_versions: Ledger, spec: str) -> None:
    with_versions.settle(make_case(spec, "one", None, 1))
    with_versions.settle(make_case(spec, "two", 1, 2))
    with_versions.record_external(spec, f"Model-{spec}", 2, 1, "run1")
    production = with_versions.production(spec)
    assert production is not None
    assert (production.version, production.run_id) == (1, "run1")
    assert with_versions.previous(spec) == 2
    newest = with_versions.history(spec, 1)[0]
    assert (newest.verdict, newest.run_key, newest.champion, newest.challenger) == (None, None, 2, 1)
    assert newest.reason == "production was moved outside: v2 → v1"


def test_a_move_that_is_no_longer_so_is_not_recorded(with_versions: Ledger, spec: str) -> None:
    with_versions.settle(make_case(spec, "one", None, 1))
    with_versions.record_external(spec, f"Model-{spec}", 2, 3, None)
    with_versions.record_external(spec, f"Model-{spec}", 1, 1, None)
    assert len(with_versions.history(spec, 10)) == 1


def test_production_dropped_by_hand_is_none(with_versions: Ledger, spec: str) -> None:
    with_versions.settle(make_case(spec, "one", None, 1))
    with_versions.record_external(spec, f"Model-{spec}", 1, None, None)
    assert with_versions.production(spec) is None
    assert spec not in with_versions.champions()
    assert with_versions.previous(spec) == 1
    assert with_versions.settle(make_case(spec, "two", None, 2)).verdict is Verdict.PROMOTE
    assert with_versions.previous(spec) == 1


def test_history_is_newest_first_and_limited(with_versions: Ledger, spec: str) -> None:
    for number in range(1, 4):
        with_versions.settle(make_case(spec, f"run {number}", number - 1 or None, number))
    assert [entry.challenger for entry in with_versions.history(spec, 2)] == [3, 2]
    entries = with_versions.history(spec, 10)
    assert [entry.id for entry in entries] == sorted((entry.id for entry in entries), reverse=True)
    assert [entry.at for entry in entries] == sorted((entry.at for entry in entries), reverse=True)
    assert with_versions.history(None, 2)[0] == entries[0]


def test_projections_are_remembered(ledger: Ledger, spec: str) -> None:
    ledger.mark_projected(spec, 1)
    ledger.mark_projected(spec, 1)
    assert ledger.projected(spec) == (1,)
    ledger.mark_projected(spec, None)
    assert ledger.projected(spec) == (None,)


def test_the_first_drift_report_of_a_run_stands(ledger: Ledger, spec: str) -> None:
    ledger.add_drift_report(spec, "run", 1, stored("snapshot"), {"drifted": True, "findings": [{"p": 1e-300}]})
    ledger.add_drift_report(spec, "run", 1, stored("snapshot"), {"drifted": False})
    assert ledger.drift_report(spec, "run") == {"drifted": True, "findings": [{"p": 1e-300}]}


def test_evidence_that_is_not_json_is_refused(with_versions: Ledger, spec: str) -> None:
    with pytest.raises(ValueError, match="JSON"):
        with_versions.settle(make_case(spec, "run", None, 1, evidence={"a_mae": float("nan")}))
    assert with_versions.history(spec, 10) == []


def test_a_lock_has_one_holder(ledger: Ledger, spec: str) -> None:
    inside: list[int] = []
    most: list[int] = []

    def hold(number: int) -> None:
        with ledger.lock(spec, "train"):
            inside.append(number)
            most.append(len(inside))
            inside.remove(number)

    _at_once(8, hold)
    assert max(most) == 1


def test_locks_of_another_purpose_or_spec_are_free(ledger: Ledger, spec: str) -> None:
    with ledger.lock(spec, "train"), ledger.lock(spec, "project"), ledger.lock(f"{spec}_2", "train"):
        ledger.record_external(spec, f"Model-{spec}", None, 1, None)
    assert ledger.production(spec) is not None


def test_a_lock_is_free_again_after_an_error(ledger: Ledger, spec: str) -> None:
    with pytest.raises(RuntimeError, match="inside"), ledger.lock(spec, "train"):
        raise RuntimeError("inside")
    with ledger.lock(spec, "train"):
        pass


def _at_once(count: int, work: Callable[[int], None]) -> None:
    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
