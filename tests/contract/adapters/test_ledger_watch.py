"""What the watch may count on in the ledger, on Postgres and on the one in memory."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import psycopg2
import pytest
from tests.contract.adapters.records import make_case, make_version
from tests.memory_watch import MemoryWatch

from gauntlet.adapters.ledger import PostgresLedger
from gauntlet.adapters.ledger_watch import PostgresWatch
from gauntlet.domain.confidence_sequence import PairedSums
from gauntlet.jobs.ports import StoreError
from gauntlet.jobs.watch_ports import Look, WatchedRow, WatchLedger, WatchOutcome

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
ROWS = [WatchedRow(1, 2.0, 1.0), WatchedRow(2**53 - 1, 3.0, 5.0)]


@pytest.fixture(params=["memory", "postgres"])
def watch(request: pytest.FixtureRequest) -> WatchLedger:
    if request.param == "memory":
        return MemoryWatch()
    return PostgresWatch(request.getfixturevalue("app_url"))


@pytest.fixture
def promote(watch: WatchLedger, spec: str, request: pytest.FixtureRequest) -> Callable[[int], int]:
    """Put a version in production and return the event of that; in memory events are only numbers."""
    if isinstance(watch, MemoryWatch):
        return lambda number: number
    ledger = PostgresLedger(request.getfixturevalue("app_url"))

    def move(number: int) -> int:
        ledger.add_version(make_version(spec, number))
        ledger.settle(make_case(spec, f"run {number}", number - 1 or None, number))
        return ledger.periods(spec)[0].event_id

    return move


@pytest.fixture
def event(promote: Callable[[int], int]) -> int:
    return promote(1)


def make_look(spec: str, event: int, run_key: str, **changes: Any) -> Look:
    look = Look(NOW, spec, run_key, event, 2, 1, 5000, 0.01, -0.02, 0.04, WatchOutcome.NOT_WORSE, "no worse")
    return replace(look, **changes)


def test_without_rows_and_looks_there_is_nothing(watch: WatchLedger, spec: str, event: int) -> None:
    assert watch.sums(event) is None
    assert watch.seen(event, [1, 2]) == set()
    assert watch.rows_of_run(event, "run") == 0
    assert watch.look(spec, "run") is None
    assert watch.looks(event) == []
    assert watch.last_rollback(spec) is None
    watch.add_rows(event, "run", [])
    assert watch.sums(event) is None


def test_a_row_counts_once_for_a_promotion(watch: WatchLedger, event: int) -> None:
    watch.add_rows(event, "one", ROWS)
    watch.add_rows(event, "two", [WatchedRow(1, 9.0, 9.0), WatchedRow(7, 4.0, 3.0)])
    assert watch.seen(event, [1, 2, 7, 2**53 - 1]) == {1, 7, 2**53 - 1}
    assert (watch.rows_of_run(event, "one"), watch.rows_of_run(event, "two")) == (2, 1)
    sums = watch.sums(event)
    assert sums is not None
    assert (sums.rows, sums.mean_production, sums.mean_previous) == (3, 3.0, 3.0)


def test_another_promotion_counts_its_own_rows(watch: WatchLedger, promote: Callable[[int], int]) -> None:
    first = promote(1)
    watch.add_rows(first, "one", ROWS)
    second = promote(2)
    watch.add_rows(second, "two", ROWS[:1])
    assert watch.seen(second, [1, 2**53 - 1]) == {1}
    assert watch.rows_of_run(first, "one") == 2


def test_the_sums_are_those_of_the_losses(watch: WatchLedger, event: int) -> None:
    rng = np.random.default_rng(0)
    previous = rng.lognormal(6, 1, 2500)
    production = previous * rng.uniform(0.8, 1.3, 2500)
    rows = [WatchedRow(number, b, a) for number, (a, b) in enumerate(zip(previous, production, strict=True))]
    watch.add_rows(event, "run", rows)
    sums, expected = watch.sums(event), PairedSums.of(previous, production)
    assert sums is not None
    assert vars(sums) == pytest.approx(vars(expected), rel=1e-11)


def test_equal_losses_have_no_spread_at_all(watch: WatchLedger, event: int) -> None:
    losses = np.random.default_rng(1).lognormal(6, 1, 1500)
    watch.add_rows(event, "run", [WatchedRow(number, loss, loss) for number, loss in enumerate(losses)])
    sums = watch.sums(event)
    assert sums is not None
    assert sums.square_previous == sums.square_production == sums.product
    assert sums.mean_previous == sums.mean_production


@pytest.mark.parametrize("loss", [float("nan"), float("inf"), -1.0])
def test_a_loss_that_is_none_is_refused_with_all_rows(watch: WatchLedger, event: int, loss: float) -> None:
    for row in (WatchedRow(3, loss, 1.0), WatchedRow(3, 1.0, loss)):
        with pytest.raises((ValueError, psycopg2.errors.CheckViolation)):
            watch.add_rows(event, "run", [*ROWS, row])
    assert watch.sums(event) is None


def test_a_run_has_one_look(watch: WatchLedger, spec: str, event: int) -> None:
    first = make_look(spec, event, "run")
    assert watch.add_look(first) == first
    assert watch.add_look(make_look(spec, event, "run", rows=6000, outcome=WatchOutcome.PROPOSE)) == first
    assert watch.look(spec, "run") == first
    assert watch.looks(event) == [first]


def test_looks_are_oldest_first_and_may_have_no_effect(watch: WatchLedger, spec: str, event: int) -> None:
    few = {"rows": 10, "effect": None, "lower": None, "upper": None, "outcome": WatchOutcome.TOO_FEW_ROWS}
    looks = [make_look(spec, event, "one", **few), make_look(spec, event, "two", at=NOW - timedelta(hours=1))]
    for look in looks:
        watch.add_look(look)
    assert watch.looks(event) == looks


@pytest.mark.parametrize("second", [WatchOutcome.PROPOSE, WatchOutcome.ROLL_BACK])
def test_a_promotion_is_acted_on_once(watch: WatchLedger, spec: str, event: int, second: WatchOutcome) -> None:
    watch.add_look(make_look(spec, event, "one", outcome=WatchOutcome.PROPOSE))
    with pytest.raises(StoreError, match="a promotion must be acted on once"):
        watch.add_look(make_look(spec, event, "two", outcome=second))
    watch.add_look(make_look(spec, event, "three", outcome=WatchOutcome.WORSE))
    assert [look.run_key for look in watch.looks(event)] == ["one", "three"]


def test_the_last_rollback_is_of_any_promotion(watch: WatchLedger, spec: str, promote: Callable[[int], int]) -> None:
    first, second = promote(1), promote(2)
    ordered = make_look(spec, first, "one", outcome=WatchOutcome.ROLL_BACK)
    watch.add_look(ordered)
    watch.add_look(make_look(spec, second, "two", outcome=WatchOutcome.PROPOSE))
    assert watch.last_rollback(spec) == ordered
    assert watch.last_rollback(f"{spec}_2") is None


def test_ten_at_once_leave_each_row_once_and_one_look_that_acts(watch: WatchLedger, spec: str, event: int) -> None:
    rows = [WatchedRow(number, 1.0, 1.0) for number in range(3000)]

    def run(number: int) -> bool:
        shuffled = np.random.default_rng(number).permutation(len(rows))
        watch.add_rows(event, f"run {number}", [rows[place] for place in shuffled])
        try:
            watch.add_look(make_look(spec, event, f"run {number}", outcome=WatchOutcome.ROLL_BACK))
        except StoreError:
            return False
        return True

    with ThreadPoolExecutor(10) as pool:
        assert sum(pool.map(run, range(10))) == 1
    sums = watch.sums(event)
    assert sums is not None
    assert sums.rows == 3000


@pytest.mark.parametrize("statement", ["update {} set run_key = 'x'", "delete from {}", "truncate {}"])
@pytest.mark.parametrize("table", ["ledger.watched_row", "ledger.watch_look"])
def test_the_pipeline_may_not_change_what_is_there(app_url: str, table: str, statement: str) -> None:
    refused = pytest.raises(psycopg2.errors.InsufficientPrivilege)
    with closing(psycopg2.connect(app_url)) as connection, connection.cursor() as cursor, refused:
        cursor.execute(statement.format(table))
