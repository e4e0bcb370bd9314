"""The router's client, against the real router in a process of its own."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest
from tests.contract.adapters.conftest import as_role
from tests.contract.adapters.records import SPEC_TEXT
from tests.fakes import MemoryTraffic
from tests.postgres import free_port

from gauntlet.adapters.router_client import RouterClient, TrafficRefusedError
from gauntlet.domain.spec import Spec
from gauntlet.jobs.ports import ServiceAway, Traffic

ROWS = 3000


@pytest.fixture(scope="session")
def rows() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    price = rng.uniform(1, 40, ROWS).round(4)
    return pd.DataFrame({"price": price, "size": (price / 9).round(3), "kind": rng.choice(["good", "bad"], ROWS)})


@pytest.fixture(scope="session")
def router_url(
    superuser_url: str, owner_url: str, rows: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    assert owner_url
    folder = tmp_path_factory.mktemp("router")
    (folder / "specs").mkdir()
    (folder / "specs" / "things.toml").write_text(SPEC_TEXT)
    rows.to_csv(folder / "things.csv", index=False)
    port = free_port()
    settings = {
        "ROUTER_DATABASE_URL": as_role(superuser_url, "router", "gauntlet"),
        "SPECS_DIR": str(folder / "specs"),
        "DATA_ROOT": str(folder),
        "DEFAULT_SPEC": "things",
        "ROUTER_PORT": str(port),
        "ROUTER_WORKERS": "2",
        "PYTHONPATH": str(Path(__file__).parents[3] / "app"),
    }
    with (folder / "log").open("wb") as log:
        router = subprocess.Popen([sys.executable, "-m", "router"], env=os.environ | settings, stdout=log, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}"
        _wait(url, router, folder / "log")
        yield url
    finally:
        router.terminate()
        router.wait(20)


def _wait(url: str, router: "subprocess.Popen[bytes]", log: Path) -> None:
    for _ in range(200):
        try:
            if httpx.get(f"{url}/health", trust_env=False).is_success:
                return
        except httpx.TransportError:
            if router.poll() is not None:
                break
        time.sleep(0.1)
    raise RuntimeError(f"the router did not start:\n{log.read_text()}")


@pytest.fixture
def client(router_url: str) -> RouterClient:
    client = RouterClient(router_url)
    client.set_traffic("things", {"a": 0.5, "b": 0.5, "data_size": 500, "drift_cols": []})
    return client


@pytest.fixture(params=["memory", "http"])
def traffic(request: pytest.FixtureRequest, rows: pd.DataFrame) -> Traffic:
    if request.param == "http":
        client: RouterClient = request.getfixturevalue("client")
        return client
    numbered = rows.rename_axis("row_id")
    training, test = {"things": numbered.iloc[:2000]}, {"things": numbered.iloc[2000:]}
    return MemoryTraffic(training, test, data_size=500)


def test_training_rows_come_as_the_spec_has_them(traffic: Traffic, rows: pd.DataFrame) -> None:
    sample = traffic.training_rows("things", ())
    assert list(sample.frame.columns) == list(Spec.parse("things", SPEC_TEXT).columns)
    assert sample.frame.index.name == "row_id"
    assert sample.frame.index.dtype == np.int64
    assert sample.frame.index.is_unique
    assert list(sample.frame.dtypes) == list(rows.dtypes)
    assert len(sample.frame) == 500
    assert json.loads(sample.traffic) == {"a": 0.5, "b": 0.5, "data_size": 500, "drift_cols": []}


def test_test_rows_come_in_two_arms_of_the_other_pool(traffic: Traffic) -> None:
    sample = traffic.test_rows("things", ())
    assert (len(sample.a), len(sample.b)) == (250, 250)
    assert list(sample.a.columns) == list(sample.b.columns) == list(Spec.parse("things", SPEC_TEXT).columns)
    assert not set(sample.a.index) & set(sample.b.index)
    assert not set(sample.a.index) & set(traffic.training_rows("things", ()).frame.index)


def test_columns_drift_for_one_call_only(traffic: Traffic) -> None:
    drifted = traffic.training_rows("things", ["size"])
    assert json.loads(drifted.traffic)["drift_cols"] == ["size"]
    ratio = drifted.frame["price"] / drifted.frame["size"]
    assert (ratio - 9).abs().max() > 1
    after = traffic.training_rows("things", ())
    assert json.loads(after.traffic)["drift_cols"] == []
    assert (after.frame["price"] / after.frame["size"] - 9).abs().max() < 0.1


def test_the_configuration_is_read_and_changed_in_parts(client: RouterClient) -> None:
    assert client.set_traffic("things", {"data_size": 400})["data_size"] == 400
    assert client.get_traffic("things") == {"a": 0.5, "b": 0.5, "data_size": 400, "drift_cols": []}
    assert len(client.training_rows("things", ()).frame) == 400


def test_a_share_of_one_gives_an_empty_arm(client: RouterClient) -> None:
    client.set_traffic("things", {"a": 1.0, "b": 0.0})
    sample = client.test_rows("things", ())
    assert (len(sample.a), len(sample.b)) == (500, 0)
    assert list(sample.b.columns) == list(sample.a.columns)


def test_the_routers_rules_are_told_in_its_words(client: RouterClient) -> None:
    with pytest.raises(TrafficRefusedError) as info:
        client.set_traffic("things", {"drift_cols": ["colour"]})
    assert str(info.value).startswith('drift_cols must name columns of the data; found "colour". ')
    with pytest.raises(TrafficRefusedError, match="colour"):
        client.training_rows("things", ["colour"])
    with pytest.raises(TrafficRefusedError, match="nothings"):
        client.training_rows("nothings", ())


def test_a_router_that_comes_late_is_waited_for(router_url: str) -> None:
    port = free_port()
    client = RouterClient(f"http://127.0.0.1:{port}", patience=10)
    relay = threading.Timer(0.5, _relay, args=(port, router_url))
    relay.start()
    assert client.get_traffic("things")["a"] == 0.5
    relay.join(10)


def _relay(port: int, router_url: str) -> None:
    """Serve one request on the port, with the router's own answer."""

    class Relay(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = httpx.get(f"{router_url}{self.path}", trust_env=False).content
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            self.close_connection = True

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", port), Relay) as server:
        server.handle_request()


def test_a_router_that_is_away_is_told_with_a_remedy() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(ServiceAway) as info:
        RouterClient(url, patience=0.3).training_rows("things", ())
    assert str(info.value).startswith(f"the router must answer at {url}; found ")
    assert str(info.value).endswith("Start the stack, or correct FLASK_URL.")


def test_another_program_at_its_address_is_told(mlflow_uri: str) -> None:
    client = RouterClient(mlflow_uri)
    for ask in (lambda: client.get_traffic("things"), lambda: client.training_rows("things", ())):
        with pytest.raises(ServiceAway, match=f"the router must answer at {mlflow_uri}; found status"):
            ask()
