"""Batches made again: equal as they are, and what is said when rows, files or models are no longer what they were."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from tests.memory_audit import MemoryAudit
from tests.memory_mart import MemoryMart
from tests.repeating import Checked, to_predict
from tests.training_files import Town

from gauntlet.domain.spec import Spec
from gauntlet.jobs.audit_port import AuditError
from gauntlet.jobs.mart_port import Batch, InputFile, NewBatch
from gauntlet.jobs.ports import StoreError
from gauntlet.jobs.reproduce import EQUAL, GONE
from gauntlet.jobs.same_rows import Difference, RowTally, compared

CLASSES = Spec.parse(
    "shapes",
    """
title = "Shape of a toy"
data = "toys.csv"
target = "colour"
task = "classification"
metric = "log_loss"
candidates = ["logistic"]
[numeric]
size = { min = 0, max = 30 }
price = { min = -100, max = 1000 }
[categorical]
colour = ["red", "green", "blue"]
""",
)


@pytest.fixture
def batch(checked: Checked) -> Batch:
    return checked.score("today.parquet", to_predict(300, 5))


def test_a_scored_batch_is_equal(checked: Checked, batch: Batch) -> None:
    found = checked.reproduce(batch)
    assert found.equal
    assert found.tally == RowTally(compared=270)
    assert (found.read, found.rejected, found.output) == (300, 30, EQUAL)


def test_a_training_batch_is_equal_also_when_the_share_has_changed_since(checked: Checked) -> None:
    [batch] = checked.town.batches()
    checked.town.share = 0.9
    found = checked.reproduce(batch)
    assert (found.equal, found.tally.compared) == (True, 600)


def test_a_classification_is_equal_with_its_probabilities(tmp_path: Path) -> None:
    mart = MemoryMart()
    checked = Checked(Town(tmp_path, mart=mart, spec=CLASSES), MemoryAudit(mart))
    checked.train("first.parquet", 600, 1)
    batch = checked.score("today.parquet", to_predict(100, 5).assign(price=50.0).drop(columns="colour"))
    assert checked.reproduce(batch).equal
    tampered(mart, batch, 3, "probability_green", 0.25)
    found = checked.reproduce(batch)
    assert (found.equal, found.tally.differing) == (False, 1)
    assert [(one.column, one.mart) for one in found.tally.first] == [("probability_green", 0.25)]


def test_the_last_bit_of_a_prediction_is_told_with_its_amount(checked: Checked, batch: Batch, mart: MemoryMart) -> None:
    was = mart.pieces[batch.id].scores[0]
    assert was is not None
    value = was["prediction"][6].as_py()
    tampered(mart, batch, 6, "prediction", float(np.nextafter(value, np.inf)))
    found = checked.reproduce(batch)
    assert not found.equal
    assert (found.tally.compared, found.tally.differing) == (270, 1)
    assert found.tally.largest == np.nextafter(value, np.inf) - value
    row = mart.pieces[batch.id].rows[0]
    assert found.tally.first == (
        Difference(
            row_number=row["row_number"][6].as_py(),
            row_id=row["row_id"][6].as_py(),
            column="prediction",
            mart=float(np.nextafter(value, np.inf)),
            again=value,
        ),
    )


def test_rows_that_are_missing_or_too_many_are_counted(checked: Checked, batch: Batch, mart: MemoryMart) -> None:
    pieces = mart.pieces[batch.id]
    for rows in (pieces.rows, pieces.scores):
        [whole] = rows
        assert whole is not None
        rows[:] = [whole.slice(0, 100), whole.slice(103)]
    found = checked.reproduce(batch)
    assert found.tally == RowTally(compared=267, only_again=3)
    assert not found.equal


def test_a_file_that_was_written_is_compared_while_it_is_there(checked: Checked, batch: Batch) -> None:
    path = checked.path(f"data/toys/scores/v1/{batch.sha256}.parquet")
    path.write_bytes(path.read_bytes() + b"x")
    found = checked.reproduce(batch)
    assert (found.equal, len(found.output)) == (False, 64)
    path.unlink()
    found = checked.reproduce(batch)
    assert (found.equal, found.output) == (True, GONE)


def test_another_number_of_rejected_rows_is_not_equal(checked: Checked, batch: Batch, mart: MemoryMart) -> None:
    mart.known[mart.known.index(batch)] = replace(batch, read=299, rejected=29)
    assert not checked.reproduce(batch).equal


def test_an_input_that_is_gone_or_changed_cannot_be_scored_again(checked: Checked, batch: Batch) -> None:
    path = checked.path(f"inputs/toys/{batch.sha256}.parquet")
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(AuditError, match=r"must be kept unchanged; .* has the SHA-256 .* Restore it from a backup"):
        checked.reproduce(batch)
    path.unlink()
    with pytest.raises(AuditError, match=f"of batch {batch.id} is gone. Restore it from a backup"):
        checked.reproduce(batch)


def test_a_model_that_has_changed_does_not_score(checked: Checked, batch: Batch) -> None:
    checked.town.registry.files["toys", 1] += b"x"
    with pytest.raises(StoreError, match="toys v1 has changed"):
        checked.reproduce(batch)


def test_a_batch_must_be_there_and_done(checked: Checked, batch: Batch, mart: MemoryMart) -> None:
    with pytest.raises(AuditError) as error:
        checked.reproduce(replace(batch, id=77))
    assert str(error.value) == "a batch must be in the marts; there is no batch 77. `gauntlet marts list` shows them."
    file = InputFile(batch.uri, "key", 1, "other", batch.data_time)
    new = NewBatch(checked.town.spec, batch.kind, file, "0" * 64, "kept", 1, "production", "run", "test")
    refused = mart.refuse(new, "it is no parquet")
    with pytest.raises(AuditError, match=f"batch {refused.id}, .*, was refused: it is no parquet"):
        checked.reproduce(refused)


def test_streams_are_compared_however_they_are_cut() -> None:
    rows = numbered(range(1, 1001))
    for cuts in ((1000,), (1, 999), (300, 300, 400), (7,) * 142 + (6,)):
        *_, tally = compared(cut(rows, cuts), cut(rows, (250,) * 4))
        assert tally == RowTally(compared=1000)


def test_rows_on_one_side_only_are_found_wherever_they_are() -> None:
    there = numbered([2, 3, 5, 8, 9, 12])
    again = numbered([1, 2, 3, 4, 8, 9])
    *_, tally = compared(cut(there, (2, 2, 2)), cut(again, (3, 3)))
    assert tally == RowTally(compared=4, only_mart=2, only_again=2)
    *_, tally = compared(iter([]), cut(again, (3, 3)))
    assert tally == RowTally(only_again=6)
    *_, tally = compared(cut(there, (6,)), iter([]))
    assert tally == RowTally(only_mart=6)


def test_missing_values_are_equal_to_each_other_only_and_zeros_have_a_sign() -> None:
    there = numbered(range(1, 6), [None, None, 1.0, 0.0, 2.0], ["a", None, None, "b", "c"])
    again = numbered(range(1, 6), [None, 1.0, None, -0.0, 2.5], ["a", None, "b", "c", "c"])
    *_, tally = compared(cut(there, (5,)), cut(again, (5,)))
    assert tally.differing == 4
    assert tally.largest == 0.5
    assert [(one.row_number, one.column, one.mart, one.again) for one in tally.first] == [
        (2, "number", None, 1.0),
        (3, "number", 1.0, None),
        (3, "text", None, "b"),
        (4, "number", 0.0, -0.0),
        (4, "text", "b", "c"),
        (5, "number", 2.0, 2.5),
    ]


def test_ten_differences_are_shown() -> None:
    there, again = numbered(range(1, 101)), numbered(range(1, 101), [float(-number) for number in range(1, 101)])
    *_, tally = compared(cut(there, (100,)), cut(again, (50, 50)))
    assert (tally.differing, tally.largest) == (100, 200.0)
    assert [one.row_number for one in tally.first] == list(range(1, 11))


def numbered(
    numbers: Iterable[int], values: Sequence[float | None] | None = None, texts: Sequence[str | None] | None = None
) -> pa.RecordBatch:
    places = list(numbers)
    floats = [float(number) for number in places] if values is None else values
    words = [f"text {number}" for number in places] if texts is None else texts
    columns = {"row_number": pa.array(places, pa.int64()), "row_id": pa.array([9 * n for n in places], pa.int64())}
    return pa.record_batch({**columns, "number": pa.array(floats, pa.float64()), "text": pa.array(words, pa.string())})


def cut(rows: pa.RecordBatch, sizes: tuple[int, ...]) -> Iterator[pa.RecordBatch]:
    first = 0
    for size in sizes:
        yield rows.slice(first, size)
        first += size


def tampered(mart: MemoryMart, batch: Batch, place: int, column: str, value: float) -> None:
    """Change one score in the mart."""
    pieces = mart.pieces[batch.id]
    was = pieces.scores[0]
    assert was is not None
    rows = was.to_pylist()
    rows[place][column] = value
    pieces.scores[0] = pa.RecordBatch.from_pylist(rows, schema=was.schema)
