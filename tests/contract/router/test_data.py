"""GET and POST /get_data and /ab_data: which rows, in which form, drifted how."""

import io
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from flask.testing import FlaskClient
from tests.contract.router.harness import ROOT
from werkzeug.test import TestResponse

from router.answers import ARROW
from router.catalogue import Catalogue
from router.drift import KINDS
from router.specs import data_path

COLUMNS = ["carat", "cut", "color", "clarity", "depth", "table", "price", "x", "y", "z"]
NUMBERS = [name for name in COLUMNS if name not in {"cut", "color", "clarity"}]


def frame(split: dict[str, Any]) -> pd.DataFrame:
    assert list(split) == ["index", "columns", "data"]
    return pd.DataFrame(split["data"], index=split["index"], columns=split["columns"])


def rows(client: FlaskClient, **options: object) -> pd.DataFrame:
    answer = client.post("/get_data", json={"data_size": 4000, "seed": 11, **options})
    assert answer.status_code == 200
    return frame(answer.get_json())


def drifted(client: FlaskClient, drift: dict[str, object]) -> tuple[pd.DataFrame, pd.DataFrame]:
    plain = rows(client)
    assert client.post("/traffic", json={"drift": drift}).status_code == 200
    after = rows(client)
    assert plain.index.equals(after.index)
    return plain, after


def arrow(answer: TestResponse) -> pa.Table:
    assert answer.mimetype == ARROW
    return pa.ipc.open_stream(answer.data).read_all()


def test_split_json_reads_with_pandas(client: FlaskClient) -> None:
    read = pd.read_json(io.StringIO(client.get("/get_data").text), orient="split")
    assert list(read.columns) == COLUMNS
    assert len(read) == 5000
    assert read.index.is_unique
    assert read["price"].dtype == np.int64


def test_rows_are_those_of_the_file(client: FlaskClient, catalogue: Catalogue) -> None:
    dataset = catalogue.get("diamonds")
    asked = frame(client.get("/get_data?data_size=500").get_json())
    source = pd.read_csv(data_path(dataset.spec.data, ROOT)).set_index(dataset.row_ids)
    pd.testing.assert_frame_equal(asked, source.loc[asked.index], check_dtype=False)


def test_pools_are_disjoint_and_without_replacement(client: FlaskClient, catalogue: Catalogue) -> None:
    dataset = catalogue.get("diamonds")
    size = dataset.smaller_pool
    ab = client.get(f"/ab_data?data_size={size}").get_json()
    tested = {*ab["a_data"]["index"], *ab["b_data"]["index"]}
    assert len(tested) == size
    assert tested == set(dataset.row_ids[dataset.ab])
    trained = set(client.get(f"/get_data?data_size={size}").get_json()["index"])
    assert len(trained) == size
    assert trained <= set(dataset.row_ids[dataset.training])


@pytest.mark.parametrize(("a", "size", "first"), [(1, 7, 7), (0, 7, 0), (0.57, 100, 57), (0.29, 100, 29), (0.5, 1, 0)])
def test_shares_are_exact(client: FlaskClient, a: float, size: int, first: int) -> None:
    client.post("/traffic", json={"a": a, "data_size": size})
    body = client.get("/ab_data").get_json()
    assert [len(body[arm]["data"]) for arm in ("a_data", "b_data")] == [first, size - first]
    assert all(body[arm]["columns"] == COLUMNS for arm in ("a_data", "b_data"))
    table = arrow(client.get("/ab_data", headers={"Accept": ARROW}))
    assert table["arm"].to_pylist() == ["a"] * first + ["b"] * (size - first)


def test_seed_makes_answers_reproducible(client: FlaskClient) -> None:
    url = "/ab_data?data_size=50&drift_cols=carat,cut&seed="
    assert client.get(url + "1").data == client.get(url + "1").data != client.get(url + "2").data
    assert client.get("/get_data?data_size=50").data != client.get("/get_data?data_size=50").data


def test_query_and_body_override_for_one_request(client: FlaskClient) -> None:
    client.post("/traffic", json={"drift_cols": ["cut"], "seed": 1})
    query = client.get("/get_data?data_size=3&drift_cols=carat&drift_cols=x,y&seed=2")
    body = client.post("/get_data", json={"data_size": 3, "drift_cols": ["carat", "x", "y"], "seed": 2})
    assert query.data == body.data
    used = '"data_size":3,"drift_cols":["carat","x","y"],"seed":2}'
    assert query.headers["X-Gauntlet-Traffic"].endswith(used)
    assert client.get("/get_data?drift_cols=").headers["X-Gauntlet-Traffic"].endswith('"drift_cols":[],"seed":1}')
    assert client.get("/traffic").get_json()["drift_cols"] == ["cut"]
    assert client.post("/ab_data").status_code == 200


@pytest.mark.parametrize("path", ["/get_data", "/ab_data"])
@pytest.mark.parametrize("drift_cols", ["", "carat,clarity", "price,cut,z"])
def test_arrow_equals_json(client: FlaskClient, path: str, drift_cols: str) -> None:
    client.post("/traffic", json={"drift": {"depth": {"kind": "nulls"}, "color": {"kind": "nulls"}}})
    url = f"{path}?data_size=300&seed=5&drift_cols={drift_cols}"
    table = arrow(client.get(url, headers={"Accept": f"{ARROW}, application/json"}))
    plain = client.get(url)
    assert (table.schema.metadata or {})[b"traffic"].decode() == plain.headers["X-Gauntlet-Traffic"]
    body = plain.get_json()
    parts = [body] if path == "/get_data" else [body["a_data"], body["b_data"]]
    assert table["row_id"].to_pylist() == [each for part in parts for each in part["index"]]
    cells = zip(*(table[name].to_pylist() for name in COLUMNS), strict=True)
    assert [list(row) for row in cells] == [row for part in parts for row in part["data"]]


@pytest.mark.parametrize("accept", ["*/*", "application/json", f"{ARROW};q=0.1, application/json", "text/html", ""])
def test_json_unless_arrow_is_preferred(client: FlaskClient, accept: str) -> None:
    assert client.get("/get_data?data_size=1", headers={"Accept": accept}).mimetype == "application/json"


@pytest.mark.parametrize("name", NUMBERS)
def test_drift_cols_multiplies_half_of_the_numbers(client: FlaskClient, name: str) -> None:
    plain, after = rows(client), rows(client, drift_cols=[name])
    changed = plain[name].ne(after[name]) | plain[name].eq(0)
    assert plain.drop(columns=name).equals(after.drop(columns=name))
    assert changed.sum() in range(1998, 2030)
    factors = (after[name] / plain[name])[changed].dropna()
    assert 0.1 <= factors.min() < 0.15 < 1.9 < factors.max() < 2.0
    assert factors.mean() == pytest.approx(1.05, abs=0.05)
    assert after[name].dtype == np.float64


@pytest.mark.parametrize("name", ["cut", "color", "clarity"])
def test_drift_cols_chooses_categories_at_random(client: FlaskClient, name: str) -> None:
    plain, after = rows(client), rows(client, drift_cols=[name])
    assert plain.drop(columns=name).equals(after.drop(columns=name))
    shares = after[name].value_counts(normalize=True)
    assert set(shares.index) == set(plain[name])
    assert shares.to_numpy() == pytest.approx(1 / len(shares), abs=0.03)


def test_the_spec_admits_what_drift_makes(client: FlaskClient) -> None:
    after = rows(client, drift_cols=COLUMNS)
    plain = rows(client)
    assert after["carat"].between(0.02, 10.02).all()
    possible = (plain[["x", "y", "z"]] > 0).all(axis=1)
    assert (after.loc[possible, "z"].between(0.1, 16.12)).all()


def test_noise_scale_and_shift(client: FlaskClient, catalogue: Catalogue) -> None:
    sd = {name: column.sd for name, column in catalogue.get("diamonds").driftable.items() if column.numeric}
    plain, after = drifted(
        client,
        {"x": {"kind": "noise", "sd": 2}, "y": {"kind": "scale", "factor": 3}, "price": {"kind": "shift", "by": -1}},
    )
    noise = (after["x"] - plain["x"]) / sd["x"]
    assert noise.mean() == pytest.approx(0, abs=0.15)
    assert noise.std() == pytest.approx(2, abs=0.1)
    np.testing.assert_allclose(after["y"], plain["y"] * 3)
    np.testing.assert_allclose(after["price"], plain["price"] - sd["price"])


def test_mix_and_nulls(client: FlaskClient) -> None:
    plain, after = drifted(
        client,
        {
            "carat": {"kind": "mix", "share": 0.25},
            "cut": {"kind": "mix", "share": 1},
            "color": {"kind": "nulls", "share": 0.2},
            "price": {"kind": "nulls", "share": 0.5},
        },
    )
    changed = plain["carat"].ne(after["carat"]).sum()
    assert 900 < changed <= 1000
    assert after["cut"].value_counts(normalize=True).to_numpy() == pytest.approx(0.2, abs=0.03)
    assert after["color"].isna().sum() == 800
    assert after["price"].isna().sum() == 2000


def test_every_kind_stands_on_the_page(client: FlaskClient) -> None:
    page = client.get("/").text
    assert all(kind.meaning in page for kind in KINDS.values())


def test_drift_and_drift_cols_work_on_one_column(client: FlaskClient) -> None:
    plain, after = drifted(client, {"carat": {"kind": "scale", "factor": 10}})
    both = rows(client, drift_cols=["carat"])
    np.testing.assert_allclose(after["carat"], plain["carat"] * 10)
    assert 1900 < both["carat"].ne(after["carat"]).sum() <= 2000


@pytest.mark.parametrize("spec", ["randhie", "fair", "health"])
def test_other_data_sets_are_served(client: FlaskClient, catalogue: Catalogue, spec: str) -> None:
    dataset = catalogue.get(spec)
    for path in ("/get_data", "/ab_data"):
        table = arrow(client.get(f"{path}?spec={spec}&data_size=1000", headers={"Accept": ARROW})).to_pandas()
        assert list(table.columns) == ["row_id", *(["arm"] if path == "/ab_data" else []), *dataset.names]
        for name, categories in dataset.spec.categorical.items():
            assert set(table[name]) <= set(categories)
