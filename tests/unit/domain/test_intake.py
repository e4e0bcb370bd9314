"""Files against their spec: refused as a whole, or each row accepted or rejected with all its reasons."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.bad_parquet import BAD_FILES, BadFile, spec_text

from gauntlet.domain import training
from gauntlet.domain.intake import FileRefused, Intake, Piece
from gauntlet.domain.intake_values import is_scalar
from gauntlet.domain.mart import REJECTED_SCHEMA, rows_schema
from gauntlet.domain.recipes import pipeline
from gauntlet.domain.rows import typed
from gauntlet.domain.spec import Spec
from gauntlet.jobs.inbox import opened_parquet, pieces

from .conftest import HOUSES, house_rows, loan_rows

if TYPE_CHECKING:
    from pathlib import Path

KEYED = 'key = "id"\n' + HOUSES


def taken(spec: Spec, columns: dict[str, Any], *, training: bool = False, first: int = 1) -> Piece:
    """What becomes of a file of these columns in one piece."""
    batch = pa.record_batch(columns)
    return Intake(batch.schema, spec, training=training).piece(batch, first)


def houses_with(**columns: Any) -> dict[str, Any]:
    """Columns of three houses to predict, some of them other."""
    return {"area": [10.0, 20.0, 30.0], "town": ["Ulm", "Bern", "Graz"], **columns}


def _columns(frame: pd.DataFrame) -> dict[str, Any]:
    found: dict[str, Any] = pa.Table.from_pandas(frame, preserve_index=False).to_pydict()
    return found


def reasons(piece: Piece) -> dict[int, str]:
    """Why rows were rejected, by their number."""
    return dict(zip(piece.rejected["row_number"].to_pylist(), piece.rejected["reasons"].to_pylist(), strict=True))


def read(path: Path, bad: BadFile) -> list[Piece]:
    spec = Spec.parse("diamonds", spec_text(keyed=bad.keyed))
    with path.open("rb") as data:
        parquet = opened_parquet(data, path.name)
        intake, first, found = Intake(parquet.schema_arrow, spec, training=False), 1, []
        for batch in pieces(parquet, path.name):
            found.append(intake.piece(batch, first))
            assert found[-1].rows(spec).schema.equals(rows_schema(spec))
            first += batch.num_rows
        return found


@pytest.mark.parametrize("name", BAD_FILES)
def test_every_bad_file_gets_its_answer(name: str, tmp_path: Path) -> None:
    bad, path = BAD_FILES[name], tmp_path / "stones.parquet"
    bad.write(path)
    if bad.refused is not None:
        with pytest.raises(FileRefused) as caught:
            read(path, bad)
        assert bad.refused in str(caught.value)
        return
    found = read(path, bad)
    said = [reason for piece in found for reason in reasons(piece).values()]
    assert (sum(len(piece.frame) for piece in found), len(said)) == (bad.accepted, bad.rejected)
    assert (said[0] if said else None) == bad.reasons
    ids = np.concatenate([piece.row_ids for piece in found]) if found else np.array([])
    assert len(np.unique(ids)) == bad.accepted
    for piece in found:
        for row in piece.rejected["row"].to_pylist():
            assert "\\u0000" not in row
            assert all(len(cell) <= 200 for cell in json.loads(row).values() if isinstance(cell, str))


def test_there_are_enough_bad_files() -> None:
    assert len(BAD_FILES) > 40


def test_accepted_rows_are_typed_and_numbered(houses: Spec) -> None:
    piece = taken(houses, houses_with(area=["10", "0", "30.5"], owner=["p", "q", "r"]), first=101)
    assert piece.frame.to_dict("list") == {"area": [10.0, 30.5], "town": ["Ulm", "Graz"]}
    assert [str(dtype) for dtype in piece.frame.dtypes] == ["float64", "str"]
    assert piece.frame.index.equals(pd.RangeIndex(2))
    assert (piece.row_numbers.tolist(), piece.positions.tolist()) == ([101, 103], [0, 2])
    assert piece.row_ids.dtype == np.int64
    assert piece.contents is None
    assert piece.rejected.schema == REJECTED_SCHEMA
    assert reasons(piece) == {102: 'area must lie in 10..500.5; found "0"'}
    assert json.loads(piece.rejected["row"][0].as_py()) == {"area": "0", "town": "Bern", "owner": "q"}


def test_a_row_is_told_all_its_reasons(houses: Spec) -> None:
    piece = taken(houses, houses_with(area=[None, 501.0, float("nan")], town=["Linz", None, "Bern"]))
    assert reasons(piece) == {
        1: 'area must not be missing; town must be one of Ulm, Bern, Graz; found "Linz"',
        2: "area must lie in 10..500.5; found 501; town must not be missing",
        3: "area must not be missing",
    }


def test_a_file_to_train_on_needs_its_target_and_gets_contents(houses: Spec) -> None:
    columns = _columns(house_rows(30))
    piece = taken(houses, columns, training=True)
    assert piece.frame.columns.tolist() == ["area", "town", "price"]
    assert len(piece.contents or []) == 30
    del columns["price"]
    assert taken(houses, columns).frame.columns.tolist() == ["area", "town"]
    with pytest.raises(FileRefused, match=r"must be there; missing: price\. Add them\."):
        taken(houses, columns, training=True)


def test_the_target_of_a_file_to_predict_is_not_looked_at(houses: Spec) -> None:
    piece = taken(houses, houses_with(price=["high", None, "low"]))
    assert piece.frame.columns.tolist() == ["area", "town"]
    assert piece.rows(houses)["price"].null_count == 3


def test_every_wrong_column_is_told_at_once(houses: Spec) -> None:
    with pytest.raises(FileRefused) as caught:
        taken(houses, {"Town": ["Ulm"], "area": [[1]], "model_version": [1]})
    assert str(caught.value) == (
        "every column that the spec names must be there; missing: town. Did you mean Town? Names must match letter by "
        "letter. columns must not have the names that scores add; found model_version. Rename or drop them. "
        "area must hold numbers; found list<item: int64>. Write the column with such a type."
    )


def test_probabilities_of_the_specs_classes_are_reserved_in_files_to_predict(loans: Spec) -> None:
    columns = {**_columns(loan_rows(5)), "probability_paid": [1.0] * 5, "probability_of_rain": [1.0] * 5}
    with pytest.raises(FileRefused, match=r"found probability_paid\. Rename"):
        taken(loans, columns)
    assert len(taken(loans, columns, training=True).frame) == 5


@pytest.mark.parametrize(
    "kinds",
    [
        pa.array([1, 2, 1]),
        pa.array([1.0, 2.0, 1.0]),
        pa.array([1, 2, 1], pa.uint8()),
        pa.array([Decimal("1.00"), Decimal(2), Decimal(1)]),
        pa.array(["1", "2", "1"]),
        pa.array([1, 2, 1]).dictionary_encode(),
        pa.array([Decimal(1), Decimal(2), Decimal(1)], pa.decimal32(3, 1)),
        pa.array(["1", "2", "1"]).dictionary_encode(),
        pa.array([np.float16(1), np.float16(2), np.float16(1)]),
    ],
)
def test_categories_are_the_same_in_any_type(kinds: pa.Array, loans: Spec) -> None:
    piece = taken(loans, {"amount": [1, 2, 3], "kind": kinds})
    assert piece.frame["kind"].tolist() == ["1", "2", "1"]
    assert piece.texts["kind"].to_pylist() == ["1", "2", "1"]


NOT_UNICODE = pa.Array.from_buffers(pa.string(), 2, pa.array([b"\xff", b"\0"]).buffers())
ODD = [
    NOT_UNICODE,
    pa.DictionaryArray.from_arrays([0, 1], NOT_UNICODE),
    pa.DictionaryArray.from_arrays(pa.array([None, None], pa.int8()), pa.array([], pa.string())),
    pa.DictionaryArray.from_arrays(pa.array([0, None], pa.uint64()), pa.array([None, "20"])),
    pa.DictionaryArray.from_arrays([0, 1], pa.array([{"a": 1}, None])),
    pa.RunEndEncodedArray.from_arrays([1, 2], [20.0, 30.0]),
    pa.UnionArray.from_sparse(pa.array([0, 1], pa.int8()), [pa.array([1, 2]), pa.array(["a", "b"])]),
    pa.array([[("a", 1)], None], pa.map_(pa.string(), pa.int64())),
    pa.array([[1], None], pa.list_view(pa.int64())),
    pa.array([2**62, -(2**62)], pa.timestamp("us")),
    pa.array([1, 2], pa.timestamp("us", "No/Where")),
    pa.array([2**30, None], pa.date32()),
    pa.array([(1, 2, 3), None], pa.month_day_nano_interval()),
    pa.array([b"a\xff", None], pa.binary_view()),
    pa.array([Decimal("-1e70"), None], pa.decimal256(76, 0)),
    pa.array([np.float16("nan"), np.float16("inf")]),
]


@pytest.mark.parametrize("column", ["id", "row_id", "area", "town", "other"])
@pytest.mark.parametrize("odd", ODD, ids=lambda odd: str(odd.type))
def test_no_type_goes_without_an_answer(odd: pa.Array, column: str) -> None:
    columns = {"id": ["a", "b"], "row_id": [1, 2], "area": [None, None], "town": ["Ulm", "Ulm"], column: odd}
    spec = Spec.parse("houses", KEYED)
    if column != "other" and not is_scalar(odd.type):
        with pytest.raises(FileRefused, match=f"{column} must hold .*; found "):
            taken(spec, columns)
        return
    piece = taken(spec, columns)
    assert len(piece.frame) + len(piece.rejected) == 2
    assert all(json.loads(row).keys() == columns.keys() for row in piece.rejected["row"].to_pylist())


def test_a_dictionary_that_pieces_share_may_hold_more_than_they_use(houses: Spec) -> None:
    towns = pa.DictionaryArray.from_arrays(pa.array([900, None, 901]), [*map(str, range(900)), "Ulm", "Linz", None])
    piece = taken(houses, houses_with(town=towns))
    assert piece.frame["town"].tolist() == ["Ulm"]
    assert reasons(piece)[2] == "town must not be missing"


def test_keys_are_text_and_must_differ_in_the_whole_file() -> None:
    spec = Spec.parse("houses", KEYED)
    intake = Intake(pa.record_batch(houses_with(id=[1.0, 2.5, 3.0])).schema, spec, training=False)
    first = intake.piece(pa.record_batch(houses_with(id=[1.0, 2.5, 3.0])), 1)
    second = intake.piece(pa.record_batch(houses_with(id=[4.0, None, 1.0])), 4)
    assert first.frame["id"].tolist() == ["1", "2.5", "3"]
    assert first.frame.columns.tolist() == ["id", "area", "town"]
    assert second.rows(spec)["id"].to_pylist() == ["4"]
    assert reasons(second) == {5: "id must not be missing", 6: "id must be unique in a file; found 1 again"}


def test_a_key_makes_equal_rows_different() -> None:
    spec = Spec.parse("houses", KEYED)
    columns = houses_with(area=[10, 10, 10], town=["Ulm"] * 3)
    ids = taken(spec, {**columns, "id": ["a", "b", "c"]}).row_ids.tolist()
    assert len(set(ids)) == 3
    assert taken(spec, {**columns, "id": ["c", "a", "b"]}).row_ids.tolist() == [ids[2], ids[0], ids[1]]


def test_given_row_ids_are_used_as_they_are(houses: Spec) -> None:
    piece = taken(houses, houses_with(row_id=["2", "9007199254740991", "1.0"]))
    assert piece.row_ids.tolist() == [2, 2**53 - 1, 1]
    assert "row_id" not in piece.frame
    columns = {**houses_with(), "price": [5.0, 6.0, 7.0], "row_id": pa.array([3, 3, 4], pa.uint64())}
    both = taken(houses, columns, training=True)
    assert (both.row_ids.tolist(), len(both.contents or [])) == ([3, 4], 2)
    assert reasons(both) == {2: "row_id must be unique in a file; found 3 again"}


def test_rejected_rows_keep_cells_of_any_type(houses: Spec) -> None:
    moment = datetime(2026, 11, 20, 6, 30)  # noqa: DTZ001 - a column without a zone
    odd = {
        "area": [None],
        "town": ["Ulm"],
        "when": pa.array([moment]),
        "never": pa.array([2**62], pa.timestamp("s")),
        "took": pa.array([timedelta(seconds=90)]),
        "cost": pa.array([Decimal("1.50")]),
        "rate": pa.array([float("inf")]),
        "photo": pa.array([b"\xff\0" * 300]),
        "list": pa.array([["x" * 500, None]]),
        "a\0b": pa.array(["\0" + "é" * 400]),
        "large": pa.array([2**64 - 1], pa.uint64()),
        "half": pa.array([np.float16(0.5)]),
        "yes": [True],
    }
    row = json.loads(taken(houses, odd).rejected["row"][0].as_py())
    assert row["photo"].startswith("\\xff\\x00\\xff")
    assert row["list"].startswith("['xxx")
    assert row["a\\x00b"] == "\\x00" + "é" * 199
    assert {name: row[name] for name in ("when", "never", "took", "cost", "rate", "large", "half", "yes")} == {
        "when": "2026-11-20 06:30:00", "never": "(unreadable)", "took": "0:01:30", "cost": "1.50", "rate": "inf",
        "large": 2**64 - 1, "half": 0.5, "yes": True,
    }  # fmt: skip


def test_a_model_predicts_accepted_rows_as_it_does_typed_ones(houses: Spec) -> None:
    rows = house_rows(300)
    model = pipeline("linear", houses).fit(rows[["area", "town"]], rows["price"])
    piece = taken(houses, _columns(rows))
    expected = training.predict(model, typed(rows, houses).frame, houses)
    assert training.predict(model, piece.frame, houses).tolist() == expected.tolist()


cell = st.none() | st.sampled_from(["10", " 20 ", "x", "nan", "500.51", "1e400"])
house = st.tuples(cell, st.sampled_from(["Ulm", "Bern", "Linz", None]), st.sampled_from(["a", "b", "c\0", None]))


def columns_of(rows: list[tuple[Any, ...]]) -> dict[str, pa.Array]:
    kinds = {"area": pa.string(), "town": pa.string(), "id": pa.string()}
    return {name: pa.array([row[at] for row in rows], kind) for at, (name, kind) in enumerate(kinds.items())}


@settings(deadline=None)
@given(rows=st.lists(house, max_size=25), cuts=st.lists(st.integers(0, 25), max_size=4), keyed=st.booleans())
def test_pieces_give_what_the_whole_gives(rows: list[tuple[Any, ...]], cuts: list[int], keyed: bool) -> None:
    spec = Spec.parse("houses", KEYED if keyed else HOUSES)
    batch = pa.record_batch(columns_of(rows))
    whole = Intake(batch.schema, spec, training=False).piece(batch, 1)
    intake, edges = Intake(batch.schema, spec, training=False), [0, *sorted(min(cut, len(rows)) for cut in cuts)]
    parts = [
        intake.piece(batch.slice(low, high - low), low + 1)
        for low, high in zip(edges, [*edges[1:], len(rows)], strict=True)
    ]
    assert pa.concat_batches([part.rows(spec) for part in parts]).equals(whole.rows(spec))
    assert pa.concat_batches([part.rejected for part in parts]).equals(whole.rejected)
    assert len(set(whole.row_ids.tolist())) == len(whole.frame)
    assert whole.rejected.num_rows + len(whole.frame) == len(rows)


@settings(deadline=None)
@given(rows=st.lists(house, min_size=1, max_size=10), order=st.permutations(["area", "town", "id"]))
def test_the_order_of_columns_does_not_matter(rows: list[tuple[Any, ...]], order: list[str]) -> None:
    spec, columns = Spec.parse("houses", KEYED), columns_of(rows)
    one, other = taken(spec, columns), taken(spec, {name: columns[name] for name in order})
    assert other.rows(spec).equals(one.rows(spec))
    assert other.rejected["reasons"].equals(one.rejected["reasons"])
