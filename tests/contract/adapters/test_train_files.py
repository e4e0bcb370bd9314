"""Training from files on a real Postgres: marts and ledger; what is killed or under way twice is there once."""

import itertools
import multiprocessing
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import psycopg2
import pyarrow as pa
import pytest
from psycopg2 import sql
from tests.fakes import MemoryRegistry
from tests.killing import Fuse
from tests.training_files import SHARE, Town, items
from tests.unit.test_pipeline import SPEC

from gauntlet.adapters.ledger import PostgresLedger
from gauntlet.adapters.marts import PostgresMart
from gauntlet.domain.identity import contents, in_ab_pool
from gauntlet.domain.verdict import Verdict
from gauntlet.jobs.flow import Step
from gauntlet.jobs.mart_port import BatchStatus
from gauntlet.jobs.pipeline import TRAIN_TASKS, run_train_pipeline
from gauntlet.jobs.ports import Candidate, Names, Version
from gauntlet.jobs.train_files import TrainPorts

KILLED = 9


@pytest.fixture
def town(tmp_path: Path, app_url: str, spec: str) -> Town:
    own = SPEC.model_copy(update={"name": spec, "candidates": ("linear",)})
    return Town(
        tmp_path, PostgresMart(app_url), PostgresLedger(app_url), spec=own, names=Names(spec, spec, f"{spec}-c")
    )


@pytest.fixture
def rows_of(app_url: str, spec: str) -> Callable[[], dict[str, list[tuple[object, ...]]]]:
    """What the tables hold of the spec: (batch, rows, distinct row numbers, distinct ids, A/B rows), and rejected."""

    def ask() -> dict[str, list[tuple[object, ...]]]:
        table = sql.Identifier("mart", f"{spec}_input")
        inputs = sql.SQL(
            "select batch_id, count(*), count(distinct row_number), count(distinct row_id), "
            "count(*) filter (where pool = 'ab') from {} group by batch_id order by batch_id"
        ).format(table)
        rejected = (
            "select batch_id, count(*) from mart.rejected_row where batch_id in "
            "(select id from mart.batch where spec = %s) group by batch_id order by batch_id"
        )
        with closing(psycopg2.connect(app_url)) as connection, connection.cursor() as cursor:
            cursor.execute(inputs)
            found = {"input": cursor.fetchall()}
            cursor.execute(rejected, (spec,))
            return {**found, "rejected": cursor.fetchall()}

    return ask


def test_two_files_make_a_champion_and_a_challenger(
    town: Town, rows_of: Callable[[], dict[str, list[tuple[object, ...]]]]
) -> None:
    first, second = items(1500, 1), items(1500, 2, slope=14.0)
    second.loc[[5, 50], "colour"] = "pink"
    town.put("2026-11-01/first.parquet", first)
    town.go()
    town.put("2026-11-02/second.parquet", second)
    line = town.line()

    assert town.champion == 2
    assert town.settled().verdict is Verdict.PROMOTE
    assert " Rejected 2 of 1,500 rows." in line
    one, two = town.batches()
    good = second.drop(index=[5, 50])
    assert rows_of() == {
        "input": [
            (one.id, 1500, 1500, 1500, in_ab_pool(contents(first, SPEC), SHARE).sum()),
            (two.id, 1498, 1498, 1498, in_ab_pool(contents(good, SPEC), SHARE).sum()),
        ],
        "rejected": [(two.id, 2)],
    }
    assert [batch.id for batch in town.mart.trained_on(town.spec.name, 1)] == [one.id]
    assert [batch.id for batch in town.mart.trained_on(town.spec.name, 2)] == [one.id, two.id]
    assert town.mart.untrained(town.spec.name) == []
    loaded = pa.Table.from_batches(town.mart.rows(one)).to_pandas()
    assert set(town.trained_on(1).index) == set(loaded.loc[loaded["pool"] == "training", "row_id"])


def test_the_query_in_the_docs_tells_what_each_version_was_trained_on(town: Town, app_url: str) -> None:
    for number in (1, 2):
        town.put(f"2026-11-0{number}/file.parquet", items(600, number))
        town.go()
    query = (Path(__file__).parents[3] / "docs" / "train.md").read_text().partition("```sql\n")[2].partition("```")[0]
    with closing(psycopg2.connect(app_url)) as connection, connection.cursor() as cursor:
        cursor.execute(query.replace("diamonds", town.spec.name))
        found = [(version, batch, rows) for version, batch, _, rows, _ in cursor.fetchall()]
    one, two = town.batches()
    assert found == [(1, one.id, 600), (2, one.id, 600), (2, two.id, 600)]


def test_runs_at_once_load_each_file_once_and_agree_on_one_champion(
    town: Town, rows_of: Callable[[], dict[str, list[tuple[object, ...]]]]
) -> None:
    for number in (1, 2):
        town.put(f"2026-11-0{number}/file.parquet", items(600, number))
    town.registry = OneAtATime()
    runs = [town.run() for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda run: run_train_pipeline(run, town.ports), runs))

    batches = town.batches()
    assert [row[:4] for row in rows_of()["input"]] == [(batch.id, 600, 600, 600) for batch in batches]
    assert len(batches) == 2
    verdicts = sorted(str(entry.verdict) for entry in town.ledger.history(town.spec.name, 99))
    assert verdicts.count("PROMOTE") == 1
    assert town.mart.untrained(town.spec.name) == []
    assert town.registry.aliases[town.names.model, "production"] == town.champion


def test_a_process_killed_after_any_call_while_it_takes_a_file_in(
    town: Town, rows_of: Callable[[], dict[str, list[tuple[object, ...]]]]
) -> None:
    """What was loaded by halves is not there, and the next try loads all of it, once."""
    expected: list[tuple[object, ...]] = []
    for last in itertools.count(1):
        frame = items(50, last)
        frame.loc[7, "size"] = -1.0
        town.put(f"2026-11-01/{last:03}.parquet", frame)
        run = town.run()
        code = _in_a_child(partial(TRAIN_TASKS[Step.PREPARE_DATA].run, run, _fused(town, last), {}))
        prepared = TRAIN_TASKS[Step.PREPARE_DATA].run(run, town.ports, {}).data

        assert [each["uri"].rpartition("/")[2] for each in prepared["taken"]] == [f"{last:03}.parquet"]
        assert (prepared["read"], prepared["accepted"], prepared["rejected"]) == (50, 49, 1)
        expected.append((town.batches()[-1].id, 49, 49, 49))
        assert [row[:4] for row in rows_of()["input"]] == expected
        assert rows_of()["rejected"] == [(batch, 1) for batch, *_ in expected]
        if code == 0:
            break
        assert code == KILLED
    assert last > 10
    assert town.batches(BatchStatus.REFUSED) == []
    assert list((town.root / "scratch").iterdir()) == []


def test_a_process_killed_after_any_call_while_it_records_what_was_trained_on(town: Town) -> None:
    for last in itertools.count(1):
        town.put(f"2026-11-01/{last}.parquet", items(100, last))
        run = town.run()
        given = town.until(run, Step.RECORD_TRAINING)
        code = _in_a_child(partial(TRAIN_TASKS[Step.RECORD_TRAINING].run, run, _fused(town, last), given))
        assert len(town.mart.trained_on(town.spec.name, last)) in (0, last)
        TRAIN_TASKS[Step.RECORD_TRAINING].run(run, town.ports, given)
        assert town.mart.trained_on(town.spec.name, last) == town.batches()
        if code == 0:
            break
    assert last > 2


class OneAtATime(MemoryRegistry):
    """A registry that numbers versions of runs at once one after the other, as MLflow does."""

    numbering = threading.Lock()

    def publish(self, candidate: Candidate, *, log_details: bool) -> Version:
        with self.numbering:
            return super().publish(candidate, log_details=log_details)


def _fused(town: Town, last: int) -> TrainPorts:
    fuse = Fuse(last, lambda: os._exit(KILLED))
    return replace(town.ports, files=fuse.around(town.ports.files), mart=fuse.around(town.mart))


def _in_a_child(work: Callable[[], object]) -> int:
    """Run it in a process of its own that may be gone, without a word; its exit code."""
    child = multiprocessing.get_context("fork").Process(target=work)
    child.start()
    child.join(60)
    assert child.exitcode is not None
    return child.exitcode
