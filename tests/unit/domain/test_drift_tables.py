"""The same rows in any kind of table give the same report."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gauntlet.domain.drift import DriftPolicy, DriftProfile
from gauntlet.domain.drift_samples import CategoricalSample
from gauntlet.domain.rows import RowsError
from gauntlet.domain.spec import Spec

from .conftest import HOUSES, house_rows

POLICY = DriftPolicy()


def structured(frame: pd.DataFrame) -> Any:
    """A numpy structured array; it has no way to say that text is missing."""
    array = np.empty(len(frame), dtype=[("area", "f8"), ("town", "U9"), ("price", "f8")])
    for name in array.dtype.names or ():
        array[name] = frame[name].to_numpy()
    return array


TABLES: dict[str, Any] = {
    "pyarrow": lambda frame: pa.Table.from_pandas(frame, preserve_index=False),
    "pyarrow in parts": lambda frame: pa.concat_tables(
        [pa.Table.from_pandas(part, preserve_index=False) for part in (frame[:100], frame[100:])]
    ),
    "pyarrow dictionary": lambda frame: pa.Table.from_pandas(frame.astype({"town": "category"}), preserve_index=False),
    "structured": structured,
    "arrays": lambda frame: {name: frame[name].to_numpy() for name in frame},
    "arrays of objects": lambda frame: {name: frame[name].to_numpy(dtype=object) for name in frame},
    "strided": lambda frame: pd.DataFrame(frame.to_numpy(dtype=object), columns=frame.columns),
    "category": lambda frame: frame.astype({"town": "category"}),
    "object": lambda frame: frame.astype({"town": object}),
    "nullable": lambda frame: frame.astype({"area": "Float64", "price": "Float64"}),
    "arrow dtypes": lambda frame: frame.convert_dtypes(dtype_backend="pyarrow"),
}


@pytest.mark.parametrize("kind", TABLES)
@pytest.mark.parametrize("rows", [300, 30_000])
def test_every_kind_of_table_gives_the_same_report(kind: str, rows: int, houses: Spec) -> None:
    reference, current = house_rows(rows), house_rows(rows - 50, seed=1)
    current["price"] *= 1.5
    expected = DriftProfile.fit(reference, houses)
    report = expected.compare(current, POLICY)
    assert report.drifted_columns == ("price",)
    profile = DriftProfile.fit(TABLES[kind](reference), houses)
    assert profile.to_bytes() == expected.to_bytes()
    assert profile.compare(TABLES[kind](current), POLICY) == report


@pytest.mark.parametrize("kind", [kind for kind in TABLES if kind != "structured"])
def test_missing_values_are_missing_in_every_kind_of_table(kind: str, houses: Spec) -> None:
    reference, current = house_rows(300), house_rows(280, seed=1)
    current.loc[current.index[:90], "town"] = None
    current.loc[current.index[40:70], "area"] = None
    report = DriftProfile.fit(reference, houses).compare(current, POLICY)
    assert {"area", "town", "(rows)"} <= set(report.drifted_columns)
    assert DriftProfile.fit(TABLES[kind](reference), houses).compare(TABLES[kind](current), POLICY) == report


@settings(max_examples=25, deadline=None)
@given(data=st.data(), kind=st.sampled_from(sorted(set(TABLES) - {"structured", "pyarrow in parts"})))
def test_any_values_give_the_same_report(data: st.DataObject, kind: str) -> None:
    houses = Spec.parse("houses", HOUSES)
    numbers = st.none() | st.floats() | st.integers(-5, 5).map(float)
    texts = st.none() | st.sampled_from(["Ulm", "Bern", "Graz", "", "Köln", "\U0001f3e0"])

    def drawn() -> pd.DataFrame:
        rows = data.draw(st.integers(1, 30))

        def column(values: st.SearchStrategy[Any], dtype: Any) -> Any:
            return pd.Series(data.draw(st.lists(values, min_size=rows, max_size=rows)), dtype=dtype)

        return pd.DataFrame(
            {
                "area": column(numbers, "float64"),
                "town": column(texts, "str"),
                "price": column(numbers, "float64"),
            }
        )

    reference, current = drawn(), drawn()
    expected = DriftProfile.fit(reference, houses).compare(current, POLICY)
    assert DriftProfile.fit(TABLES[kind](reference), houses).compare(TABLES[kind](current), POLICY) == expected


def test_whole_numbers_with_gaps_stay_whole(houses: Spec) -> None:
    values = [2**60, 2**60 + 1, None] * 100
    apart = [2**60 + 2, 2**60 + 3, None] * 100
    town = ["Ulm"] * 300
    tables: list[Callable[[list[int | None]], Any]] = [
        lambda prices: pa.table({"area": [1.0] * 300, "town": town, "price": pa.array(prices, pa.int64())}),
        lambda prices: pd.DataFrame({"area": 1.0, "town": town, "price": pd.Series(prices, dtype="Int64")}),
    ]
    for make in tables:
        found = DriftProfile.fit(make(values), houses).compare(make(apart), POLICY).findings
        assert [item.statistic for item in found if (item.column, item.test) == ("price", "ks")] == [1.0]


def test_bytes_as_numpy_reads_them_from_files_are_text(houses: Spec) -> None:
    frame = house_rows(300)
    arrays = {name: frame[name].to_numpy() for name in frame}
    profile = DriftProfile.fit({**arrays, "town": frame["town"].to_numpy().astype("S9")}, houses)
    assert profile.to_bytes() == DriftProfile.fit(frame, houses).to_bytes()


def test_the_number_of_threads_says_nothing(houses: Spec) -> None:
    reference, current = house_rows(100_000), house_rows(100_000, seed=1)
    one, four = (DriftProfile.fit(reference, houses, threads=threads) for threads in (1, 4))
    assert one.to_bytes() == four.to_bytes()
    assert one.compare(current, POLICY, threads=1) == four.compare(current, POLICY, threads=4)


def test_a_profile_keeps_no_part_of_its_reference(houses: Spec) -> None:
    frame = house_rows(30_000)
    arrays = {name: frame[name].to_numpy(copy=True) for name in frame}
    profile = DriftProfile.fit(arrays, houses)
    arrays["area"][:] = 20.0
    assert not profile.compare(frame, POLICY).drifted


def test_doubled_and_added_columns_of_an_arrow_table_are_findings(houses: Spec) -> None:
    table = TABLES["pyarrow"](house_rows(100))
    current = table.append_column("town", table["town"]).append_column("owner", table["town"])
    profile = DriftProfile.fit(table, houses)
    assert profile.compare(current, POLICY).drifted_columns == ("town", "owner")
    with pytest.raises(RowsError, match="doubled: town"):
        DriftProfile.fit(current, houses)


def test_what_is_no_table_is_refused(houses: Spec) -> None:
    with pytest.raises(TypeError, match=r"a table must be a pandas DataFrame, .*; got list\."):
        DriftProfile.fit([1, 2], houses)
    with pytest.raises(ValueError, match=r"columns must be of one length; got 1, 2 rows\."):
        DriftProfile.fit({"area": [1.0], "town": ["Ulm", "Ulm"], "price": [1.0]}, houses)


@pytest.mark.parametrize(
    ("values", "counts", "missing", "misfits"),
    [
        (pd.Series(pd.Categorical([1, 1.5, 1, None], categories=[1, 1.5, 7])), {"1": 2, "1.5": 1}, 1, 0),
        (pd.Series([1, "1", 1.0, None, [2], True], dtype=object), {"1": 3, "True": 1}, 1, 1),
        (pd.Series([1.0, np.nan, -0.0, 0.0, np.inf]), {"0": 2, "1": 1, "inf": 1}, 1, 0),
        (pd.Series([True, False, True]), {"False": 1, "True": 2}, 0, 0),
        (pd.Series([3, None, 3], dtype="Int64"), {"3": 2}, 1, 0),
        (pd.Series([pd.Timestamp("2024-01-01"), pd.NaT]), {}, 1, 1),
        (pd.Series(["a", b"a", "\ud800"], dtype=object), {"a": 1}, 0, 2),
        (pd.Series([None, None], dtype=object), {}, 2, 0),
    ],
)
def test_categories_of_any_type(values: Any, counts: dict[str, int], missing: int, misfits: int) -> None:
    sample = CategoricalSample.read(values)
    assert (sample.counts, sample.missing, sample.misfits) == (counts, missing, misfits)
