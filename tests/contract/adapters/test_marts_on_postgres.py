"""What only the real database can show of the marts: loads that are cut off, roles, names, comments, views."""

import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from typing import Any

import psycopg2
import pyarrow as pa
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from tests.contract.adapters.conftest import as_role, make_database
from tests.contract.adapters.marts import (
    DAY,
    REJECTED,
    as_rows,
    done,
    input_file,
    load,
    make_spec,
    new_batch,
    piece,
    scores,
)
from tests.postgres import free_port, throwaway_postgres

from gauntlet.adapters.databases import ensure, migrate
from gauntlet.adapters.marts import PostgresMart
from gauntlet.adapters.marts.chain import HEAD
from gauntlet.adapters.marts.shelf import MartNames, PostgresShelf
from gauntlet.domain.mart import MartError
from gauntlet.domain.spec import Range, Spec
from gauntlet.jobs.mart_port import BatchKind
from gauntlet.jobs.ports import ServiceAway, StoreError
from gauntlet.jobs.stack import ROLES

PREDICT, TRAIN = BatchKind.PREDICT, BatchKind.TRAIN


def query(url: str, sql: str, *arguments: Any) -> list[Any]:
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(sql, arguments or None)
        return cursor.fetchall() if cursor.description else []


def counts(url: str, spec: str) -> tuple[int, ...]:
    """Batches, and rows of input and output, of a spec."""
    batches = query(url, "select count(*) from mart.batch where spec = %s", spec)
    return (batches[0][0], *(len(shown(url, "row_id", f"{spec}_{suffix}", "row_id")) for suffix in ("input", "output")))


def shown(url: str, columns: str, table: str, order: str) -> list[Any]:
    return query(url, f"select {columns} from mart.{table} order by {order}")  # noqa: S608


@pytest.fixture
def mart(app_url: str) -> PostgresMart:
    return PostgresMart(app_url)


@pytest.fixture
def things(mart: PostgresMart, spec: str) -> Spec:
    made = make_spec(spec)
    mart.prepare(made)
    return made


@pytest.fixture
def foreign(superuser_url: str, request: pytest.FixtureRequest) -> str:
    """An empty database of somebody else's, in the role that owns it."""
    name = f"foreign_{abs(hash(request.node.name))}"
    make_database(superuser_url, name)
    return as_role(superuser_url, "gauntlet", name)


def test_the_newest_revision_is_the_one_that_is_written_down() -> None:
    config = Config()
    config.set_main_option("script_location", "gauntlet:mart_migrations")
    assert ScriptDirectory.from_config(config).get_current_head() == HEAD


def test_a_database_of_somebody_elses_needs_no_more_than_its_owner(foreign: str) -> None:
    mart = PostgresMart(foreign.replace("postgresql://", "postgresql+psycopg2://"))
    spec = make_spec("things")
    mart.prepare(spec)
    load(mart, new_batch(spec, PREDICT, "a", version=1), 3)
    assert counts(foreign, "things") == (1, 3, 3)


def test_batches_can_be_asked_for_before_anything_was_taken_in(foreign: str) -> None:
    assert PostgresMart(foreign).batches(None, None, 9) == []


def test_ten_processes_prepare_at_once(foreign: str) -> None:
    with ThreadPoolExecutor(10) as pool:
        list(pool.map(lambda _: PostgresMart(foreign).prepare(make_spec("things")), range(10)))
    assert query(foreign, "select version_num from mart.alembic_version") == [(HEAD,)]
    assert query(foreign, "select count(*) from mart.form") == [(1,)]


def test_the_roles_that_the_stack_makes_suffice() -> None:
    with throwaway_postgres() as url:
        ensure(url, {role: f"{role}-secret" for role in ROLES})
        migrate(as_role(url, "gauntlet", "gauntlet"))
        mart = PostgresMart(as_role(url, "gauntlet_app", "gauntlet"))
        spec = make_spec("things")
        mart.prepare(spec)
        load(mart, new_batch(spec, PREDICT, "a", version=1), 2)
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            query(as_role(url, "gauntlet_app", "gauntlet"), "create table ledger.mine ()")
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            query(as_role(url, "router", "gauntlet"), "select * from mart.batch")


def test_a_role_that_may_not_make_tables_is_told_what_it_needs(superuser_url: str, foreign: str) -> None:
    assert foreign
    url = as_role(superuser_url, "router", foreign.rpartition("/")[2])
    with pytest.raises(StoreError, match=r"must be allowed to make tables in the schema mart .*grant create on"):
        PostgresMart(url).prepare(make_spec("things"))


def test_tables_of_a_newer_gauntlet_are_left_alone(foreign: str) -> None:
    PostgresMart(foreign).prepare(make_spec("things"))
    query(foreign, "update mart.alembic_version set version_num = 'm9999'")
    with pytest.raises(StoreError, match=r"of this version of Gauntlet or an older one; found: .*m9999"):
        PostgresMart(foreign).prepare(make_spec("things"))


@pytest.mark.parametrize("at_commit", [False, True])
def test_a_connection_lost_in_mid_load_leaves_nothing(
    superuser_url: str, app_url: str, mart: PostgresMart, things: Spec, at_commit: bool
) -> None:
    batch = new_batch(things, PREDICT, "a", version=1)
    ends = "select pg_terminate_backend(pid) from pg_stat_activity where state = 'idle in transaction'"
    with pytest.raises(ServiceAway, match="must answer at 127") as info, mart.load(batch) as loading:
        _load_until_lost(loading, things, lambda: query(superuser_url, ends), at_commit=at_commit)
    assert "gauntlet_app-secret" not in str(info.value)
    assert counts(app_url, things.name) == (0, 0, 0)
    load(mart, batch, 2)
    assert counts(app_url, things.name) == (1, 2, 2)


def test_a_server_that_crashes_in_mid_load_leaves_nothing() -> None:
    with throwaway_postgres() as url:
        mart, spec = PostgresMart(url, patience=30), make_spec("things")
        mart.prepare(spec)
        batch = new_batch(spec, PREDICT, "a", version=1)
        pids = "select pid from pg_stat_activity where state = 'idle in transaction'"
        with pytest.raises(ServiceAway, match="must answer at 127"), mart.load(batch) as loading:
            # Postgres ends every session when one is killed, and recovers from its log
            _load_until_lost(loading, spec, lambda: os.kill(query(url, pids)[0][0], signal.SIGKILL), at_commit=True)
        assert mart.done("things", PREDICT, batch.sha256, 1) is None
        load(mart, batch, 2)
        assert counts(url, "things") == (1, 2, 2)


def _load_until_lost(loading: Any, spec: Spec, lose: Callable[[], object], *, at_commit: bool) -> None:
    loading.add(piece(spec, 1, 2), scores(spec, 2), REJECTED)
    lose()
    if at_commit:
        loading.commit(done(2, 1))
    loading.add(piece(spec, 3, 2), scores(spec, 2), REJECTED.slice(0, 0))


def test_two_loads_of_one_batch_at_once_without_the_lock(app_url: str, things: Spec) -> None:
    batch, at_once = new_batch(things, PREDICT, "a", version=1), threading.Barrier(2)

    def work(_: int) -> int:
        with PostgresMart(app_url).load(batch) as loading:
            loading.add(piece(things, 1, 5), scores(things, 5), REJECTED.slice(0, 0))
            at_once.wait()
            return loading.commit(done(5)).id

    with ThreadPoolExecutor(2) as pool:
        numbers = set(pool.map(work, range(2)))
    assert len(numbers) == 1
    assert counts(app_url, things.name) == (1, 5, 5)


def test_a_full_disk_is_told_as_one(superuser_url: str, foreign: str) -> None:
    assert superuser_url
    mart, spec = PostgresMart(foreign), make_spec("things")
    mart.prepare(spec)
    query(
        foreign,
        "create function mart.no_room() returns trigger language plpgsql as"
        " $$begin raise exception 'could not extend file: No space left on device' using errcode = '53100'; end$$;"
        "create trigger no_room before insert on mart.batch for each row execute function mart.no_room()",
    )
    with pytest.raises(StoreError, match=r"must have room for the rows; found: could not extend file: No space"):
        load(mart, new_batch(spec, PREDICT, "a", version=1), 1)


def test_a_column_that_was_dropped_by_hand_is_put_back(app_url: str, mart: PostgresMart, things: Spec) -> None:
    query(app_url, f"alter table mart.{things.name}_input drop column size cascade")
    with pytest.raises(
        StoreError, match=r"must be those that were made from the spec; found: .*[Cc]olumn \"size\" does"
    ):
        load(mart, new_batch(things, PREDICT, "a", version=1), 1)
    mart.prepare(things)
    load(mart, new_batch(things, PREDICT, "a", version=1), 1)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ann:hush%zz@127.0.0.1/marts",
        "postgresql://ann:hush@127.0.0.1:port/marts",
        "ann:hush",
        "host=h x=hush",
    ],
)
def test_an_address_that_is_none_does_not_show_its_password(url: str) -> None:
    with pytest.raises(MartError, match=r"^MART_DATABASE_URL must be postgresql://") as info:
        PostgresMart(url)
    assert "hush" not in str(info.value)


def test_a_wrong_password_fails_at_once_and_is_not_shown(app_url: str, things: Spec) -> None:
    mart = PostgresMart(app_url.replace("gauntlet_app-secret", "hush"), patience=30)
    started = time.perf_counter()
    with pytest.raises(ServiceAway, match="password authentication failed") as first:
        mart.prepare(things)
    with (
        pytest.raises(ServiceAway, match="password authentication failed") as second,
        mart.load(new_batch(things, PREDICT, "a", version=1)),
    ):
        pass
    assert "hush" not in f"{first.value}{second.value}"
    assert time.perf_counter() - started < 10


def test_a_server_that_is_away(things: Spec) -> None:
    mart = PostgresMart(f"postgresql://ann:hush@127.0.0.1:{free_port()}/marts", patience=0.1)
    with (
        pytest.raises(ServiceAway, match=r"Postgres must answer at 127.0.0.1:\d+/marts; found .*refused") as info,
        mart.load(new_batch(things, PREDICT, "a", version=1)),
    ):
        pass
    assert "hush" not in str(info.value)


def test_text_that_postgres_cannot_hold_is_told(mart: PostgresMart, things: Spec) -> None:
    rows = piece(things, 1, 1)
    rows = rows.set_column(rows.schema.get_field_index("item"), "item", pa.array(["nu\0l"]))
    with (
        pytest.raises(StoreError, match=r"must take the rows; found: invalid byte sequence"),
        mart.load(new_batch(things, PREDICT, "a", version=1)) as loading,
    ):
        loading.add(rows, scores(things, 1), REJECTED)


def test_every_table_and_column_is_explained(app_url: str, things: Spec) -> None:
    views = (f"{things.name}_prediction", f"{things.name}_latest")
    fixed = ("batch", "batch_file", "rejected_row", "model", "training", "arrival", "form")
    names = (*fixed, f"{things.name}_input", f"{things.name}_output", *views)
    bare = query(
        app_url,
        "select relname, attname from pg_class join pg_attribute on attrelid = pg_class.oid"
        " where relnamespace = 'mart'::regnamespace and relname = any(%s) and attnum >= 0 and not attisdropped"
        " and (obj_description(pg_class.oid) is null or col_description(pg_class.oid, attnum) is null)"
        " and relkind = 'r'",
        list(names),
    )
    assert bare == []
    told = dict(
        query(
            app_url,
            "select attname, col_description(attrelid, attnum) from pg_attribute where attrelid = %s::regclass"
            " and attnum > 0",
            f"mart.{things.name}_input",
        )
    )
    assert told["size"] == "a number from 0 to 10"
    assert told["kind"] == "one of good, bad"
    assert told["price"].endswith("the target, empty where a file to predict lacks it")
    assert query(app_url, "select obj_description(%s::regclass)", f"mart.{views[0]}")[0][0].startswith("Price of a th")


def test_a_description_that_changed_is_told_anew(app_url: str, mart: PostgresMart, things: Spec) -> None:
    mart.prepare(things.model_copy(update={"title": "Prices", "categorical": {"kind": ("good", "bad", "ugly")}}))
    said = query(app_url, "select obj_description(%s::regclass)", f"mart.{things.name}_output")
    assert said[0][0].startswith("Prices")


def test_names_of_columns_may_be_anything_that_can_be_printed(mart: PostgresMart, spec: str) -> None:
    odd = dict.fromkeys(('a "b"', "50%s", "größe", "select", "class", "1st", "it's"), Range(min=0, max=10))
    made = make_spec(spec)
    made = made.model_copy(update={"numeric": {**made.numeric, **odd}})
    mart.prepare(made)
    batch = load(mart, new_batch(made, PREDICT, "a", version=1), 2)
    assert as_rows(mart, batch)[1]['a "b"'] == 2.0
    row = mart.trace(batch.id, 1001)
    assert row is not None
    assert [row[name] for name in odd] == [1.0] * len(odd)


def test_names_that_fit_no_tables_are_refused(mart: PostgresMart) -> None:
    own = make_spec("things").model_copy(update={"key": "verdict"})
    with pytest.raises(MartError, match=r"found verdict\. Rename it"):
        mart.prepare(own)
    with pytest.raises(MartError, match=r"at most 52 letters; found 53"):
        mart.prepare(make_spec("x" * 53))
    with pytest.raises(MartError, match=r"at most 63 bytes; found .*: 64\."):
        mart.prepare(make_spec("things").model_copy(update={"key": "k" * 64}))
    mart.prepare(make_spec("x" * 52).model_copy(update={"key": "k" * 63}))


def test_the_remedy_for_a_changed_spec_is_one(foreign: str) -> None:
    mart = PostgresMart(foreign)
    before = make_spec("things")
    mart.prepare(before)
    kept = load(mart, new_batch(before, PREDICT, "a", version=1), 2)
    after = make_spec("things", size="text")
    with pytest.raises(MartError) as info:
        mart.prepare(after)
    text = str(info.value)
    assert "size is text by the spec, double precision in mart.things_input" in text
    remedy = text.partition("new tables are made:")[2].partition("What lies in")[0]
    query(foreign, remedy)
    mart.prepare(after)
    made = load(mart, new_batch(after, PREDICT, "a", version=1), 1)
    assert as_rows(mart, made)[0]["size"] == "S"
    old = mart.batch(kept.id)
    assert old is not None
    assert (old.spec, as_rows(mart, old)[1]["size"]) == ("things_before", 2.0)
    assert query(foreign, "select count(*) from mart.things_latest") == [(1,)]


def test_whether_tables_can_follow_a_spec_can_be_asked(foreign: str) -> None:
    mart, changed = PostgresMart(foreign), make_spec("things", size="text")
    mart.require_fit(changed)
    assert query(foreign, "select to_regnamespace('mart')") == [(None,)]
    mart.prepare(make_spec("things"))
    mart.require_fit(make_spec("things", extra=True))
    with pytest.raises(MartError, match="size is text by the spec"):
        mart.require_fit(changed)


def test_the_newest_score_of_each_key(app_url: str, mart: PostgresMart, things: Spec) -> None:
    load(mart, new_batch(things, PREDICT, "newer data", version=1, time=DAY + timedelta(days=1)), 1)
    load(mart, new_batch(things, PREDICT, "older data", version=1), 2)
    load(mart, new_batch(things, PREDICT, "older data", version=2), 2)
    found = shown(app_url, "item, model_version, data_time", f"{things.name}_latest", "item")
    assert found == [("thing 1", 1, DAY + timedelta(days=1)), ("thing 2", 2, DAY)]


def test_without_a_key_the_newest_score_of_each_row_id(app_url: str, mart: PostgresMart, spec: str) -> None:
    made = make_spec(spec, key=None)
    mart.prepare(made)
    for version in (1, 2):
        load(mart, new_batch(made, PREDICT, "a", version=version), 2)
    found = shown(app_url, "row_id, model_version", f"{spec}_latest", "row_id")
    assert found == [(1001, 2), (1002, 2)]


def test_columns_that_came_later_are_in_the_views(app_url: str, mart: PostgresMart, things: Spec, spec: str) -> None:
    load(mart, new_batch(things, PREDICT, "a", version=1), 1)
    wider = make_spec(spec, extra=True)
    mart.prepare(wider)
    load(mart, new_batch(wider, PREDICT, "b", version=1), 1)
    mart.prepare(things)
    found = shown(app_url, "extra", f"{spec}_prediction", "batch_id")
    assert found == [(None,), (1.0,)]


def test_a_view_of_somebody_elses_stands_in_the_way(app_url: str, mart: PostgresMart, things: Spec, spec: str) -> None:
    query(app_url, f"create view mart.{spec}_mine as table mart.{spec}_latest")
    with pytest.raises(MartError, match=rf"others read them: view mart\.{spec}_mine depends on"):
        mart.prepare(make_spec(spec, extra=True))
    mart.prepare(things)


def test_rows_are_streamed_in_order(mart: PostgresMart, things: Spec) -> None:
    with mart.load(new_batch(things, PREDICT, "a", version=1)) as loading:
        for first in (10_001, 1):
            loading.add(piece(things, first, 10_000), scores(things, 10_000), REJECTED.slice(0, 0))
        batch = loading.commit(done(20_000))
    numbers = [number for each in mart.rows(batch) for number in each.column("row_number").to_pylist()]
    assert numbers == list(range(1, 20_001))
    for each in mart.rows(batch):  # one that is not read to its end keeps nobody from anything
        assert len(each)
        break
    assert mart.batches(things.name, None, None) == [batch]


def test_old_batches_leave_with_their_rows(app_url: str, mart: PostgresMart, things: Spec) -> None:
    shelf = PostgresShelf(app_url)
    first = load(mart, new_batch(things, PREDICT, "a", version=1), 2)
    last = load(mart, new_batch(things, PREDICT, "b", version=2), 3)
    lineage = load(mart, new_batch(things, TRAIN, "c"), 4)
    mart.record_training(things.name, 1, [lineage.id])
    mart.also(first, input_file("again"))
    refused = mart.refuse(new_batch(make_spec("never_prepared"), PREDICT, "d", version=1), "no parquet")

    assert shelf.old(first.ended_at, things.name) == []
    old = shelf.old(lineage.ended_at + timedelta(days=1), things.name)
    assert [(each.batch, each.is_trained_on, each.last_version) for each in old] == [
        (first, False, 2),
        (last, False, 2),
        (lineage, True, 2),
    ]
    assert old[0].files == {(first.uri, first.mark), (input_file("again").uri, input_file("again").mark)}
    assert [shelf.remove(each) for each in (first, first, lineage, refused)] == [True, True, False, True]
    assert counts(app_url, things.name) == (2, 7, 3)
    assert mart.batch(refused.id) is None


def test_what_batches_name_is_kept_from_pruning(app_url: str, foreign: str, mart: PostgresMart, things: Spec) -> None:
    batch = load(mart, new_batch(things, PREDICT, "a", version=1), 1)
    assert batch.kept_uri is not None
    named = MartNames(app_url).named().objects
    assert {batch.kept_uri.rpartition("/")[2], "a.parquet"} <= named
    assert not MartNames(foreign).named().objects
