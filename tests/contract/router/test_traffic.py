"""GET and POST /traffic: the configuration, its start, its changes, its keeping."""

from typing import Any

import pytest
from flask.testing import FlaskClient
from tests.contract.router.harness import execute

from router.app import create_app
from router.catalogue import Catalogue
from router.settings import Settings

START = {"a": 0.5, "b": 0.5, "data_size": 5000, "drift_cols": []}


def test_start(client: FlaskClient) -> None:
    assert client.get("/traffic").get_json() == START


def test_start_of_a_small_data_set_is_its_smaller_pool(client: FlaskClient) -> None:
    size = client.get("/traffic?spec=fair").get_json()["data_size"]
    assert size < 5000
    assert client.get(f"/ab_data?spec=fair&data_size={size}").status_code == 200
    assert client.get(f"/ab_data?spec=fair&data_size={size + 1}").status_code == 400


def test_a_whole_change_is_answered_and_kept(client: FlaskClient) -> None:
    body = {"a": 0.7, "b": 0.3, "data_size": 1000, "drift_cols": ["carat", "clarity"]}
    assert client.post("/traffic", json=body).get_json() == {"status": "updated", "traffic": body}
    assert client.get("/traffic").get_json() == body


@pytest.mark.parametrize(
    ("body", "changed"),
    [
        ({"a": 0.7}, {"a": 0.7, "b": 0.3}),
        ({"b": 1}, {"a": 0.0, "b": 1.0}),
        ({"data_size": 10}, {"data_size": 10}),
        ({"drift_cols": ["price"]}, {"drift_cols": ["price"]}),
        ({"seed": 0}, {"seed": 0}),
        ({"drift": {"carat": {"kind": "noise"}}}, {"drift": {"carat": {"kind": "noise", "sd": 0.5}}}),
        ({"drift": {"cut": {"kind": "nulls", "share": 1}}}, {"drift": {"cut": {"kind": "nulls", "share": 1.0}}}),
        ({"drift": {}}, {}),
        ({"drift": None, "seed": None}, {}),
    ],
)
def test_what_is_not_sent_stays(client: FlaskClient, body: dict[str, Any], changed: dict[str, Any]) -> None:
    assert client.post("/traffic", json=body).get_json()["traffic"] == START | changed
    assert client.get("/traffic").get_json() == START | changed


def test_null_clears_seed_and_drift(client: FlaskClient) -> None:
    client.post("/traffic", json={"seed": 7, "drift": {"carat": {"kind": "shift"}}})
    client.post("/traffic", json={"seed": None, "drift": None})
    assert client.get("/traffic").get_json() == START


def test_each_spec_has_its_own_traffic(client: FlaskClient) -> None:
    client.post("/traffic?spec=fair", json={"data_size": 10, "drift_cols": ["religious"]})
    assert client.get("/traffic?spec=fair").get_json()["data_size"] == 10
    assert client.get("/traffic").get_json() == START


def test_a_restart_keeps_the_traffic(client: FlaskClient, settings: Settings, catalogue: Catalogue) -> None:
    client.post("/traffic", json={"a": 0.9, "seed": 3})
    again = create_app(settings, catalogue).test_client()
    assert again.get("/traffic").get_json() == START | {"a": 0.9, "b": 0.1, "seed": 3}


def test_stored_traffic_that_no_longer_fits_is_said_and_can_be_mended(client: FlaskClient, superuser: str) -> None:
    stored = """insert into router.traffic (spec, config) values
        ('diamonds', '{"a": 0.5, "b": 0.5, "data_size": 99999999, "drift_cols": ["gone"]}')"""
    execute(f"{superuser.rpartition('/')[0]}/routing", stored)
    answer = client.get("/get_data")
    assert answer.status_code == 409
    assert answer.get_json()["error"].startswith("The stored traffic no longer fits the data: ")
    assert "gone" in answer.get_json()["found"]
    assert client.post("/traffic", json={"data_size": 10, "drift_cols": []}).status_code == 200
    assert client.get("/get_data").status_code == 200


def test_a_stored_size_follows_data_that_shrank(client: FlaskClient, superuser: str) -> None:
    stored = """insert into router.traffic (spec, config) values
        ('diamonds', '{"a": 0.5, "b": 0.5, "data_size": 99999999, "drift_cols": []}')"""
    execute(f"{superuser.rpartition('/')[0]}/routing", stored)
    size = client.get("/traffic").get_json()["data_size"]
    assert len(client.get("/get_data").get_json()["index"]) == size < 99999999


def test_without_the_database_it_says_so_and_recovers(superuser: str, client: FlaskClient) -> None:
    server = superuser.rpartition("/")[0]
    assert client.get("/health").status_code == 200
    execute(superuser, "alter database routing allow_connections false")
    try:
        execute(superuser, "select pg_terminate_backend(pid) from pg_stat_activity where datname = 'routing'")
        for path in ("/traffic", "/get_data", "/ab_data", "/health"):
            answer = client.get(path)
            assert answer.status_code == 503
            assert set(answer.get_json()) == {"error", "found", "remedy"}
        assert "The database must answer" in client.get("/").text
    finally:
        execute(superuser, "alter database routing allow_connections true")
    assert client.get("/traffic").status_code == 200
    # A restart of Postgres ends every kept connection; the next request must not notice.
    execute(f"{server}/postgres", "select pg_terminate_backend(pid) from pg_stat_activity where datname = 'routing'")
    assert client.get("/traffic").status_code == 200


def test_the_page_shows_it_all(client: FlaskClient) -> None:
    client.post("/traffic", json={"a": 0.7, "drift": {"carat": {"kind": "noise", "sd": 2}}})
    page = client.get("/")
    assert page.mimetype == "text/html"
    for text in ("Price of a diamond", "16,168", "/get_data", "/metrics", "&#34;sd&#34;: 2.0", "?spec=fair", "curl"):
        assert text in page.text
    assert "http://localhost/traffic" in page.text
    assert "src=" not in page.text


def test_metrics_count_requests(client: FlaskClient) -> None:
    client.get("/get_data?data_size=7")
    client.get("/nowhere")
    text = client.get("/metrics").text
    assert 'router_requests_total{endpoint="/get_data",method="GET",status="200"}' in text
    assert 'router_requests_total{endpoint="unknown",method="GET",status="404"}' in text
    assert 'router_rows_total{endpoint="/get_data",spec="diamonds"}' in text
