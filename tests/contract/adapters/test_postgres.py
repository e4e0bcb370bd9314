"""What only the real database can show: migrations, grants, crashes, forks."""

import multiprocessing
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import psycopg2
import pytest
from tests.contract.adapters.conftest import as_role, make_database
from tests.contract.adapters.records import make_case, make_version
from tests.postgres import free_port

from gauntlet.adapters.databases import migrate
from gauntlet.adapters.ledger import PostgresLedger
from gauntlet.jobs.ports import ServiceAway

TABLES = ["decision", "drift_report", "production_event", "projection", "version"]


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
    return app_url


def test_migrating_again_is_harmless_and_quick(owner_url: str) -> None:
    started = time.perf_counter()
    migrate(owner_url)
    assert time.perf_counter() - started < 0.3
    tables = _query(owner_url, "select tablename from pg_tables where schemaname = 'ledger' order by 1")
    assert [name for (name,) in tables] == TABLES


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
