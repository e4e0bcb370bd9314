"""What a spec says of single columns' drift: [drift.COLUMN]."""

from typing import Any

import pytest

from gauntlet.domain.drift import DriftFinding, DriftPolicy, DriftProfile, DriftReport, DriftRule
from gauntlet.domain.spec import ColumnDrift, Spec, SpecError

from .conftest import HOUSES, house_rows

BH = DriftPolicy()
ORIGINAL = DriftPolicy(rule=DriftRule.ORIGINAL)


def spec_with(toml: str) -> Spec:
    return Spec.parse("houses", f"{HOUSES}\n{toml}")


def errors(toml: str) -> dict[str, str]:
    with pytest.raises(SpecError) as caught:
        spec_with(toml)
    return dict(caught.value.errors)


def report(toml: str, policy: DriftPolicy = BH, **current: Any) -> DriftReport:
    """Houses against others of which columns are replaced, by the function given."""
    spec, rows = spec_with(toml), house_rows(4000, seed=1)
    changed = rows.assign(**{column: change(rows[column]) for column, change in current.items()})
    return DriftProfile.fit(house_rows(4000), spec).compare(changed, policy)


def finding(result: DriftReport, column: str, test: str) -> DriftFinding:
    (found,) = [item for item in result.findings if (item.column, item.test) == (column, test)]
    return found


def test_an_ignored_column_is_not_judged_nor_counted() -> None:
    result = report("[drift.area]\nignore = true", area=lambda area: area + 50)
    assert not result.drifted
    assert "area" not in {item.column for item in result.findings}
    assert finding(result, "price", "ks").reason.endswith("among 2 columns at 0.05")
    assert "area" in {overlay.column for overlay in result.overlays}


def test_an_ignored_column_must_still_be_there() -> None:
    spec = spec_with("[drift.area]\nignore = true")
    result = DriftProfile.fit(house_rows(100), spec).compare(house_rows(100).drop(columns="area"), BH)
    assert result.drifted_columns == ("area",)


@pytest.mark.parametrize(("distance", "drifted"), [(0.05, True), (0.5, False)])
def test_a_distance_of_its_own(distance: float, drifted: bool) -> None:
    result = report(f"[drift.area]\ndistance = {distance}", area=lambda area: area + 50)
    found = finding(result, "area", "ks")
    assert (found.threshold, found.drifted) == (distance, drifted)
    assert f"{'at least' if drifted else 'below'} {distance:g}" in found.reason


def test_the_psi_of_numbers_informs() -> None:
    result = report("[drift.area]\ndistance = 0.9", area=lambda area: area * 0.5 + 10)
    found = finding(result, "area", "psi")
    assert (found.drifted, found.p_value, found.threshold) == (False, None, 0.1)
    assert found.effect == found.statistic > 0.3
    assert found.reason == f"PSI over tenths of the reference {found.effect:.4g} is at least 0.1; for information"
    assert not result.drifted


@pytest.mark.parametrize("policy", [BH, ORIGINAL])
@pytest.mark.parametrize(("psi", "drifted"), [(0.2, True), (90.0, False)])
def test_the_psi_of_numbers_decides_with_a_threshold_of_its_own(psi: float, drifted: bool, policy: DriftPolicy) -> None:
    result = report(f"[drift.area]\npsi = {psi}", policy, area=lambda area: area * 3)
    found = finding(result, "area", "psi")
    assert (found.threshold, found.drifted) == (psi, drifted)
    assert "for information" not in found.reason


def test_the_psi_of_numbers_decides_only_where_the_distributions_surely_differ() -> None:
    result = report("[drift.area]\npsi = 1e-9")
    found = finding(result, "area", "psi")
    assert found.effect >= 1e-9
    assert not found.drifted
    assert "but the KS test's p = " in found.reason


def test_a_psi_of_its_own_for_categories() -> None:
    def mostly_ulm(town: Any) -> Any:
        return town.where(town.index % 3 > 0, "Ulm")

    for psi, drifted in ((0.02, True), (5.0, False)):
        result = report(f"[drift.town]\npsi = {psi}", town=mostly_ulm)
        assert (finding(result, "town", "psi").threshold, result.drifted) == (psi, drifted)


@pytest.mark.parametrize(("share", "drifted"), [(0.3, False), (0.02, True)])
def test_shares_of_its_own(share: float, drifted: bool) -> None:
    toml = f"[drift.town]\nnulls = {share}\nunseen = {share}\n[drift.area]\nunseen = {share}\nnulls = {share}"
    result = report(
        toml,
        town=lambda town: town.mask(town.index % 25 == 0).mask(town.index % 25 == 1, "Rom"),
        area=lambda area: area.astype(object).mask(area.index % 25 == 2).mask(area.index % 25 == 3, "wide"),
    )
    for column, test in (("town", "nulls"), ("town", "unseen"), ("area", "nulls"), ("area", "schema")):
        found = finding(result, column, test)
        assert found.statistic == pytest.approx(0.04)
        assert (found.threshold, found.drifted) == (share, drifted)


def test_a_policy_says_otherwise_than_the_spec_the_profile_was_made_by() -> None:
    """The champion's profile is judged by the spec as it is now."""
    profile = DriftProfile.fit(house_rows(2000), spec_with("[drift.area]\nignore = true"))
    current = house_rows(2000).assign(area=30.0)
    assert not profile.compare(current, BH).drifted
    assert profile.compare(current, DriftPolicy(overrides={})).drifted
    lenient = DriftPolicy(overrides={"area": ColumnDrift(distance=0.99)})
    assert not profile.compare(current, lenient).drifted


def test_overrides_survive_the_spec_as_json() -> None:
    spec = spec_with("[drift.area]\nignore = true\n[drift.town]\npsi = 0.3\nunseen = 0.2")
    assert Spec.from_json(spec.to_json()) == spec
    assert spec.drift["town"] == ColumnDrift(psi=0.3, unseen=0.2)


def test_an_unknown_column() -> None:
    assert errors("[drift.aera]\nignore = true") == {
        "drift.aera": 'must name a numeric or categorical column; found "aera". Did you mean "area"?'
    }


def test_a_distance_of_categories() -> None:
    assert errors("[drift.town]\ndistance = 0.1") == {
        "drift.town.distance": 'only numbers have a KS distance; found categorical "town". Set psi instead.'
    }


@pytest.mark.parametrize(
    ("toml", "key", "text"),
    [
        ("[drift.area]\nnull = 0.1", "drift.area.null", 'is not a key of a spec; found "null". Did you mean "nulls"?'),
        ("[drift.area]\nnulls = 1.5", "drift.area.nulls", "must be less than 1; found 1.5. Lower it."),
        ("[drift.area]\npsi = 0", "drift.area.psi", "must be more than 0; found 0. Raise it."),
        ('[drift.area]\npsi = "0.1"', "drift.area.psi", 'must be a number; found "0.1". Write it without quotes.'),
        ("drift = 3", "drift", "must be a table; found 3. Write it as [TABLE] with one line a column."),
    ],
)
def test_other_errors(toml: str, key: str, text: str) -> None:
    if not toml.startswith("["):
        toml, extra = "", toml
        with pytest.raises(SpecError) as caught:
            Spec.parse("houses", f"{extra}\n{HOUSES}")
        assert dict(caught.value.errors) == {key: text}
    else:
        assert errors(toml) == {key: text}
