"""The profile's file: its versions, and what it says of itself."""

import json
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from gauntlet.domain.drift import DriftPolicy, DriftProfile
from gauntlet.domain.drift_file import DriftFileError
from gauntlet.domain.spec import Spec

from .conftest import house_rows

VERSION_1 = Path(__file__).with_name("drift_profile_v1.parquet")
"""What version 1 wrote of 300 houses, with missing, infinite and large whole numbers."""


def test_a_profile_of_version_1_is_read(houses: Spec) -> None:
    profile = DriftProfile.from_bytes(VERSION_1.read_bytes())
    assert (profile.spec, profile.rows, profile.left_out) == (houses, 300, 1.0)
    report = profile.compare(house_rows(200, 3), DriftPolicy())
    found = {(item.column, item.test): item for item in report.findings}
    assert found["area", "ks"].statistic == pytest.approx(0.11391891891891892, abs=1e-15)
    assert found["area", "ks"].p_value == pytest.approx(0.08417045391272329, abs=1e-12)
    assert found["area", "nulls"].effect == pytest.approx(-4 / 300)
    assert found["town", "psi"].p_value == pytest.approx(0.689803307884433, abs=1e-12)
    assert found["price", "ks"].statistic == 1
    again = DriftProfile.from_bytes(profile.to_bytes())
    assert again.compare(house_rows(200, 3), DriftPolicy()) == report


def test_a_profile_says_what_it_is_and_that_it_holds_values(houses: Spec) -> None:
    frame = house_rows(300).assign(price=np.arange(300) + 2**60)
    metadata = pq.read_metadata(BytesIO(DriftProfile.fit(frame, houses).to_bytes())).metadata
    about = json.loads(metadata[b"gauntlet-drift-profile"])
    assert about["version"] == 2
    assert about["holds"] == "every value of the reference's columns; keep this file as safe as the rows themselves"
    assert [(column["name"], column["kind"]) for column in about["columns"]] == [
        ("area", "numeric"), ("price", "numeric"), ("town", "categorical"),
    ]  # fmt: skip


def test_equal_rows_give_equal_files_whatever_their_order(houses: Spec) -> None:
    frame = house_rows(500)
    frame.loc[:20, "area"] = 0.0
    frame.loc[10:30, "area"] = -0.0
    shuffled = frame.sample(frac=1, random_state=2)
    assert DriftProfile.fit(frame, houses).to_bytes() == DriftProfile.fit(shuffled, houses).to_bytes()


@pytest.mark.parametrize("change", [{"spec": "{}"}, {"columns": None}, {"columns": [["area"]]}, {"version": [2]}])
def test_a_profile_that_was_changed_is_no_profile(change: dict[str, object], houses: Spec) -> None:
    table = pq.read_table(BytesIO(DriftProfile.fit(house_rows(5), houses).to_bytes()))
    about = json.loads(table.schema.metadata[b"gauntlet-drift-profile"])
    sink = BytesIO()
    pq.write_table(table.replace_schema_metadata({"gauntlet-drift-profile": json.dumps({**about, **change})}), sink)
    with pytest.raises(DriftFileError, match="a drift profile must"):
        DriftProfile.from_bytes(sink.getvalue())


def test_a_profile_whose_columns_are_gone_is_no_profile(houses: Spec) -> None:
    table = pq.read_table(BytesIO(DriftProfile.fit(house_rows(5), houses).to_bytes()))
    sink = BytesIO()
    pq.write_table(table.drop_columns("counts_1"), sink)
    with pytest.raises(DriftFileError, match="must be a file that gauntlet wrote"):
        DriftProfile.from_bytes(sink.getvalue())
