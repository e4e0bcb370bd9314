"""Both samples over the same bins, for people to look at, and reports as they are kept."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gauntlet.domain.drift import DriftPolicy, DriftProfile, DriftReport, Overlay
from gauntlet.domain.spec import Spec

from .conftest import HOUSES, house_rows


def overlays(reference: pd.DataFrame, current: pd.DataFrame, spec: Spec) -> dict[str, Overlay]:
    report = DriftProfile.fit(reference, spec).compare(current, DriftPolicy())
    return {overlay.column: overlay for overlay in report.overlays}


def with_areas(values: Any) -> pd.DataFrame:
    return house_rows(len(values)).assign(area=values)


def test_numbers_are_shown_over_bins_of_equal_width(houses: Spec) -> None:
    reference, current = house_rows(30_000), house_rows(25_000, seed=1)
    shown = overlays(reference, current, houses)["area"]
    assert shown.levels == ()
    assert len(shown.edges) == 31
    assert np.diff(shown.edges) == pytest.approx(shown.edges[1] - shown.edges[0])
    for shares, frame in ((shown.reference, reference), (shown.current, current)):
        inner = np.searchsorted(np.array(shown.edges[1:-1]), frame["area"], side="left")
        assert shares == pytest.approx(tuple(np.bincount(inner, minlength=30) / len(frame)))


def test_outliers_lie_in_the_outer_bins(houses: Spec) -> None:
    values = np.random.default_rng(0).normal(100, 10, 30_000)
    outlying = values.copy()
    outlying[:3] = [1e6, np.inf, -np.inf]
    shown = overlays(with_areas(values), with_areas(outlying), houses)["area"]
    assert 50 < shown.edges[0] < shown.edges[-1] < 150
    assert sum(shown.current) == pytest.approx(1)


def test_a_current_sample_elsewhere_is_shown_where_it_is(houses: Spec) -> None:
    rng = np.random.default_rng(0)
    shown = overlays(with_areas(rng.normal(100, 5, 5000)), with_areas(rng.normal(300, 5, 5000)), houses)["area"]
    assert shown.edges[0] < 100 < 300 < shown.edges[-1]
    assert max(shown.current) < 0.9


def test_few_whole_numbers_have_a_bin_each(houses: Spec) -> None:
    values = np.array([1, 2, 2, 5])
    shown = overlays(with_areas(values), with_areas(np.array([2, 4])), houses)["area"]
    assert shown.edges == (0.5, 1.5, 2.5, 3.5, 4.5, 5.5)
    assert (shown.reference, shown.current) == ((0.25, 0.5, 0, 0, 0.25), (0, 0.5, 0, 0.5, 0))


@pytest.mark.parametrize("values", [[7.0] * 5, [np.inf] * 5, [-1.7e308, 1.7e308]])
def test_what_has_no_bins_has_no_overlay(values: list[float], houses: Spec) -> None:
    assert "area" not in overlays(with_areas(values), with_areas(values), houses)


def test_columns_without_data_have_no_overlay(houses: Spec) -> None:
    assert set(overlays(house_rows(50), house_rows(50).assign(area=None, town=None), houses)) == {"price"}


def test_categories_are_shown_in_the_specs_order(houses: Spec) -> None:
    current = house_rows(100).assign(town=["Rom"] * 50 + ["Graz"] * 50)
    reference = house_rows(100).assign(town=["Bern"] * 25 + ["Ulm"] * 75)
    shown = overlays(reference, current, houses)["town"]
    assert (shown.edges, shown.levels) == ((), ("Ulm", "Bern", "Graz", "Rom"))
    assert (shown.reference, shown.current) == ((0.75, 0.25, 0, 0), (0, 0, 0.5, 0.5))


@pytest.mark.parametrize(("levels", "shown"), [(30, 30), (31, 30), (200, 30)])
def test_at_most_thirty_levels_are_shown(levels: int, shown: int, houses: Spec) -> None:
    town = [f"t{number}" for number in range(levels)] + ["t3"] * 100
    overlay = overlays(house_rows(len(town)).assign(town=town), house_rows(3).assign(town="t7"), houses)["town"]
    assert len(overlay.levels) == shown
    assert {"t3", "t7"} <= set(overlay.levels)
    assert (overlay.levels[-1] == "(other)") is (levels > 30)
    assert sum(overlay.reference) == pytest.approx(1)
    assert sum(overlay.current) == pytest.approx(1)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.floats(allow_nan=False) | st.integers(0, 9).map(float), min_size=1, max_size=50),
    st.lists(st.floats(allow_nan=False) | st.integers(0, 9).map(float), min_size=1, max_size=50),
)
def test_shares_add_up_and_a_report_survives_its_record(reference: list[float], current: list[float]) -> None:
    spec = Spec.parse("houses", HOUSES)
    report = DriftProfile.fit(with_areas(reference), spec).compare(with_areas(current), DriftPolicy())
    for shown in report.overlays:
        assert len(shown.edges) in (0, len(shown.reference) + 1)
        assert len(shown.reference) == len(shown.current) <= 30
        assert sum(shown.reference) == pytest.approx(1)
        assert sum(shown.current) == pytest.approx(1)
    kept = json.loads(json.dumps(report.to_record(), allow_nan=False))
    assert DriftReport.from_record(kept) == report


def test_a_record_of_before_has_no_overlays(houses: Spec) -> None:
    report = DriftProfile.fit(house_rows(60), houses).compare(house_rows(50), DriftPolicy())
    assert set(report.to_dict()) == {"drifted", "rows", "findings"}
    assert set(report.to_record()) == {"drifted", "rows", "findings", "overlays"}
    old = DriftReport.from_record(report.to_dict())
    assert (old.findings, old.rows_current, old.overlays) == (report.findings, 50, ())
