"""One contract for both marts: those in memory, and those in a real Postgres."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from tests.contract.adapters.marts import (
    REJECTED,
    as_rows,
    columns,
    done,
    input_file,
    load,
    make_spec,
    new_batch,
    piece,
    predictor,
    scores,
)
from tests.memory_mart import MemoryMart

from gauntlet.adapters.marts import PostgresMart
from gauntlet.domain.mart import BACKGROUND, MartError
from gauntlet.domain.spec import Spec
from gauntlet.jobs.mart_port import BatchKind, BatchStatus, Mart
from gauntlet.jobs.ports import StoreError

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
TRAIN, PREDICT = BatchKind.TRAIN, BatchKind.PREDICT


@pytest.fixture(params=["memory", "postgres"])
def mart(request: pytest.FixtureRequest) -> Mart:
    if request.param == "memory":
        return MemoryMart()
    return PostgresMart(request.getfixturevalue("app_url"))


@pytest.fixture
def things(mart: Mart, spec: str) -> Spec:
    """A spec with its tables made."""
    made = make_spec(spec)
    mart.prepare(made)
    return made


def test_a_batch_is_there_when_it_is_committed(mart: Mart, things: Spec) -> None:
    batch = new_batch(things, PREDICT, "a", version=3)
    with mart.load(batch) as loading:
        loading.add(piece(things, 1, 2), scores(things, 2), REJECTED)
        loading.add(piece(things, 4, 1), scores(things, 1), REJECTED.slice(0, 0))
        assert mart.done(things.name, PREDICT, batch.sha256, 3) is None
        made = loading.commit(done(3, 1))
    assert mart.done(things.name, PREDICT, batch.sha256, 3) == made == mart.batch(made.id)
    assert (made.spec, made.kind, made.status, made.version) == (things.name, PREDICT, BatchStatus.DONE, 3)
    assert (made.read, made.accepted, made.rejected, made.written) == (4, 3, 1, 3)
    assert (made.uri, made.mark, made.data_time) == (batch.file.uri, batch.file.mark, batch.file.time)
    assert made.started_at <= made.ended_at
    assert Spec.from_json(made.spec_json) == things
    assert as_rows(mart, made) == [
        {**row, "prediction": 0.5 * place, "pool": None}
        for place, row in zip([0, 1, 0], columns(things, [1, 2, 4]), strict=True)
    ]


def test_what_is_not_committed_is_undone(mart: Mart, things: Spec) -> None:
    batch = new_batch(things, PREDICT, "a", version=3)
    with mart.load(batch) as loading:
        loading.add(piece(things, 1, 2), scores(things, 2), REJECTED)
    assert mart.batches(things.name, None, None) == []
    made = load(mart, batch, 2)
    assert [row["row_number"] for row in as_rows(mart, made)] == [1, 2]


def test_a_batch_that_somebody_else_has_loaded_is_kept(mart: Mart, things: Spec) -> None:
    batch = new_batch(things, PREDICT, "a", version=3)
    with mart.load(batch) as loading:
        loading.add(piece(things, 1, 2), scores(things, 2), REJECTED)
        first = load(mart, batch, 2)
        assert loading.commit(done(2, 1)) == first
    assert mart.batches(things.name, None, None) == [first]
    assert len(as_rows(mart, first)) == 2


def test_another_content_version_or_kind_is_another_batch(mart: Mart, things: Spec) -> None:
    first = load(mart, new_batch(things, PREDICT, "a", version=3), 2)
    others = [
        load(mart, new_batch(things, PREDICT, "b", version=3), 2),
        load(mart, new_batch(things, PREDICT, "a", version=4), 2),
        load(mart, new_batch(things, TRAIN, "a"), 2),
    ]
    assert mart.batches(things.name, None, None) == [*reversed(others), first]
    assert mart.batches(things.name, PREDICT, 1) == [others[1]]
    assert mart.done(things.name, TRAIN, first.sha256, None) == others[2]
    assert mart.done(things.name, PREDICT, first.sha256, 5) is None


def test_a_file_without_rows_is_a_batch(mart: Mart, things: Spec) -> None:
    made = load(mart, new_batch(things, PREDICT, "empty", version=1), 0)
    assert (made.read, as_rows(mart, made)) == (0, [])


def test_training_rows_have_a_pool_and_no_scores(mart: Mart, things: Spec) -> None:
    with mart.load(new_batch(things, TRAIN, "a")) as loading:
        loading.add(piece(things, 1, 2, pool="ab"), None, REJECTED.slice(0, 0))
        made = loading.commit(done(2))
    assert as_rows(mart, made) == [{**row, "pool": "ab"} for row in columns(things, [1, 2])]
    assert mart.trace(made.id, 1001) is None


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_number_that_is_not_finite_is_refused(mart: Mart, things: Spec, bad: float) -> None:
    with (
        pytest.raises(MartError, match=r"hold finite numbers; found others in prediction"),
        mart.load(new_batch(things, PREDICT, "a", version=1)) as loading,
    ):
        loading.add(piece(things, 1, 1), scores(things, 1, bad), REJECTED)
    assert mart.batches(things.name, None, None) == []


def test_a_row_number_that_is_doubled_is_refused(mart: Mart, things: Spec) -> None:
    with mart.load(new_batch(things, PREDICT, "a", version=1)) as loading:
        loading.add(piece(things, 1, 2), scores(things, 2), REJECTED)
        with pytest.raises(StoreError):
            loading.add(piece(things, 2, 1), scores(things, 1), REJECTED.slice(0, 0))
    assert mart.batches(things.name, None, None) == []


def test_figures_that_do_not_add_up_are_refused(mart: Mart, things: Spec) -> None:
    with mart.load(new_batch(things, PREDICT, "a", version=1)) as loading, pytest.raises(StoreError):
        loading.commit(replace(done(2, 1), read=4))
    assert mart.batches(things.name, None, None) == []


def test_columns_that_are_others_are_refused(mart: Mart, things: Spec) -> None:
    rows = piece(things, 1, 1)
    with (
        pytest.raises(ValueError, match="columns must be"),
        mart.load(new_batch(things, PREDICT, "a", version=1)) as loading,
    ):
        loading.add(rows.select(rows.schema.names[::-1]), scores(things, 1), REJECTED)


def test_rows_without_their_scores_are_refused(mart: Mart, things: Spec) -> None:
    with (
        pytest.raises(ValueError, match="each row must have its score"),
        mart.load(new_batch(things, PREDICT, "a", version=1)) as loading,
    ):
        loading.add(piece(things, 1, 2), scores(things, 1), REJECTED)


def test_what_was_done_or_refused_is_seen(mart: Mart, things: Spec) -> None:
    files = {name: new_batch(things, PREDICT, name, version=1) for name in ("done", "refused", "copy")}
    made = load(mart, files["done"], 1)
    mart.refuse(files["refused"], "no parquet")
    seen = {(files[name].file.uri, files[name].file.mark) for name in ("done", "refused")}
    assert set(mart.seen(things.name, PREDICT, 1)) == set(mart.seen(things.name, PREDICT, None)) == seen
    assert not mart.seen(things.name, PREDICT, 2)
    assert not mart.seen(things.name, TRAIN, None)

    mart.also(made, files["copy"].file)
    mart.also(made, files["copy"].file)
    assert set(mart.seen(things.name, PREDICT, 1)) == seen | {(files["copy"].file.uri, files["copy"].file.mark)}


def test_a_refusal_is_kept_once_and_a_file_may_be_done_after_it(mart: Mart, things: Spec) -> None:
    batch = new_batch(things, TRAIN, "a")
    first = mart.refuse(batch, "no parquet")
    assert (first.status, first.reason, first.read, first.output_uri) == (BatchStatus.REFUSED, "no parquet", 0, None)
    again = mart.refuse(batch, "truncated")
    assert (again.id, again.reason) == (first.id, "truncated")
    assert mart.done(things.name, TRAIN, batch.sha256, None) is None
    made = load(mart, batch, 1)
    assert mart.batches(things.name, None, None) == [made, again]


def test_files_are_announced_once_in_ten_minutes(mart: Mart, spec: str) -> None:
    files = [input_file("a"), input_file("b")]
    assert mart.announce(spec, PREDICT, [], NOW) == []
    assert mart.announce(spec, PREDICT, files[:1], NOW) == files[:1]
    assert mart.announce(spec, PREDICT, files, NOW + timedelta(minutes=9)) == files[1:]
    assert mart.announce(spec, TRAIN, files, NOW) == files
    assert mart.announce(spec, PREDICT, files, NOW + timedelta(minutes=10)) == files[:1]


def test_which_files_a_version_was_trained_on(mart: Mart, things: Spec) -> None:
    newer = load(mart, new_batch(things, TRAIN, "a", time=NOW), 1)
    older = load(mart, new_batch(things, TRAIN, "b", time=NOW - timedelta(days=1)), 1)
    mart.refuse(new_batch(things, TRAIN, "c"), "no parquet")
    load(mart, new_batch(things, PREDICT, "a", version=1), 1)
    assert mart.untrained(things.name) == [older, newer]
    mart.record_training(things.name, 1, [older.id])
    mart.record_training(things.name, 1, [older.id])
    mart.record_training(things.name, 2, [newer.id, older.id])
    assert mart.trained_on(things.name, 1) == [older]
    assert mart.trained_on(things.name, 2) == [older, newer]
    assert mart.untrained(things.name) == []


def test_the_chain_of_a_row(mart: Mart, things: Spec) -> None:
    made = load(mart, new_batch(things, PREDICT, "a", version=3), 2)
    row = mart.trace(made.id, 1002)
    assert row is not None
    assert set(row) == {"batch_id", "row_number", "row_id", *things.columns, "prediction", *BACKGROUND}
    assert (row["row_number"], row["prediction"], row["input_sha256"]) == (2, 0.5, made.sha256)
    assert (row["model_version"], row["model_name"]) == (3, None)

    known = predictor(things, 3)
    mart.describe(known)
    row = mart.trace(made.id, 1002)
    assert row is not None
    assert (row["model_name"], row["run_id"], row["snapshot_uri"]) == (known.model, known.run_id, known.snapshot_uri)
    assert (row["verdict"], row["verdict_reason"], row["decided_at"]) == (None, None, None)
    assert mart.trace(made.id, 7) is None
    assert mart.trace(made.id + 1000, 1002) is None


def test_a_predictor_learns_its_verdict_and_keeps_it(mart: Mart, things: Spec) -> None:
    made = load(mart, new_batch(things, PREDICT, "a", version=3), 1)
    mart.describe(predictor(things, 3))
    mart.describe(predictor(things, 3, decision_id=5, verdict="PROMOTE", reason="better", decided_at=NOW))
    mart.describe(predictor(things, 3))
    mart.describe(predictor(things, 3, decision_id=6, verdict="KEEP", reason="worse", decided_at=NOW))
    row = mart.trace(made.id, 1001)
    assert row is not None
    told = (row["decision_id"], row["verdict"], row["verdict_reason"], row["decided_at"])
    assert told == (5, "PROMOTE", "better", NOW)


def test_locks_of_one_name_exclude_each_other(mart: Mart, spec: str) -> None:
    inside: list[int] = []
    most: list[int] = []

    def hold(number: int) -> None:
        with mart.lock(f"batch {spec}"):
            inside.append(number)
            most.append(len(inside))
            mart.seen(spec, PREDICT, None)  # somebody else would come in here
            inside.remove(number)

    with mart.lock(f"batch {spec} another"), ThreadPoolExecutor(8) as pool:
        list(pool.map(hold, range(8)))
    assert most == [1] * 8


def test_a_classification_has_a_probability_for_each_class(mart: Mart, spec: str) -> None:
    made = make_spec(spec, target="kind")
    mart.prepare(made)
    with mart.load(new_batch(made, PREDICT, "a", version=1)) as loading:
        found = pa.RecordBatch.from_pydict({"prediction": ["bad"], "probability_good": [0.2], "probability_bad": [0.8]})
        loading.add(piece(made, 1, 1), found, REJECTED)
        batch = loading.commit(done(1, 1))
    row = as_rows(mart, batch)[0]
    assert (row["prediction"], row["probability_good"], row["probability_bad"]) == ("bad", 0.2, 0.8)


@pytest.fixture
def changed(mart: Mart, spec: str) -> Spec:
    mart.prepare(make_spec(spec))
    mart.prepare(make_spec(spec))
    return make_spec(spec, extra=True)


def test_added_columns_are_followed_and_the_spec_of_before_still_fits(mart: Mart, changed: Spec, spec: str) -> None:
    old = load(mart, new_batch(make_spec(spec), PREDICT, "a", version=1), 1)
    mart.prepare(changed)
    new = load(mart, new_batch(changed, PREDICT, "b", version=1), 1)
    mart.prepare(make_spec(spec))
    again = load(mart, new_batch(make_spec(spec), PREDICT, "c", version=1), 1)
    assert "extra" not in as_rows(mart, old)[0]
    assert as_rows(mart, new)[0]["extra"] == 1.0
    row = mart.trace(again.id, 1001)
    assert row is not None
    assert as_rows(mart, again)[0]["size"] == row["size"] == 1.0


@pytest.mark.parametrize("change", [{"kind": None}, {"key": None}, {"key": "other"}, {"size": "text"}])
def test_other_changes_are_refused(mart: Mart, changed: Spec, spec: str, change: dict[str, Any]) -> None:
    assert changed
    with pytest.raises(MartError, match=spec):
        mart.prepare(make_spec(spec, **change))
