"""The marts checked against files, registry and ledger: all is right as runs leave it, and each fault is named."""

from dataclasses import replace
from io import BytesIO

import pyarrow as pa
import pytest
from tests.memory_audit import MemoryAudit
from tests.memory_mart import MemoryMart, Pieces
from tests.repeating import Checked, to_predict

from gauntlet.jobs.audit_port import AuditError
from gauntlet.jobs.mart_port import Batch
from gauntlet.jobs.verify import verify

COUNTS = "every batch has as many rows as it says"
STRAYS = "every row belongs to a batch"
HALVES = "every prediction has its input row, and every input row its prediction"
DOUBLED = "no row id is there twice in a batch"
NAMED = "every scored batch names a model"
LEDGER = "mart.model says what the ledger says"
MODELS = "every model's file has the SHA-256 kept at registration"
INPUTS = "every input is kept, with its SHA-256"
OUTPUTS = "every file that was written has its SHA-256 and its rows"
UNNAMED = "every scores file is named by a batch"


@pytest.fixture
def batch(checked: Checked) -> Batch:
    return checked.score("today.parquet", to_predict(300, 5))


def test_all_is_right_as_runs_leave_it(checked: Checked, batch: Batch) -> None:
    said: list[str] = []
    [(spec, checks)] = verify(checked.ports, None, checked.scratch, said.append).items()
    assert (spec, batch.spec) == ("toys", "toys")
    assert [check.name for check in checks] == [
        COUNTS, STRAYS, HALVES, DOUBLED, NAMED, LEDGER, MODELS, INPUTS, OUTPUTS, UNNAMED,
    ]  # fmt: skip
    assert [check for check in checks if not check.ok or check.remedy] == []
    assert said[0] == "toys: counting rows"
    assert "toys: hashing input 2 of 2" in said


def test_a_spec_that_the_marts_do_not_know_is_told(checked: Checked) -> None:
    assert checked.faults("toys") == {}
    with pytest.raises(AuditError) as error:
        checked.faults("games")
    assert str(error.value) == (
        "the marts must know a spec to be verified; games is not among toys. Score or train from a file of it first."
    )
    assert verify(replace(checked.ports, audit=MemoryAudit(MemoryMart())), None, checked.scratch, print) == {}


def test_rows_that_are_gone_are_counted(checked: Checked, batch: Batch, mart: MemoryMart) -> None:
    pieces = mart.pieces[batch.id]
    pieces.scores = [piece.slice(3) for piece in pieces.scores if piece is not None]
    pieces.rejected = [piece.slice(1) for piece in pieces.rejected]
    assert checked.faults() == {
        COUNTS: (
            f"batch {batch.id}: 29 rejected rows, 30 by its line in mart.batch",
            f"batch {batch.id}: 267 output rows, 270 by its line in mart.batch",
        ),
        HALVES: (f"batch {batch.id}: 0 without input, 3 without output, 0 with another row id",),
    }


def test_rows_without_a_batch_are_told(checked: Checked, batch: Batch, mart: MemoryMart) -> None:
    mart.pieces[99] = Pieces(mart.pieces[batch.id].rows, [], mart.pieces[batch.id].rejected)
    assert checked.faults() == {STRAYS: ("batch 99: 270 input, 0 output, 30 rejected",)}


def test_doubled_row_ids_are_told(checked: Checked, batch: Batch, mart: MemoryMart) -> None:
    [piece] = mart.pieces[batch.id].rows
    rows = piece.to_pylist()
    rows[1]["row_id"] = rows[0]["row_id"]
    mart.pieces[batch.id].rows = [pa.RecordBatch.from_pylist(rows, schema=piece.schema)]
    assert checked.faults() == {DOUBLED: (f"batch {batch.id}: 2 rows",)}


def test_a_batch_whose_counts_do_not_add_up_is_told(checked: Checked, batch: Batch, mart: MemoryMart) -> None:
    mart.known[mart.known.index(batch)] = replace(batch, read=301)
    assert checked.faults() == {
        COUNTS: (f"batch {batch.id}: 301 rows read, 270 accepted and 30 rejected",),
    }


def test_models_are_compared_with_the_ledger(checked: Checked, batch: Batch, mart: MemoryMart) -> None:
    right = checked.town.version(1)
    mart.predictors["toys", 1] = replace(mart.predictors["toys", 1], model_sha256="0" * 64, verdict="KEEP")
    mart.predictors["toys", 9] = replace(mart.predictors["toys", 1], version=9)
    assert checked.faults() == {
        LEDGER: (
            f"v1: model_sha256 is {'0' * 64}, in the ledger {right.model_sha256}",
            "v1: verdict is KEEP, in the ledger PROMOTE",
            "v9 is not in the ledger",
        )
    }
    mart.predictors.clear()
    assert checked.faults() == {NAMED: (f"batch {batch.id}: v1 is not in mart.model",)}


def test_a_model_file_that_has_changed_is_told(checked: Checked, batch: Batch) -> None:
    assert batch.version == 1
    checked.town.registry.files["toys", 1] += b"x"
    assert checked.faults() == {MODELS: ("v1: a model's file must keep its content; toys v1 has changed.",)}


def test_inputs_and_outputs_are_hashed(checked: Checked, batch: Batch) -> None:
    [first] = checked.town.batches()
    paths = [checked.path(f"inputs/toys/{each.sha256}.parquet") for each in (first, batch)]
    paths[0].write_bytes(paths[0].read_bytes() + b"x")
    paths[1].unlink()
    ready = checked.path(f"ready/toys/{first.output_sha256}.parquet")
    ready.write_bytes(ready.read_bytes() + b"x")
    checked.path(f"data/toys/scores/v1/{batch.sha256}.parquet").unlink()
    found = checked.faults()
    assert list(found) == [INPUTS, OUTPUTS]
    assert found[INPUTS][0].startswith(f"batch {first.id}: {first.kept_uri} has ")
    assert found[INPUTS][1] == f"batch {batch.id}: {batch.kept_uri} is gone"
    assert found[OUTPUTS][0].startswith(f"batch {first.id}: {first.output_uri} has the SHA-256 ")
    assert found[OUTPUTS][1] == f"batch {batch.id}: {batch.output_uri} is gone"


def test_the_rows_of_a_scores_file_are_counted(checked: Checked, batch: Batch, mart: MemoryMart) -> None:
    mart.known[mart.known.index(batch)] = replace(batch, written=269)
    assert checked.faults() == {OUTPUTS: (f"batch {batch.id}: {batch.output_uri} has 270 rows, not 269",)}


def test_scores_that_no_batch_names_are_told_ten_at_most(checked: Checked, batch: Batch) -> None:
    for number in range(12):
        checked.town.store.write(f"data/toys/scores/v{number + 2}/{batch.sha256}.parquet", BytesIO(b"scores"))
    found = checked.faults()
    assert list(found) == [UNNAMED]
    assert len(found[UNNAMED]) == 11
    assert found[UNNAMED][-1] == "and 2 more"
    assert found[UNNAMED][0] == f"{checked.town.store.root}/data/toys/scores/v10/{batch.sha256}.parquet"
