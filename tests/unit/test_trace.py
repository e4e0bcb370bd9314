"""The chain behind one row: what it tells, and what it says of each link that is broken."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from tests.memory_mart import MemoryMart
from tests.repeating import Checked, to_predict

from gauntlet.jobs.audit_port import AuditError
from gauntlet.jobs.mart_port import Batch
from gauntlet.jobs.trace import Traced

ALL = [
    "the kept file has its SHA-256",
    "the row has the same values in the kept file",
    "the marts name the model as the ledger does",
    "the model's file has the SHA-256 kept at registration",
    "the training snapshot has its SHA-256",
]


@pytest.fixture
def frame() -> pd.DataFrame:
    return to_predict(300, 5).astype({"size": "str"})


@pytest.fixture
def batch(checked: Checked, frame: pd.DataFrame) -> Batch:
    return checked.score("date=2026-11-20/today.parquet", frame)


def wrong(found: Traced) -> dict[str, tuple[str, ...]]:
    return {check.name: check.wrong for check in found.checks if not check.ok}


def test_the_whole_chain_of_a_prediction(checked: Checked, batch: Batch, frame: pd.DataFrame) -> None:
    found = checked.trace(batch, row_number=8)
    assert [check.name for check in found.checks] == ALL
    assert found.ok
    chain, version = json.loads(json.dumps(found.chain)), checked.town.version(1)
    [row] = [row for piece in checked.town.mart.rows(batch) for row in piece.to_pylist() if row["row_number"] == 8]
    assert chain["row"] == {"row_number": 8, "row_id": row["row_id"]}
    assert chain["prediction"] == {"prediction": row["prediction"]}
    was: Any = frame.loc[7]
    assert chain["input"]["mart"] == {"size": float(was["size"]), "price": None, "colour": was["colour"]}
    assert chain["input"]["file"] == {"size": was["size"], "colour": was["colour"], "note": "note 7"}
    assert chain["file"] == {
        "uri": batch.uri,
        "sha256": batch.sha256,
        "size": batch.size,
        "data_time": "2026-11-20T00:00:00+00:00",
        "kept_uri": batch.kept_uri,
    }
    assert (chain["batch"]["id"], chain["batch"]["rule"], chain["batch"]["run_key"]) == (
        batch.id,
        "production",
        "predict_pipeline/date=2026-11-20/today.parquet",
    )
    assert chain["model"] == {
        "name": "toys",
        "version": 1,
        "run_id": version.run_id,
        "recipe": version.recipe,
        "sha256": version.model_sha256,
    }
    trained = checked.town.trained_on(1)
    [file] = checked.town.batches()
    assert (chain["training"]["snapshot_sha256"], chain["training"]["rows"]) == (version.snapshot.sha256, len(trained))
    assert [one["sha256"] for one in chain["training"]["files"]] == [file.sha256]
    [entry] = checked.town.ledger.history("toys", 1)
    assert (chain["verdict"]["id"], chain["verdict"]["verdict"]) == (entry.id, "PROMOTE")
    assert chain["verdict"]["reason"] == entry.reason


def test_a_row_is_found_by_its_id_as_by_its_number(checked: Checked, batch: Batch) -> None:
    by_number = checked.trace(batch, row_number=300)
    assert checked.trace(batch, row_id=by_number.chain["row"]["row_id"]) == by_number


def test_every_row_of_a_file_of_many_groups_is_found(checked: Checked, frame: pd.DataFrame) -> None:
    batch = checked.score("grouped.parquet", frame)
    path = checked.path(f"inputs/toys/{batch.sha256}.parquet")
    table = pa.parquet.read_table(path)
    pa.parquet.write_table(table, path, row_group_size=70)
    for number in (1, 70, 71, 140, 211, 300):
        found = checked.trace(batch, row_number=number)
        assert list(wrong(found)) == ["the kept file has its SHA-256"]


def test_a_row_that_was_rejected_says_why(checked: Checked, batch: Batch) -> None:
    with pytest.raises(AuditError) as error:
        checked.trace(batch, row_number=5)
    assert str(error.value) == (
        f"a row must have been accepted to be traced; row 5 of batch {batch.id} was rejected: size must lie in 0..30; "
        'found "31.0". It stands in mart.rejected_row, and nothing was made of it.'
    )


def test_a_row_that_is_not_there_is_told_with_the_rows_that_are(checked: Checked, batch: Batch) -> None:
    with pytest.raises(AuditError) as error:
        checked.trace(batch, row_number=301)
    assert str(error.value) == (
        f"a row must be in its batch; batch {batch.id} has the rows 1 to 300, and none at 301. Correct the number."
    )
    with pytest.raises(
        AuditError, match=r"no accepted row with the id 17. .* --row-number takes the place .* 1 to 300"
    ):
        checked.trace(batch, row_id=17)


def test_a_changed_value_in_the_mart_is_told(checked: Checked, batch: Batch, mart: MemoryMart) -> None:
    rows = mart.pieces[batch.id].rows[0].to_pylist()
    was, rows[0]["size"] = rows[0]["size"], 9.5
    mart.pieces[batch.id].rows[0] = pa.RecordBatch.from_pylist(rows, schema=mart.pieces[batch.id].rows[0].schema)
    assert wrong(checked.trace(batch, row_number=1)) == {
        "the row has the same values in the kept file": (f"size is {was}, in the mart 9.5",)
    }


def test_a_kept_file_that_is_gone_or_changed_is_told(checked: Checked, batch: Batch) -> None:
    path = checked.path(f"inputs/toys/{batch.sha256}.parquet")
    path.write_bytes(b"x" + path.read_bytes())
    found = checked.trace(batch, row_number=1)
    [(name, [text])] = wrong(found).items()
    assert name == "the kept file has its SHA-256"
    assert text.startswith(f"{batch.kept_uri} has ")
    assert found.chain["input"]["file"] is None
    path.unlink()
    assert wrong(checked.trace(batch, row_number=1)) == {name: (f"{batch.kept_uri} is gone",)}


def test_a_model_or_a_snapshot_that_has_changed_is_told(checked: Checked, batch: Batch) -> None:
    version = checked.town.version(1)
    checked.town.registry.files["toys", 1] += b"x"
    Path(version.snapshot.uri.removeprefix("file://")).unlink()
    found = checked.trace(batch, row_number=1)
    assert list(wrong(found)) == ALL[3:]
    assert found.chain["training"]["rows"] is None


def test_marts_that_name_another_model_are_told(checked: Checked, batch: Batch, mart: MemoryMart) -> None:
    mart.predictors["toys", 1] = replace(mart.predictors["toys", 1], run_id="other")
    right = checked.town.version(1).run_id
    assert wrong(checked.trace(batch, row_number=1)) == {ALL[2]: (f"run_id is other, in the ledger {right}",)}


def test_a_prediction_that_is_missing_is_told(checked: Checked, batch: Batch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checked.town.mart, "trace", lambda _, __: None)
    with pytest.raises(AuditError, match=f"row 1 of batch {batch.id} has none in mart.toys_prediction"):
        checked.trace(batch, row_number=1)


def test_a_version_that_was_never_in_production_shows_the_verdict_on_it(checked: Checked, mart: MemoryMart) -> None:
    checked.train("2026-11-02/second.parquet", 1500, 2)
    assert checked.town.champion == 1
    batch = checked.score("pinned.parquet", to_predict(20, 6), "version:2")
    assert mart.predictors["toys", 2].verdict == "KEEP" or mart.predictors["toys", 2].verdict == "INCONCLUSIVE"
    chain = checked.trace(batch, row_number=1).chain
    assert (chain["verdict"]["challenger"], chain["verdict"]["champion"]) == (2, 1)
    assert (chain["model"]["version"], chain["batch"]["rule"]) == (2, "version:2")


def test_a_training_row_says_what_was_trained_on_it(checked: Checked) -> None:
    [batch] = checked.town.batches()
    trained = set(checked.town.trained_on(1).index)
    rows = [row for piece in checked.town.mart.rows(batch) for row in piece.to_pylist()]
    for pool in ("training", "ab"):
        row = next(row for row in rows if row["pool"] == pool)
        found = checked.trace(batch, row_id=row["row_id"])
        assert found.ok
        assert found.chain["row"]["pool"] == pool
        [version] = found.chain["trained"]
        assert (version["version"], version["in_snapshot"]) == (1, pool == "training")
        assert version["in_snapshot"] == (row["row_id"] in trained)
        assert found.chain["input"]["mart"]["price"] == row["price"]


def test_a_row_kept_for_tests_that_was_trained_on_is_told(checked: Checked, mart: MemoryMart) -> None:
    [batch] = checked.town.batches()
    schema = mart.pieces[batch.id].rows[0].schema
    rows = mart.pieces[batch.id].rows[0].to_pylist()
    place, row = next((place, row) for place, row in enumerate(rows) if row["pool"] == "training")
    rows[place]["pool"] = "ab"
    mart.pieces[batch.id].rows[0] = pa.RecordBatch.from_pylist(rows, schema=schema)
    assert wrong(checked.trace(batch, row_id=row["row_id"])) == {
        "a row that is kept for tests was never trained on": ("v1 was trained on it",)
    }
