"""Drift reports: what is found, what is not, and how it is told."""

import json
from io import BytesIO
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gauntlet.domain.drift import DriftFinding, DriftPolicy, DriftProfile, DriftReport, DriftRule
from gauntlet.domain.drift_file import DriftFileError
from gauntlet.domain.rows import RowsError, typed
from gauntlet.domain.spec import Spec

from .conftest import HOUSES, house_rows

BH = DriftPolicy()
ORIGINAL = DriftPolicy(rule=DriftRule.ORIGINAL)


def report(spec: Spec, reference: pd.DataFrame, current: pd.DataFrame, policy: DriftPolicy = BH) -> DriftReport:
    return DriftProfile.fit(reference, spec).compare(current, policy)


def finding(result: DriftReport, column: str, test: str) -> DriftFinding:
    (found,) = [item for item in result.findings if (item.column, item.test) == (column, test)]
    return found


def judged_by(result: DriftReport, column: str) -> list[str]:
    return [item.test for item in result.findings if item.column == column]


def test_the_same_rows_do_not_drift(houses: Spec) -> None:
    rows = house_rows(2000)
    result = report(houses, rows, rows)
    assert not result.drifted
    assert [(item.column, item.test, item.statistic) for item in result.findings] == [
        ("area", "ks", 0.0),
        ("area", "psi", 0.0),
        ("price", "ks", 0.0),
        ("price", "psi", 0.0),
        ("town", "psi", 0.0),
        ("(rows)", "left_out", 0.0),
    ]
    assert [item.p_value for item in result.findings] == [1.0, None, 1.0, None, 1.0, None]


def test_reasons_state_effect_and_significance(houses: Spec) -> None:
    reference, current = house_rows(2000), house_rows(2000, seed=1)
    current["area"] = current["area"] * 0.5 + 10
    result = report(houses, reference, current)
    assert result.drifted_columns == ("area",)
    assert finding(result, "area", "ks").reason == (
        "KS distance 0.4975 is at least 0.03 and p = 3.13e-229 is significant among 3 columns at 0.05"
    )
    assert finding(result, "town", "psi").reason == (
        "PSI 0.0004564 is below 0.1 and p = 0.796 is not significant among 3 columns at 0.05"
    )
    assert finding(result, "(rows)", "left_out").reason == (
        "0.0 % of the rows served were left out, 0.0 % in the reference"
    )


def test_the_original_rule_takes_the_plain_thresholds(houses: Spec) -> None:
    reference, current = house_rows(2000), house_rows(2000, seed=1)
    current["area"] = current["area"] * 0.5 + 10
    current["town"] = "Ulm"
    result = report(houses, reference, current, ORIGINAL)
    assert result.drifted_columns == ("area", "town")
    assert finding(result, "area", "ks").reason == "KS p = 3.13e-229 is below 0.05"
    assert finding(result, "town", "psi").p_value is None
    assert finding(result, "town", "psi").reason == "PSI 6.391 is above 0.1"


def test_significant_but_negligible_is_no_drift(houses: Spec) -> None:
    """A shift by 0.01 standard deviations in very many rows: p is about 0, D about .004."""
    rng = np.random.default_rng(0)
    rows = 1_000_000
    frame = pd.DataFrame({"area": rng.normal(200, 20, rows), "town": "Ulm", "price": 100.0})
    current = frame.assign(area=rng.normal(200.2, 20, rows))
    found = finding(report(houses, frame, current), "area", "ks")
    assert found.p_value is not None
    assert found.p_value < 1e-6
    assert found.effect < 0.03
    assert not found.drifted
    assert " but p = " in found.reason


def test_many_levels_and_few_rows_are_no_drift(houses: Spec) -> None:
    """The PSI of 50 levels exceeds .1 in 500 rows without any drift; its p-value does not."""
    levels = [f"t{number}" for number in range(50)]
    spec = houses.model_copy(update={"categorical": {"town": tuple(levels)}})
    rng = np.random.default_rng(3)
    reference, current = (house_rows(500, seed).assign(town=rng.choice(levels, 500)) for seed in (1, 2))
    found = finding(report(spec, reference, current), "town", "psi")
    assert found.effect > 0.1
    assert not found.drifted


def test_an_outlier_does_not_hide_a_shift(houses: Spec) -> None:
    rng = np.random.default_rng(4)
    reference = house_rows(5000).assign(area=rng.normal(100, 10, 5000))
    current = house_rows(5000).assign(area=rng.normal(103, 10, 5000))
    reference.loc[0, "area"] = 1e6
    found = finding(report(houses, reference, current), "area", "ks")
    assert found.drifted
    assert found.effect == pytest.approx(0.12, abs=0.02)


@pytest.mark.parametrize(("unseen", "drifted"), [(5, False), (49, False), (50, True), (100, True)])
def test_unseen_categories(unseen: int, drifted: bool, houses: Spec) -> None:
    reference, current = house_rows(5000), house_rows(5000)
    current.loc[current.index[:unseen], "town"] = ["Basel", *["Kiel"] * (unseen - 1)]
    result = report(houses, reference, current)
    found = finding(result, "town", "unseen")
    assert (found.drifted, found.statistic, found.threshold) == (drifted, unseen / 5000, 0.01)
    assert result.drifted is drifted


def test_unseen_categories_are_named(houses: Spec) -> None:
    current = house_rows(5000)
    current.loc[current.index[:5], "town"] = ["Basel", "Kiel", "Kiel", "Oslo", "Rom"]
    assert finding(report(houses, house_rows(5000), current), "town", "unseen").reason == (
        "0.10 % of values are categories unseen in the reference: Kiel, Basel, Oslo and 1 more"
    )


@pytest.mark.parametrize(("share", "drifted"), [(0.04, False), (0.05, True), (0.5, True)])
@pytest.mark.parametrize("column", ["area", "town"])
def test_missing_values(column: str, share: float, drifted: bool, houses: Spec) -> None:
    reference, current = house_rows(2000), house_rows(2000)
    for frame, part in ((reference, 0.1), (current, 0.1 + share)):
        frame.loc[frame.index[: round(part * 2000)], column] = None
    found = finding(report(houses, reference, current), column, "nulls")
    assert found.drifted is drifted
    assert found.statistic == pytest.approx(0.1 + share)
    assert found.reason == f"{100 * (0.1 + share):.1f} % of values are missing, 10.0 % in the reference"


def test_fewer_missing_values_are_drift_too(houses: Spec) -> None:
    reference = house_rows(2000)
    reference.loc[reference.index[:1000], "area"] = np.nan
    assert finding(report(houses, reference, house_rows(2000)), "area", "nulls").drifted


@pytest.mark.parametrize("policy", [BH, ORIGINAL])
def test_a_column_without_data_is_flagged_and_the_rest_is_judged(policy: DriftPolicy, houses: Spec) -> None:
    current = house_rows(2000).assign(area=None, town=None)
    result = report(houses, house_rows(2000), current, policy)
    for column in ("area", "town"):
        assert judged_by(result, column) == ["no_data"]
        assert finding(result, column, "no_data").drifted
        assert finding(result, column, "no_data").reason == "no data in the current sample"
    assert judged_by(result, "price") == ["ks", "psi"]


def test_no_rows_at_all(houses: Spec) -> None:
    empty = house_rows(0)
    result = report(houses, house_rows(100), empty)
    assert [judged_by(result, column) for column in ("area", "price", "town")] == [["no_data"]] * 3
    assert result.drifted
    both = report(houses, empty, empty)
    assert not both.drifted
    assert finding(both, "area", "no_data").reason == "no data in the reference and in the current sample"
    json.dumps(both.to_dict(), allow_nan=False)


def test_missing_added_and_doubled_columns_are_findings(houses: Spec) -> None:
    rows = house_rows(200)
    current = rows.drop(columns="area").assign(owner="x")
    current = pd.concat([current, rows[["town"]]], axis=1)
    result = report(houses, rows, current)
    assert result.drifted_columns == ("area", "town", "owner")
    assert finding(result, "area", "schema").reason == "the column is missing"
    assert finding(result, "town", "schema").reason == "the column is there 2 times"
    assert finding(result, "owner", "schema").reason == "the column is not in the reference"
    assert judged_by(result, "price") == ["ks", "psi"]


def test_numbers_as_text_are_schema_drift(houses: Spec) -> None:
    current = house_rows(200)
    current["area"] = current["area"].astype(str)
    result = report(houses, house_rows(200), current)
    assert judged_by(result, "area") == ["schema"]
    assert finding(result, "area", "schema").reason == "200 of 200 values are no numbers"
    assert finding(result, "area", "schema").drifted


def test_a_little_text_among_numbers_is_listed_and_the_rest_is_judged(houses: Spec) -> None:
    current = house_rows(200)
    current["area"] = current["area"].astype(object)
    current.loc[0, "area"] = "12,5"
    result = report(houses, house_rows(200), current)
    assert judged_by(result, "area") == ["ks", "psi", "schema"]
    assert not finding(result, "area", "schema").drifted


def test_a_reference_without_data_is_flagged_even_beside_a_little_text(houses: Spec) -> None:
    current = house_rows(200)
    current["area"] = current["area"].astype(object)
    current.loc[0, "area"] = "12,5"
    result = report(houses, house_rows(200).assign(area=None), current)
    assert judged_by(result, "area") == ["schema", "no_data"]
    assert finding(result, "area", "no_data").reason == "no data in the reference sample"
    assert result.drifted_columns == ("area",)


@pytest.mark.parametrize("dtype", [object, "category", "str"])
def test_a_dtype_is_no_drift(dtype: Any, houses: Spec) -> None:
    current = house_rows(500, seed=5)
    expected = report(houses, house_rows(500), current)
    current["town"] = current["town"].astype(dtype)
    current["area"] = current["area"].astype("Float64")
    assert report(houses, house_rows(500), current) == expected


def test_the_target_is_judged_and_the_key_is_not() -> None:
    spec = Spec.parse("houses", 'key = "id"\n' + HOUSES)
    reference, current = (house_rows(2000, seed).assign(id=range(seed, 2000 + seed)) for seed in (0, 5000))
    current["price"] *= 1.5
    result = report(spec, reference, current)
    assert result.drifted_columns == ("price",)
    assert "id" not in {item.column for item in result.findings}


@pytest.mark.parametrize(("broken", "drifted"), [(40, False), (90, False), (100, True), (600, True)])
def test_a_rise_of_rows_that_break_the_spec_is_drift(broken: int, drifted: bool, houses: Spec) -> None:
    reference, current = house_rows(2000), house_rows(2000)
    for frame, rows in ((reference, 20), (current, 20 + broken)):
        frame.loc[frame.index[:rows], "area"] = 501
    found = finding(report(houses, reference, current), "(rows)", "left_out")
    assert found.drifted is drifted
    assert found.statistic == pytest.approx((20 + broken) / 2000)
    assert found.effect == pytest.approx(broken / 2000)
    assert found.reason == (
        f"{(20 + broken) / 20:.1f} % of the rows served were left out, 1.0 % in the reference; "
        f"most often since area must lie in 10..500.5 ({20 + broken} of 2,000 rows)"
    )


def served(rows: int, texts: int) -> pd.DataFrame:
    """Houses as the router serves them, with text for a number in some of them."""
    frame = house_rows(rows)
    frame["area"] = frame["area"].astype(object)
    frame.loc[frame.index[:texts], "area"] = "12,5"
    return frame


@pytest.mark.parametrize(("texts", "drifted"), [(60, False), (320, True)])
def test_rows_of_a_wrong_type_that_are_left_out_before_count(texts: int, drifted: bool, houses: Spec) -> None:
    fitting = typed(served(2000, texts), houses)
    profile = DriftProfile.fit(house_rows(2000), houses)
    result = profile.compare(fitting.frame, BH, served=2000, misfits=fitting.misfits)
    found = finding(result, "(rows)", "left_out")
    assert found.drifted is drifted
    assert found.statistic == pytest.approx(texts / 2000)
    assert result.drifted_columns == (("(rows)",) if drifted else ())
    assert found.reason == (
        f"{texts / 20:.1f} % of the rows served were left out, 0.0 % in the reference; "
        f"most often since area must be a number ({texts} of 2,000 rows)"
    )


def test_the_reference_counts_its_own_rows_of_a_wrong_type(houses: Spec) -> None:
    fitting = typed(served(2000, 320), houses)
    profile = DriftProfile.fit(fitting.frame, houses, served=2000)
    assert profile.left_out == DriftProfile.fit(served(2000, 320), houses).left_out == pytest.approx(0.16)
    again = DriftProfile.from_bytes(profile.to_bytes())
    assert not again.compare(fitting.frame, BH, served=2000, misfits=fitting.misfits).drifted
    assert finding(again.compare(house_rows(2000), BH), "(rows)", "left_out").effect == pytest.approx(-0.16)


def test_the_commonest_rule_is_named_whenever_its_rows_were_left_out(houses: Spec) -> None:
    frame = served(2000, 320)
    frame.loc[frame.index[500:900], "town"] = "Basel"
    fitting = typed(frame, houses)
    found = finding(
        DriftProfile.fit(house_rows(2000), houses).compare(fitting.frame, BH, served=2000, misfits=fitting.misfits),
        "(rows)", "left_out",
    )  # fmt: skip
    assert found.statistic == pytest.approx(0.36)
    assert found.reason.endswith("most often since town must be one of Ulm, Bern, Graz (400 of 2,000 rows)")


def test_no_row_of_the_right_type_at_all(houses: Spec) -> None:
    fitting = typed(served(100, 100), houses)
    result = DriftProfile.fit(house_rows(100), houses).compare(fitting.frame, BH, served=100, misfits=fitting.misfits)
    assert finding(result, "(rows)", "left_out").statistic == 1.0


def test_fitting_needs_every_column(houses: Spec) -> None:
    with pytest.raises(RowsError, match="missing: town"):
        DriftProfile.fit(house_rows(10).drop(columns="town"), houses)


def test_a_report_as_json(houses: Spec) -> None:
    result = report(houses, house_rows(300), house_rows(200, seed=9))
    values = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert values["rows"] == {"reference": 300, "current": 200}
    assert set(values["findings"][0]) == {
        "column", "test", "statistic", "p_value", "effect", "threshold", "drifted", "reason",
    }  # fmt: skip


def test_inputs_are_left_as_they_were(houses: Spec) -> None:
    rows = house_rows(100)
    before = rows.copy(deep=True)
    report(houses, rows, rows)
    pd.testing.assert_frame_equal(rows, before)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), rows=st.integers(1, 60))
def test_the_order_of_rows_says_nothing(seed: int, rows: int) -> None:
    spec = Spec.parse("houses", HOUSES)
    reference, current = house_rows(50), house_rows(rows, seed)
    shuffled = current.sample(frac=1, random_state=seed)
    assert report(spec, reference, current) == report(spec, reference, shuffled)


def test_a_profile_survives_its_file(houses: Spec) -> None:
    frame = house_rows(500)
    frame["area"] = frame["area"].mask(frame.index < 20)
    frame.loc[30:32, "area"] = [np.inf, -np.inf, -0.0]
    frame["price"] = (frame["price"].to_numpy() + 2**60).astype(np.int64)
    frame["town"] = frame["town"].mask(frame.index < 5)
    profile = DriftProfile.fit(frame, houses)
    data = profile.to_bytes()
    again = DriftProfile.from_bytes(data)
    assert again.to_bytes() == data
    assert again.spec == houses
    assert again.compare(house_rows(400, 3), BH) == profile.compare(house_rows(400, 3), BH)
    assert not again.compare(frame, BH).drifted


def test_an_empty_profile_survives_its_file(houses: Spec) -> None:
    profile = DriftProfile.fit(house_rows(0), houses)
    assert DriftProfile.from_bytes(profile.to_bytes()).compare(house_rows(5), BH).drifted


def test_a_profile_is_no_larger_than_its_reference(diamonds: pd.DataFrame, diamonds_spec: Spec) -> None:
    noise = house_rows(20_000)
    houses = Spec.parse("houses", HOUSES)
    for frame, spec in ((diamonds.head(5000), diamonds_spec), (noise, houses)):
        sink = BytesIO()
        pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), sink, compression="zstd")
        assert len(DriftProfile.fit(frame, spec).to_bytes()) <= len(sink.getvalue())


@pytest.mark.parametrize("garbage", [b"", b"PAR1", b"\x80\x04pickle", b"{}" * 50])
def test_garbage_is_no_profile(garbage: bytes) -> None:
    with pytest.raises(DriftFileError, match=r"a drift profile must be a file that gauntlet wrote; got .* Train a new"):
        DriftProfile.from_bytes(garbage)


def test_another_parquet_file_or_version_is_no_profile(houses: Spec) -> None:
    def rewritten(metadata: dict[bytes, bytes] | None) -> bytes:
        table = pq.read_table(BytesIO(DriftProfile.fit(house_rows(5), houses).to_bytes()))
        sink = BytesIO()
        pq.write_table(table.replace_schema_metadata(metadata), sink)
        return sink.getvalue()

    with pytest.raises(DriftFileError, match="must be a file that gauntlet wrote"):
        DriftProfile.from_bytes(rewritten(None))
    with pytest.raises(DriftFileError) as caught:
        DriftProfile.from_bytes(rewritten({b"gauntlet-drift-profile": b'{"version": 99}'}))
    assert str(caught.value) == (
        "a drift profile must have version 1 or 2; got version 99. "
        "Use the gauntlet that wrote it, or train a new model."
    )


def test_real_diamonds_rarely_raise_a_false_alarm(diamonds: pd.DataFrame, diamonds_spec: Spec) -> None:
    """About 2 in 100 do; with each column's p-value alone it would be more than 11."""
    rng = np.random.default_rng(5)
    alarms = 0
    for _ in range(100):
        rows = diamonds.iloc[rng.choice(len(diamonds), 10_000, replace=False)]
        alarms += report(diamonds_spec, rows[:5000], rows[5000:]).drifted
    assert alarms <= 6


def test_each_diamond_column_drifted_alone_is_found(diamonds: pd.DataFrame, diamonds_spec: Spec) -> None:
    profile = DriftProfile.fit(diamonds[:5000], diamonds_spec)
    rng = np.random.default_rng(11)
    for column in diamonds_spec.variables:
        current = diamonds[5000:10_000].copy()
        if column in diamonds_spec.numeric:
            half = rng.permutation(5000) < 2500
            current[column] = current[column].to_numpy() * np.where(half, rng.uniform(0.1, 2.0, 5000), 1.0)
        else:
            current[column] = rng.choice(diamonds_spec.categorical[column], 5000)
        assert profile.compare(current, BH).drifted_columns == (column,)
