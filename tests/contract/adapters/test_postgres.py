"""What only the real database can show: migrations, grants, crashes, forks."""

import multiprocessing
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from itertools import pairwise
from typing import Any

import psycopg2
import pytest
from tests.contract.adapters.conftest import as_role, make_database
from tests.contract.adapters.records import make_case, make_version
from tests.postgres import free_port

from gauntlet.adapters.databases import migrate
from gauntlet.adapters.ledger import PostgresLedger
from gauntlet.jobs.ledger_records import Rollback
from gauntlet.jobs.ports import Kind, ServiceAway, StoreError

TABLES = ["decision", "drift_report", "freeze", "production_event", "projection", "version"]
WATCH_TABLES = ["watch_look", "watched_row"]
# a first model, and an alias moved by hand, as revision 0001 keeps them; an hour ahead, by a clock that was set back
OLDER_ROWS = (
    "insert into ledger.version values ('things', 1, 'Things', 'run1', 'run', '{}', 'ridge', 1, 'file:///s', 's',"
    " 'file:///p', 'p', 'm')",
    "insert into ledger.decision (spec, run_key, model, verdict, reason, challenger, challenger_run_id,"
    " challenger_snapshot_sha256, evidence, policy, policy_sha256, code_version, decided_by)"
    " values ('things', 'run', 'Things', 'PROMOTE', 'first model', 1, 'run1', 's', '{}', '{}', 'h', '0', 'airflow')",
    "insert into ledger.production_event (at, spec, model, kind, new_version, run_id, decision_id, reason, decided_by)"
    " values (now() + interval '2 hours', 'things', 'Things', 'first', 1, 'run1', 1, 'first model', 'airflow')",
    "insert into ledger.production_event (id, at, spec, model, kind, old_version, new_version, reason, decided_by)"
    " values (4, now() + interval '1 hour', 'things', 'Things', 'external', 1, 2, 'moved', 'outside')",
    "select setval('ledger.entry_id', 4)",
)


def _query(url: str, sql: str, *arguments: Any) -> list[Any]:
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(sql, arguments or None)
        return cursor.fetchall() if cursor.description else []


@pytest.fixture
def filled(app_url: str, spec: str) -> str:
    """The URL of a ledger with a line in every table."""
    ledger = PostgresLedger(app_url)
    version = make_version(spec, 1)
    ledger.add_version(version)
    ledger.settle(make_case(spec, "run", None, 1))
    ledger.mark_projected(spec, 1)
    ledger.add_drift_report(spec, "run", 1, version.snapshot, {})
    ledger.freeze(spec, True, "inventory", "a test")
    return app_url


def test_migrating_again_is_harmless_and_quick(owner_url: str) -> None:
    started = time.perf_counter()
    migrate(owner_url)
    assert time.perf_counter() - started < 0.3
    tables = _query(owner_url, "select tablename from pg_tables where schemaname = 'ledger' order by 1")
    assert [name for (name,) in tables] == [*TABLES, *WATCH_TABLES]


def test_tables_of_the_first_form_are_widened_with_their_rows_in_place(superuser_url: str) -> None:
    make_database(superuser_url, "older")
    owner = as_role(superuser_url, "gauntlet", "older")
    migrate(owner, "0001")
    for sql in OLDER_ROWS:
        _query(owner, sql)
    ledger = PostgresLedger(as_role(superuser_url, "gauntlet_app", "older"))
    with pytest.raises(StoreError, match=r"found: .*does not exist.*gauntlet up"):
        ledger.history("things", 9)

    migrate(owner)
    entries = ledger.history("things", 9)
    assert [(entry.id, entry.kind, entry.held) for entry in entries] == [
        (4, Kind.EXTERNAL, None),
        (1, Kind.VERDICT, None),
    ]
    # the clock was set back an hour between the two moves: the first stay is empty instead of ending before it began
    assert [(period.version, period.until) for period in ledger.periods("things")] == [
        (2, None),
        (1, ledger.periods("things")[0].since),
    ]
    version = make_version("things", 1)
    assert ledger.rollback(Rollback("things", "Things", "key", 2, version, "worse", "ann", "0.1.0")) is not None
    newest = ledger.periods("things")[0]
    assert (newest.version, newest.since - ledger.periods("things")[1].since) == (1, timedelta(microseconds=1))


def test_two_migrations_at_once(superuser_url: str, owner_url: str) -> None:
    assert owner_url
    make_database(superuser_url, "at_once")
    url = as_role(superuser_url, "gauntlet", "at_once")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(migrate, [url] * 4))
    assert _query(url, "select count(*) from alembic_version") == [(1,)]


def test_migrating_a_server_that_is_away() -> None:
    port = free_port()
    with pytest.raises(ServiceAway, match=f"must answer at 127.0.0.1:{port}/gauntlet; found .*refused") as info:
        migrate(f"postgresql://gauntlet:secret@127.0.0.1:{port}/gauntlet")
    assert "secret" not in str(info.value)


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("sql", ["update ledger.{} set spec = 'x'", "delete from ledger.{}", "truncate ledger.{}"])
def test_the_pipeline_cannot_change_the_ledger(filled: str, table: str, sql: str) -> None:
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        _query(filled, sql.format(table))


def test_the_pipeline_cannot_change_the_ledger_through_its_view(filled: str) -> None:
    for sql in ("update ledger.production_period set spec = 'x'", "delete from ledger.production_period"):
        with pytest.raises((psycopg2.errors.InsufficientPrivilege, psycopg2.errors.ObjectNotInPrerequisiteState)):
            _query(filled, sql)


def test_times_rise_when_the_clock_is_set_back(filled: str, owner_url: str, spec: str) -> None:
    _query(owner_url, "update ledger.production_event set at = at + interval '1 hour' where spec = %s", spec)
    ledger = PostgresLedger(filled)
    for number in (2, 3):
        ledger.add_version(make_version(spec, number))
    ledger.freeze(spec, False, "counted", "a test")
    ledger.settle(make_case(spec, "two", 1, 2))
    ledger.record_external(spec, f"Model-{spec}", 2, 3, None)
    ledger.rollback(Rollback(spec, f"Model-{spec}", "key", 3, make_version(spec, 2), "worse", "ann", "0.1.0"))
    times = [period.since for period in ledger.periods(spec)]
    assert [newer - older >= timedelta(microseconds=1) for newer, older in pairwise(times)] == [True] * 3
    assert times[0] - times[-1] < timedelta(milliseconds=1)


def test_the_router_may_touch_its_own_table_only(superuser_url: str, owner_url: str, spec: str) -> None:
    assert owner_url
    url = as_role(superuser_url, "router", "gauntlet")
    _query(url, "insert into router.traffic (spec, config) values (%s, '{}')", spec)
    _query(url, "update router.traffic set config = '{\"a\": 1}' where spec = %s", spec)
    assert _query(url, "select config from router.traffic where spec = %s", spec) == [({"a": 1},)]
    for sql in ("select * from ledger.version", "delete from router.traffic", "create table router.mine ()"):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            _query(url, sql)


def test_the_pipeline_reads_the_router_and_no_more(app_url: str) -> None:
    _query(app_url, "select * from router.traffic")
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        _query(app_url, "insert into router.traffic (spec, config) values ('x', '{}')")


def test_a_promotion_is_one_decision_and_one_event(filled: str, spec: str) -> None:
    rows = _query(
        filled,
        "select e.kind, e.old_version, e.new_version, e.decision_id = d.id, e.id <> d.id, e.at >= d.at "
        "from ledger.production_event e join ledger.decision d using (spec) where spec = %s",
        spec,
    )
    assert rows == [("first", None, 1, True, True, True)]


def test_the_ledger_survives_a_crash_of_postgres(app_url: str, superuser_url: str, spec: str) -> None:
    ledger = PostgresLedger(app_url)
    ledger.add_version(make_version(spec, 1))
    with ledger.lock(spec, "train"):
        # A backend that dies makes Postgres drop every connection and recover.
        backends = _query(superuser_url, "select pid from pg_stat_activity where usename = 'gauntlet_app'")
        os.kill(backends[0][0], signal.SIGKILL)
        assert ledger.settle(make_case(spec, "run", None, 1)).id
    assert ledger.add_version(make_version(spec, 1)) == make_version(spec, 1)
    assert len(ledger.history(spec, 10)) == 1


def test_a_forked_child_opens_its_own_connection(app_url: str, spec: str) -> None:
    ledger = PostgresLedger(app_url)
    ledger.add_version(make_version(spec, 1))
    fork = multiprocessing.get_context("fork")
    children = [fork.Process(target=_settle_and_read, args=(ledger, spec, number)) for number in range(4)]
    for child in children:
        child.start()
    for _ in range(50):
        assert ledger.version(spec, 1) is not None
    for child in children:
        child.join(20)
    assert [child.exitcode for child in children] == [0] * 4
    assert len(ledger.history(spec, 10)) == 4


def _settle_and_read(ledger: PostgresLedger, spec: str, number: int) -> None:
    ledger.settle(make_case(spec, f"run {number}", None, 1))
    for _ in range(50):
        assert ledger.version(spec, 1) is not None


def test_a_killed_process_leaves_no_lock(app_url: str, spec: str) -> None:
    ledger = PostgresLedger(app_url)
    fork = multiprocessing.get_context("fork")
    held = fork.Event()
    child = fork.Process(target=_hold, args=(ledger, spec, held))
    child.start()
    assert held.wait(20)
    assert child.pid
    os.kill(child.pid, signal.SIGKILL)
    child.join(20)
    started = time.perf_counter()
    with ledger.lock(spec, "train"):
        assert time.perf_counter() - started < 5


def _hold(ledger: PostgresLedger, spec: str, held: Any) -> None:
    with ledger.lock(spec, "train"):
        held.set()
        time.sleep(60)


def test_a_ledger_that_is_away_says_where_and_what_to_do() -> None:
    port = free_port()
    ledger = PostgresLedger(f"postgresql://gauntlet_app:secret@127.0.0.1:{port}/gauntlet", patience=0.2)
    with pytest.raises(ServiceAway) as info:
        ledger.production("diamonds")
    text = str(info.value)
    assert text.startswith(f"Postgres must answer at 127.0.0.1:{port}/gauntlet; found ")
    assert text.endswith("Start the stack, or correct its URL.")
    assert "secret" not in text


def test_a_wrong_password_fails_at_once(app_url: str) -> None:
    ledger = PostgresLedger(app_url.replace("gauntlet_app-secret", "wrong"))
    started = time.perf_counter()
    with pytest.raises(ServiceAway, match="password authentication failed"):
        ledger.production("diamonds")
    assert time.perf_counter() - started < 2
