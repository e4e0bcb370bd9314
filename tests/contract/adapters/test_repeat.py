"""Results repeated on real marts: rows traced, batches made again, and every fault put into the tables is found."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd
import psycopg2
import pytest
from psycopg2 import sql
from tests.repeating import Checked, to_predict
from tests.training_files import Town, items

from gauntlet.adapters.ledger import PostgresLedger
from gauntlet.adapters.marts import PostgresMart
from gauntlet.adapters.marts.audit import PostgresAudit
from gauntlet.domain.spec import Spec
from gauntlet.jobs.audit_port import AuditError
from gauntlet.jobs.mart_port import Batch
from gauntlet.jobs.ports import Names
from gauntlet.jobs.same_rows import RowTally

TEXT = """
title = "Price of a toy"
data = "toys.csv"
target = "price"
task = "regression"
metric = "mae"
key = "toy number"
candidates = ["linear"]
[numeric]
size = { min = 0, max = 30 }
price = { min = -100, max = 1000 }
[categorical]
colour = ["red", "green", "blue"]
"""
HALVES = "every prediction has its input row, and every input row its prediction"
COUNTS = "every batch has as many rows as it says"


@pytest.fixture
def checked(app_url: str, spec: str, tmp_path: Path) -> Checked:
    """A town on real marts, a real ledger and files in a folder."""
    town = Town(
        tmp_path,
        mart=PostgresMart(app_url),
        ledger=PostgresLedger(app_url),
        spec=Spec.parse(spec, TEXT),
        names=Names(spec, spec, spec),
    )
    made = Checked(town, PostgresAudit(app_url))
    made.town.put("2026-11-01/first.parquet", keyed(items(600, 1)))
    made.town.go()
    return made


@pytest.fixture
def batch(checked: Checked) -> Batch:
    return checked.score("today.parquet", keyed(to_predict(300, 5)))


def keyed(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(**{"toy number": [f"T{number}" for number in range(len(frame))]})


@pytest.fixture
def tables(app_url: str) -> Iterator[Any]:
    """A cursor of the role that owns the marts' tables."""
    with closing(psycopg2.connect(app_url)) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        yield cursor


def test_batches_are_equal_and_nothing_is_wrong(checked: Checked, batch: Batch) -> None:
    assert checked.reproduce(batch).tally == RowTally(compared=270)
    [first] = checked.town.batches()
    assert checked.reproduce(first).tally == RowTally(compared=600)
    assert checked.reproduce(batch).equal
    assert checked.reproduce(first).equal
    assert checked.faults(batch.spec) == {}


def test_the_chain_holds_what_the_tables_hold(checked: Checked, batch: Batch, tables: Any) -> None:
    tables.execute(f"select row_id, prediction from mart.{batch.spec}_output where row_number = 8")  # noqa: S608
    row_id, prediction = tables.fetchone()
    found = checked.trace(batch, row_id=row_id)
    assert found.ok, [check for check in found.checks if not check.ok]
    chain = json.loads(json.dumps(found.chain))
    assert chain["row"] == {"row_number": 8, "row_id": row_id}
    assert chain["prediction"] == {"prediction": prediction}
    assert chain["input"]["mart"]["toy number"] == chain["input"]["file"]["toy number"] == "T7"
    assert chain["model"]["sha256"] == checked.town.version(1).model_sha256
    [file] = chain["training"]["files"]
    assert file["sha256"] == checked.town.batches()[0].sha256
    entry = checked.town.ledger.history(batch.spec, 1)[0]
    assert (chain["verdict"]["id"], chain["verdict"]["reason"]) == (entry.id, entry.reason)
    assert checked.trace(batch, row_number=8) == found


def test_rows_that_cannot_be_traced_say_why(checked: Checked, batch: Batch) -> None:
    with pytest.raises(AuditError, match=r"row 5 of batch .* was rejected: size must lie in 0..30"):
        checked.trace(batch, row_number=5)
    with pytest.raises(AuditError, match="none at 301"):
        checked.trace(batch, row_number=301)
    with pytest.raises(AuditError, match="no accepted row with the id -1"):
        checked.trace(batch, row_id=-1)


def test_a_training_row_is_traced_to_the_versions_made_of_it(checked: Checked, tables: Any) -> None:
    [first] = checked.town.batches()
    for pool in ("training", "ab"):
        tables.execute(f"select row_id from mart.{first.spec}_input where pool = %s limit 1", (pool,))  # noqa: S608
        found = checked.trace(first, row_id=tables.fetchone()[0])
        assert found.ok
        assert [one["in_snapshot"] for one in found.chain["trained"]] == [pool == "training"]


def test_changed_and_lost_rows_are_found(checked: Checked, batch: Batch, tables: Any) -> None:
    name = f"mart.{batch.spec}_output"
    change = f"update {name} set prediction = prediction + 0.5 where batch_id = %s and row_number = 8"  # noqa: S608
    tables.execute(change, (batch.id,))
    tally = checked.reproduce(batch).tally
    assert (tally.compared, tally.differing, tally.only_again) == (270, 1, 0)
    assert tally.largest == pytest.approx(0.5)
    assert [(one.row_number, one.column) for one in tally.first] == [(8, "prediction")]

    tables.execute(f"delete from {name} where batch_id = %s and row_number in (9, 10)", (batch.id,))  # noqa: S608
    tally = checked.reproduce(batch).tally
    assert (tally.compared, tally.differing, tally.only_again) == (268, 1, 2)
    assert checked.faults(batch.spec) == {
        COUNTS: (f"batch {batch.id}: 268 output rows, 270 by its line in mart.batch",),
        HALVES: (f"batch {batch.id}: 0 without input, 2 without output, 0 with another row id",),
    }


def test_strays_other_ids_and_doubled_ids_are_found(checked: Checked, batch: Batch, tables: Any) -> None:
    spec, number = batch.spec, batch.id
    tables.execute(f"update mart.{spec}_output set row_id = row_id + 1 where row_number = 1")  # noqa: S608
    tables.execute(
        f"update mart.{spec}_input set row_id = (select row_id from mart.{spec}_input where batch_id = %s "  # noqa: S608
        "and row_number = 3) where batch_id = %s and row_number = 2",
        (number, number),
    )
    tables.execute(f"insert into mart.{spec}_output values (999999999, 1, 1, 0.5)")  # noqa: S608
    tables.execute(f"insert into mart.{spec}_input (batch_id, row_number, row_id) values (999999998, 1, 1)")  # noqa: S608
    found = checked.faults(spec)
    assert found == {
        "every row belongs to a batch": (
            "batch 999999998: 1 input, 0 output, 0 rejected",
            "batch 999999999: 0 input, 1 output, 0 rejected",
        ),
        HALVES: (f"batch {number}: 0 without input, 0 without output, 2 with another row id",),
        "no row id is there twice in a batch": (f"batch {number}: 2 rows",),
    }


def test_rejected_rows_of_no_batch_and_models_that_are_not_named_are_found(
    checked: Checked, batch: Batch, tables: Any
) -> None:
    tables.execute("insert into mart.rejected_row values (999999997, 1, 'why', '{}')")
    tables.execute("update mart.model set run_id = 'other' where spec = %s", (batch.spec,))
    try:
        found = checked.faults(batch.spec)
    finally:
        tables.execute("delete from mart.rejected_row where batch_id = 999999997")
    right = checked.town.version(1).run_id
    assert found == {
        "every row belongs to a batch": ("batch 999999997: 0 input, 0 output, 1 rejected",),
        "mart.model says what the ledger says": (f"v1: run_id is other, in the ledger {right}",),
    }
    tables.execute("delete from mart.model where spec = %s", (batch.spec,))
    assert checked.faults(batch.spec) == {
        "every scored batch names a model": (f"batch {batch.id}: v1 is not in mart.model",)
    }


def test_files_are_compared_with_the_marts(checked: Checked, batch: Batch) -> None:
    scores = checked.path(f"data/{batch.spec}/scores/v1/{batch.sha256}.parquet")
    scores.rename(scores.with_name("other.parquet"))
    checked.path(f"inputs/{batch.spec}/{batch.sha256}.parquet").unlink()
    found = checked.faults(batch.spec)
    assert found == {
        "every input is kept, with its SHA-256": (f"batch {batch.id}: {batch.kept_uri} is gone",),
        "every file that was written has its SHA-256 and its rows": (f"batch {batch.id}: {batch.output_uri} is gone",),
        "every scores file is named by a batch": (
            f"{checked.town.store.root}/data/{batch.spec}/scores/v1/other.parquet",
        ),
    }


def test_a_score_without_its_row_is_told(tables: Any, checked: Checked, batch: Batch) -> None:
    inputs, output = (sql.Identifier("mart", f"{batch.spec}_{suffix}") for suffix in ("input", "output"))
    again = "insert into {0} select batch_id, row_number + 1000, row_id, prediction from {0} where row_number = 7"
    tables.execute(sql.SQL(again).format(output))
    found = checked.reproduce(batch)
    assert (found.equal, found.tally.only_mart, found.tally.differing) == (False, 1, 0)
    tables.execute(sql.SQL("delete from {} where batch_id = %s and row_number = 7").format(inputs), (batch.id,))
    assert checked.reproduce(batch).tally.differing == 1
    with pytest.raises(AuditError, match="is neither among the accepted nor among the rejected"):
        checked.trace(batch, row_number=7)
