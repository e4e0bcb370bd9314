"""Rows against their spec: types, then rules."""

from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gauntlet.domain.rows import RowsError, check, typed
from gauntlet.domain.spec import Spec

from .conftest import HOUSES, house_rows


def houses_with(column: str, values: "pd.Series[Any]") -> pd.DataFrame:
    frame = house_rows(len(values))
    frame[column] = values.set_axis(frame.index)
    return frame


@pytest.mark.parametrize(
    "values",
    [
        pd.Series([1, 0, 1]),
        pd.Series([1.0, 0.0, 1.0]),
        pd.Series([True, False, True]),
        pd.Series([1, 0, 1], dtype="Int64"),
        pd.Series([1, 0, 1], dtype="uint8"),
        pd.Series([1, 0.0, True], dtype=object),
        pd.Series([Decimal(1), 0, np.float32(1)], dtype=object),
        pd.Series([1, 0, 1], dtype="category"),
        pd.Series([1, 0, 1], dtype="int64[pyarrow]"),
    ],
)
def test_numbers_of_any_dtype_become_float64(values: "pd.Series[Any]", houses: Spec) -> None:
    result = typed(houses_with("area", values), houses)
    assert result.frame["area"].dtype == np.float64
    assert result.frame["area"].tolist() == [1.0, 0.0, 1.0]
    assert result.misfits == {}


@pytest.mark.parametrize(
    "values",
    [
        pd.Series([1, 2, 10]),
        pd.Series([1.0, 2.0, 10.0]),
        pd.Series(["1", "2", "10"]),
        pd.Series(["1", "2", "10"], dtype=object),
        pd.Series(["1", "2", "10"], dtype="category"),
        pd.Series([1.0, 2.0, 10.0], dtype="category"),
        pd.Series([1, 2.0, "10"], dtype=object),
        pd.Series([1, 2, 10], dtype="Int64"),
        pd.Series(["1", "2", "10"], dtype="string[python]"),
    ],
)
def test_categories_of_any_dtype_become_their_text(values: "pd.Series[Any]", houses: Spec) -> None:
    result = typed(houses_with("town", values), houses)
    assert str(result.frame["town"].dtype) == "str"
    assert result.frame["town"].tolist() == ["1", "2", "10"]


def test_text_of_unusual_scalars(houses: Spec) -> None:
    values = pd.Series([True, -0.0, 0.5, float("inf"), 2**60, np.int8(3)], dtype=object)
    assert typed(houses_with("town", values), houses).frame["town"].tolist() == [
        "True", "0", "0.5", "inf", str(2**60), "3",
    ]  # fmt: skip


@pytest.mark.parametrize("dtype", [object, "str", "category"])
def test_missing_values_fit_every_type_and_break_a_rule(dtype: Any, houses: Spec) -> None:
    frame = houses_with("town", pd.Series(["Ulm", None, "Bern"], dtype=dtype))
    frame["area"] = pd.Series([None, 20, 30], dtype="Int64").set_axis(frame.index)
    result = typed(frame, houses)
    assert (len(result.frame), result.misfits) == (3, {})
    checked = check(result.frame, houses)
    assert checked.broken == {"area must not be missing": 1, "town must not be missing": 1}
    assert checked.kept.index.tolist() == [2]


def test_a_column_with_nothing_in_it_is_missing_not_a_misfit(houses: Spec) -> None:
    frame = houses_with("area", pd.Series([None, None], dtype=object))
    assert typed(frame, houses).frame["area"].isna().all()


def test_rows_whose_types_do_not_fit_are_left_out_and_counted(houses: Spec) -> None:
    frame = house_rows(5)
    frame["area"] = pd.Series([1.5, "2", None, 3, [4]], dtype=object).set_axis(frame.index)
    frame["town"] = pd.Series(["Ulm", "Ulm", "Ulm", {}, "Ulm"], dtype=object).set_axis(frame.index)
    result = typed(frame, houses)
    assert result.misfits == {"area must be a number": 2, "town must be text or a number": 1}
    assert result.frame.index.tolist() == [0, 2]
    assert result.frame.index.name == "row_id"


def test_other_columns_are_ignored_and_the_key_is_kept() -> None:
    spec = Spec.parse("houses", 'key = "id"\n' + HOUSES)
    frame = house_rows(3).assign(owner="x", id=["p", "q", "r"])
    result = typed(frame, spec).frame
    assert result.columns.tolist() == ["area", "town", "price", "id"]
    assert result["id"].tolist() == ["p", "q", "r"]
    assert frame.columns.tolist() == ["area", "town", "price", "owner", "id"]


def test_a_missing_or_doubled_column_is_an_error(houses: Spec) -> None:
    rows = house_rows(3)
    with pytest.raises(RowsError) as caught:
        typed(rows[["price"]], houses)
    assert str(caught.value) == (
        "every column of the spec must be there; missing: area, town. Serve them, or change the spec."
    )
    with pytest.raises(RowsError, match=r"column names must differ; doubled: area\. Rename or drop the others\."):
        typed(pd.concat([rows, rows[["area"]]], axis=1), houses)
    with pytest.raises(RowsError, match="missing: town"):
        check(rows.drop(columns="town"), houses)


def test_each_rule_counts_the_rows_that_break_it(houses: Spec) -> None:
    frame = house_rows(6)
    frame["area"] = [10.0, 500.5, 9.99, 500.51, np.inf, -np.inf]
    frame["town"] = ["Ulm", "Bern", "Ulm", "Basel", "Graz", "Graz"]
    checked = check(typed(frame, houses).frame, houses)
    assert checked.broken == {"area must lie in 10..500.5": 4, "town must be one of Ulm, Bern, Graz": 1}
    assert checked.kept.index.tolist() == [0, 1]
    assert checked.rows == 6
    assert checked.share_left_out == pytest.approx(4 / 6)


def test_many_categories_are_not_spelled_out(houses: Spec) -> None:
    spec = houses.model_copy(update={"categorical": {"town": tuple(map(str, range(50)))}})
    assert list(check(house_rows(3), spec).broken) == ["town must be one of its 50 categories"]


def test_no_rows_at_all(houses: Spec) -> None:
    checked = check(typed(house_rows(0), houses).frame, houses)
    assert (checked.rows, checked.share_left_out, dict(checked.broken)) == (0, 0.0, {})
