"""Two tables without a spec: what kind each column is of, what is left out, and what is drift by its kind alone."""

from datetime import date, time
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gauntlet.domain.drift import DriftPolicy, DriftRule
from gauntlet.domain.infer import FilesDrift, Kind, NothingToCompare, compare_frames, kind

POLICY = DriftPolicy()


def compared(reference: dict[str, Any], current: dict[str, Any], policy: DriftPolicy = POLICY) -> FilesDrift:
    return compare_frames(pd.DataFrame(reference), pd.DataFrame(current), policy)


def found(result: FilesDrift) -> set[tuple[str, str]]:
    return {(finding.column, finding.test) for finding in result.report.findings if finding.drifted}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1.5, 2.5, 1.5], Kind.NUMBERS),
        ([3, 1, 3], Kind.NUMBERS),
        ([1, 2, 4, 5], Kind.NUMBERS),
        ([Decimal("1.5"), None, Decimal(2)], Kind.NUMBERS),
        ([1, 2.5, None, 3], Kind.NUMBERS),
        ([7, 8, 9, 10], Kind.COUNTER),
        ([1, 2], Kind.NUMBERS),
        (["a", "b", "a"], Kind.TEXT),
        (["a", "b"], Kind.TEXT),
        (["a", 1, "a"], Kind.TEXT),
        ([True, False, None], Kind.BOOLEANS),
        ([True, False, True], Kind.BOOLEANS),
        (["x1", "x2", "x3", None], Kind.IDS),
        (["2026-01-01", "2026-01-01", "2026-01-02"], Kind.DATES),
        (["2026-01-01 10:00:00", "2026-01-01T10:00+02:00"], Kind.DATES),
        ([pd.Timestamp("2026-01-01"), None], Kind.DATES),
        ([date(2026, 1, 1), date(2026, 1, 2)], Kind.OTHER),
        ([time(10), time(11)], Kind.OTHER),
        ([[1], [2]], Kind.OTHER),
        ([{"a": 1}], Kind.OTHER),
        ([1j, 2j], Kind.OTHER),
        ([None, None], Kind.NOTHING),
        ([np.nan], Kind.NOTHING),
        ([], Kind.NOTHING),
    ],
)
def test_the_kind_of_a_column(values: list[Any], expected: Kind) -> None:
    assert kind(pd.Series(values)) is expected


@pytest.mark.parametrize("dtype", ["str", "object", "category", "string[pyarrow]"])
def test_text_is_text_in_any_type(dtype: str) -> None:
    assert kind(pd.Series(["a", "b", "a", None], dtype=dtype)) is Kind.TEXT


@pytest.mark.parametrize("dtype", ["int64[pyarrow]", "Int64", "uint8", "float32", "object"])
def test_numbers_are_numbers_in_any_type(dtype: str) -> None:
    assert kind(pd.Series([3, 1, 3, 2], dtype=dtype)) is Kind.NUMBERS


def test_equal_tables_have_not_drifted() -> None:
    rng = np.random.default_rng(0)
    table = {"size": rng.normal(0, 1, 500), "kind": rng.choice(["a", "b"], 500), "sold": rng.random(500) < 0.5}
    result = compared(table, table)
    assert not result.report.drifted
    assert {finding.column for finding in result.report.findings} == {"size", "kind", "sold"}
    assert result.left_out == {}


def test_what_moved_has_drifted() -> None:
    rng = np.random.default_rng(0)
    reference = {"size": rng.normal(0, 1, 500), "kind": rng.choice(["a", "b"], 500), "sold": [True, False] * 250}
    current = {"size": rng.normal(1, 1, 500), "kind": rng.choice(["a", "c"], 500), "sold": [True] * 500}
    assert found(compared(reference, current)) == {("size", "ks"), ("kind", "psi"), ("kind", "unseen"), ("sold", "psi")}


@pytest.mark.parametrize(
    ("before", "now", "reason"),
    [
        ([1.5, 2.0, 1.5], ["a", "b", "a"], "numbers in the reference, text in the current table"),
        (["a", "b", "a"], [1.5, 2.0, 1.5], "text in the reference, numbers in the current table"),
        ([True, False], [0.5, 1.0], "true and false in the reference, numbers in the current table"),
        ([1.5, 2.0], ["2026-01-01", "2026-01-01"], "numbers in the reference, dates in the current table"),
        ([1.5, 2.0, 1.0], ["a", "b", "c"], "numbers in the reference, text in the current table"),
        (["a", "b", "a"], [4, 5, 6], "text in the reference, numbers in the current table"),
        ([1.5, 2.0, 1.0], [4, 5, 6], None),
    ],
)
def test_another_kind_is_one_finding_and_no_crash(before: list[Any], now: list[Any], reason: str | None) -> None:
    rows = {"other": [0.5] * len(before)}, {"other": [0.5] * len(now)}
    result = compared({"x": before, **rows[0]}, {"x": now, **rows[1]})
    assert [finding.reason for finding in result.report.findings if finding.test == "schema"] == (
        [reason] if reason else []
    )


def test_a_column_of_another_kind_may_be_the_only_one() -> None:
    assert found(compared({"x": [1.5, 2.0]}, {"x": ["a", "a"]})) == {("x", "schema")}


def test_ids_dates_and_counters_are_left_out_by_name() -> None:
    rng = np.random.default_rng(0)
    table = {
        "size": rng.normal(0, 1, 30),
        "id": [f"n{number}" for number in range(30)],
        "day": ["2026-01-01"] * 30,
        "when": pd.date_range("2026-01-01", periods=30),
        "row": range(30),
        "tags": [[1]] * 30,
    }
    later = {**table, "id": [f"m{number}" for number in range(30)], "row": range(30, 60), "day": ["2026-02-01"] * 30}
    result = compared(table, later)
    assert result.left_out == {
        "id": "ids: each value once",
        "day": "dates",
        "when": "dates",
        "row": "a row counter: each whole number once",
        "tags": "neither numbers nor text",
    }
    assert not result.report.drifted


def test_text_that_is_all_different_only_now_has_drifted() -> None:
    current = {"kind": [f"new {number}" for number in range(50)]}
    assert ("kind", "unseen") in found(compared({"kind": ["a", "b"] * 25}, current))


def test_missing_and_added_columns_have_drifted() -> None:
    result = compared({"a": [1.5, 2.0], "gone": [1.5, 2.0]}, {"a": [1.5, 2.0], "new": [1.5, 2.0]})
    assert found(result) == {("gone", "schema"), ("new", "schema")}


def test_an_empty_column_takes_its_kind_from_the_other_table() -> None:
    assert found(compared({"x": [None, None], "y": [1.5, 2.0]}, {"x": ["a", "a"], "y": [1.5, 2.0]})) == {
        ("x", "no_data")
    }
    assert found(compared({"x": ["a", "a"], "y": [1.5, 2.0]}, {"x": [np.nan] * 2, "y": [1.5, 2.0]})) == {
        ("x", "no_data")
    }


def test_missing_values_are_told_and_no_row_is_left_out_for_them() -> None:
    reference, current = (
        {"x": np.arange(0, 50, 0.5)},
        {"x": np.where(np.arange(100) % 2, np.nan, np.arange(0, 50, 0.5))},
    )
    result = compared(reference, current)
    assert found(result) == {("x", "nulls")}
    assert {finding.test for finding in result.report.findings} == {"ks", "psi", "nulls"}


def test_the_rule_original_is_kept() -> None:
    rng = np.random.default_rng(0)
    reference, current = {"x": rng.normal(0, 1, 50_000)}, {"x": rng.normal(0.02, 1, 50_000)}
    assert not compared(reference, current).report.drifted
    assert compared(reference, current, DriftPolicy(rule=DriftRule.ORIGINAL)).report.drifted


def test_infinite_numbers_and_names_of_any_kind() -> None:
    frame = pd.DataFrame({1: [np.inf, -np.inf, 0.5], "": ["a", "b", "a"], "a.b[c]": [1.5, 1.5, 2.0]})
    result = compare_frames(frame, frame, POLICY)
    assert not result.report.drifted
    assert {finding.column for finding in result.report.findings} == {"1", "", "a.b[c]"}


def test_nothing_to_compare_is_said() -> None:
    with pytest.raises(NothingToCompare) as info:
        compared({"id": ["x", "y", "z"]}, {"id": ["x", "y", "z"]})
    assert str(info.value) == (
        "a table must have columns of numbers or categories; found id (ids: each value once). Name a spec."
    )


def test_the_overlays_come_along() -> None:
    result = compared({"x": [1.5, 2.0, 2.5], "k": ["a", "b", "a"]}, {"x": [1.5, 2.0, 2.5], "k": ["a", "b", "a"]})
    assert {overlay.column for overlay in result.report.overlays} == {"x", "k"}
