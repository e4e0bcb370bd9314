"""What a file of scores keeps: conditions on rows, and chosen columns."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from gauntlet.domain.output_filter import FilterError, OutputFilter, added_columns, kept_rows
from gauntlet.domain.spec import Predict, Spec

ROWS = pa.record_batch(
    {
        "whole": [1, 2, None],
        "unsigned": pa.array([1, 2**64 - 1, None], pa.uint64()),
        "half": pa.array([np.float16(1), np.float16(2), None]),
        "number": [1.5, float("nan"), None],
        "price": [Decimal("1.50"), Decimal("2.00"), None],
        "text": ["Ulm", "Bern", None],
        "code": pa.array(["Ulm", "Bern", None]).dictionary_encode(),
        "view": pa.array(["Ulm", "Bern", None], pa.string_view()),
        "yes": [True, False, None],
        "day": [date(2026, 1, 1), date(2026, 2, 1), None],
        "time": pa.array([datetime(2026, 1, 1), datetime(2026, 2, 1), None]),  # noqa: DTZ001 - a column without a zone
        "moment": pa.array([datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC), None]),
        "list": [[1], [2], None],
        "nothing": pa.nulls(3),
    }
)


@pytest.mark.parametrize(
    ("condition", "kept"),
    [
        (("whole", "==", 1), [0]),
        (("whole", "!=", 1), [1]),
        (("whole", "<", 1.5), [0]),
        (("whole", "<=", 2), [0, 1]),
        (("whole", ">", 1), [1]),
        (("whole", ">=", 10**30), []),
        (("whole", "in", [2, 7.0]), [1]),
        (("whole", "not in", [2, 7]), [0]),
        (("unsigned", ">", 5), [1]),
        (("half", "==", 2), [1]),
        (("number", "!=", 7), [0]),
        (("number", "not in", [7]), [0]),
        (("price", ">=", 1.75), [1]),
        (("price", "==", 1.5), [0]),
        (("text", "==", "Ulm"), [0]),
        (("text", "not in", ["Ulm", "Linz"]), [1]),
        (("text", "<", "C"), [1]),
        (("code", "in", ["Bern"]), [1]),
        (("view", "!=", "Bern"), [0]),
        (("yes", "==", True), [0]),
        (("day", "<", "2026-01-15"), [0]),
        (("time", ">=", "2026-01-15T06:00:00"), [1]),
        (("moment", "<", "2026-01-15"), [0]),
        (("moment", "<=", "2026-01-01T01:00:00+01:00"), [0]),
        (("moment", "<", "2026-01-01T01:00:00+01:00"), []),
        (("nothing", "!=", 1), []),
    ],
)
def test_a_condition_keeps_the_rows_that_fulfil_it(condition: tuple[str, str, Any], kept: list[int]) -> None:
    assert np.flatnonzero(kept_rows(ROWS, [condition])).tolist() == kept
    assert np.flatnonzero(kept_rows(pa.Table.from_batches([ROWS, ROWS]), [condition])).tolist() == [
        *kept,
        *(3 + place for place in kept),
    ]


def test_all_conditions_must_hold_and_none_keeps_everything() -> None:
    assert kept_rows(ROWS, [("whole", ">=", 1), ("text", "==", "Bern")]).tolist() == [False, True, False]
    assert kept_rows(ROWS, []).tolist() == [True, True, True]


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        (("whole", "==", "1"), "whole holds int64, found '1'"),
        (("whole", "==", True), "whole holds int64, found True"),
        (("number", "in", [1, "a"]), "number holds double, found 'a'"),
        (("text", "<", 1), "text holds string, found 1"),
        (("yes", "==", 1), "yes holds bool, found 1"),
        (("list", "==", 1), r"list holds list<item: int64>, found 1"),
        (("day", "<", "soon"), r"day holds date32\[day\], found 'soon'"),
    ],
)
def test_what_cannot_be_compared_is_an_error(condition: tuple[str, str, Any], said: str) -> None:
    with pytest.raises(FilterError, match=said + r"\. Correct predict\.where in the spec\.$"):
        kept_rows(ROWS, [condition])


def test_a_column_that_is_not_there_is_an_error() -> None:
    with pytest.raises(FilterError) as caught:
        kept_rows(ROWS.select(["text", "whole"]), [("txt", "==", 1)])
    assert str(caught.value) == (
        'predict.where must name columns of the file or of its scores; found txt. Did you mean "text"? '
        "Correct the spec, or the file."
    )


def scores(spec: Spec) -> pa.RecordBatch:
    """Two loans as they stand in a file of scores."""
    values = {
        "owner": ["p", "q"],
        "amount": [1.0, 2.0],
        "kind": ["1", "2"],
        "row_id": [5, 6],
        "prediction": ["paid"] * 2,
    }
    rest = {name: ["x"] * 2 for name in added_columns(spec) if name not in values}
    return pa.record_batch({**values, **rest})


def filtered(spec: Spec, **predict: Any) -> pa.RecordBatch:
    rows, chosen = scores(spec), spec.model_copy(update={"predict": Predict(**predict)})
    output = OutputFilter(chosen, rows.schema)
    found = output.apply(rows)
    assert found.schema.equals(output.schema)
    return found


def test_added_columns_stand_behind_those_that_are_chosen(loans: Spec) -> None:
    added = [
        "row_id", "prediction", "probability_late", "probability_paid", "probability_lost", "model_name",
        "model_version", "run_id", "input_uri", "input_sha256",
    ]  # fmt: skip
    assert filtered(loans).schema.names == ["owner", "amount", "kind", *added]
    assert filtered(loans, columns=("kind", "owner", "row_id")).schema.names == ["kind", "owner", *added]
    assert filtered(loans, columns=()).schema.names == added


def test_conditions_see_columns_that_are_not_kept(loans: Spec) -> None:
    found = filtered(loans, columns=("owner",), where=(("amount", ">", 1), ("prediction", "==", "paid")))
    assert found["owner"].to_pylist() == ["q"]


def test_a_spec_that_misfits_is_told_before_any_row(loans: Spec) -> None:
    schema = scores(loans).schema
    for predict in (Predict(columns=("ownr",)), Predict(where=(("amount", "==", "1"),))):
        with pytest.raises(FilterError, match=r"predict\."):
            OutputFilter(loans.model_copy(update={"predict": predict}), schema)
