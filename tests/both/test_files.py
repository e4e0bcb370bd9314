"""Files on the real stack: one trains the first model, others are scored, once each, and nobody loses one.

The tests follow each other: what one leaves behind the next one starts from. The first one needs a stack on which
nobody has trained the spec, so that the examples, which do, come after this file by their name.
"""

import io
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import httpx
import pandas as pd
import psycopg2
import pytest
from tests.driver import Driver

from gauntlet.bootstrap.marts import mart_url
from gauntlet.bootstrap.wiring import object_store

SPEC = "health"
TRAIN, PREDICT = f"train_pipeline__{SPEC}", f"predict_pipeline__{SPEC}"
ROWS = 3000
COUNTS = """
select (select count(*) from mart.batch where kind = 'predict' and status = 'done'),
       (select count(*) from mart.health_output), (select count(*) from mart.rejected_row)
"""
TRAINED = "select training.version, batch.read from mart.training join mart.batch on batch.id = batch_id"
SHOWN = """
select row_number, mdvis, prediction, model_version, verdict, input_uri
from mart.health_prediction order by batch_id, row_number limit 3
"""


class Airflow:
    """Airflow's REST interface, as a program of somebody else uses it."""

    def __init__(self, driver: Driver) -> None:
        settings = driver.settings
        url, user = str(settings.airflow_url), settings.airflow_admin_user
        self._http = httpx.Client(base_url=url, timeout=30, trust_env=False)
        login = {"username": user, "password": settings.secret("airflow_admin_password")}
        token = self._http.post("/auth/token", json=login).raise_for_status().json()["access_token"]
        self._http.headers["Authorization"] = f"Bearer {token}"

    def call(self, method: str, path: str, **request: Any) -> Any:
        return self._http.request(method, f"/api/v2{path}", **request).raise_for_status().json()

    def runs(self, dag: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.call("GET", f"/dags/{dag}/dagRuns", params={"order_by": "id"})["dag_runs"]
        return found

    @contextmanager
    def on(self, *dags: str) -> Iterator[None]:
        """Turn DAGs on, and let runs that start by that end before anything else happens."""
        for dag in dags:
            self.call("PATCH", f"/dags/{dag}", json={"is_paused": False})
        try:
            for dag in dags:
                due = self.call("GET", f"/dags/{dag}")["next_dagrun_run_after"]
                if dag != "watch_files" and due and pd.Timestamp(due) <= pd.Timestamp.now("UTC"):
                    self.next_run(dag, 0)
            yield
        finally:
            for dag in dags:
                self.call("PATCH", f"/dags/{dag}", json={"is_paused": True})

    def next_run(self, dag: str, known: int, seconds: float = 180) -> dict[str, Any]:
        """Wait for the end of the run after the first `known` ones."""
        deadline = time.monotonic() + seconds
        while True:
            run = next(iter(self.runs(dag)[known:]), None)
            if run is not None and run["state"] in ("success", "failed"):
                return run
            assert time.monotonic() < deadline, f"no run of {dag} has ended after {seconds:.0f} s: {run}"
            time.sleep(0.5)

    def run(self, dag: str, **conf: Any) -> dict[str, Any]:
        """Start a run and wait for its end."""
        known = len(self.runs(dag))
        self.call("POST", f"/dags/{dag}/dagRuns", json={"logical_date": None, "conf": conf})
        return self.next_run(dag, known)

    def line(self, dag: str, run: dict[str, Any]) -> str:
        """The run's summary."""
        path = f"/dags/{dag}/dagRuns/{run['dag_run_id']}/taskInstances/summary/xcomEntries/return_value"
        return str(self.call("GET", path, params={"deserialize": True})["value"]["line"])

    def scored(self, dag: str, run: dict[str, Any]) -> dict[str, str]:
        """The state of each file's task."""
        tasks = self.call("GET", f"/dags/{dag}/dagRuns/{run['dag_run_id']}/taskInstances")["task_instances"]
        return {task["rendered_map_index"]: task["state"] for task in tasks if task["map_index"] >= 0}

    def events(self, asset: str) -> list[dict[str, Any]]:
        """What was told of an Asset."""
        told = self.call("GET", "/assets/events", params={"order_by": "timestamp"})["asset_events"]
        return [event["extra"] for event in told if event["name"] == asset]


@pytest.fixture(scope="module")
def airflow(driver: Driver) -> Airflow:
    airflow = Airflow(driver)
    deadline = time.monotonic() + 90
    while PREDICT not in {dag["dag_id"] for dag in airflow.call("GET", "/dags")["dags"]}:
        assert time.monotonic() < deadline, airflow.call("GET", "/importErrors")
        time.sleep(0.5)
    return airflow


@pytest.fixture(scope="module")
def rows(driver: Driver) -> pd.DataFrame:
    """Rows to predict, as the command makes them; its training file lies where train_pipeline looks."""
    driver.run("data", "make", "--spec", SPEC, "--rows", str(ROWS), "--put")
    store, key = object_store(driver.settings), f"data/{SPEC}/predict/predict-{ROWS}-0.parquet"
    with store.open(key) as opened:
        assert opened is not None
        frame = pd.read_parquet(io.BytesIO(opened.stream.read()))
    store.delete(key, pd.Timestamp.now("UTC").to_pydatetime() + pd.Timedelta(minutes=5))
    return frame


def put(driver: Driver, name: str, content: pd.DataFrame | bytes) -> None:
    """Put a file to predict onto the object store."""
    data = content if isinstance(content, bytes) else content.to_parquet(index=False)
    object_store(driver.settings).write(f"data/{SPEC}/predict/{name}", io.BytesIO(data))


def ask(driver: Driver, query: str) -> Sequence[tuple[Any, ...]]:
    with psycopg2.connect(mart_url(driver.settings)) as connection, connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchall()


def counts(driver: Driver) -> tuple[Any, ...]:
    """Batches that are done, and rows of the marts."""
    return ask(driver, COUNTS)[0]


@pytest.mark.usefixtures("rows")  # the training file comes with them
def test_a_training_file_makes_the_first_model(driver: Driver, airflow: Airflow) -> None:
    with airflow.on(TRAIN):
        first = airflow.run(TRAIN)
        assert first["state"] == "success"
        again = airflow.run(TRAIN)
    [entry] = driver.json("history", "--spec", SPEC, "--json")
    assert (entry["verdict"], entry["challenger"], entry["reason"]) == ("PROMOTE", 1, "first model")
    assert airflow.events(f"{SPEC}_production") == [{}]
    assert ask(driver, TRAINED) == [(1, ROWS)]
    assert again["state"] == "success"  # and nothing new was trained
    assert len(driver.json("history", "--spec", SPEC, "--json")) == 1


def test_a_file_is_scored_into_the_marts_and_into_a_file(driver: Driver, airflow: Airflow, rows: pd.DataFrame) -> None:
    given, store = rows[:1000].assign(note="mine"), object_store(driver.settings)
    put(driver, "a.parquet", given)
    with airflow.on(PREDICT):
        first = airflow.runs(PREDICT)[-1]  # the day's, which turning on has started
    assert airflow.line(PREDICT, first) == "v1 (production): 1 file scored, 1,000 rows."

    shown = ask(driver, SHOWN)
    assert [row[0] for row in shown] == [1, 2, 3]
    assert [row[1] for row in shown] == given["mdvis"].head(3).tolist()
    assert {row[2] for row in shown} <= {"0", "1"}
    assert {row[3:] for row in shown} == {(1, "PROMOTE", f"{store.root}/data/{SPEC}/predict/a.parquet")}
    [(uri,)] = ask(driver, "select output_uri from mart.batch where kind = 'predict' and spec = 'health'")
    with store.open(uri.removeprefix(f"{store.root}/")) as opened:
        assert opened is not None
        written = pd.read_parquet(io.BytesIO(opened.stream.read()))
    pd.testing.assert_frame_equal(written[given.columns.tolist()], given.reset_index(drop=True))
    added = ["row_id", "prediction", "probability_0", "probability_1"]
    assert set(written) - set(given) == {*added, "model_name", "model_version", "run_id", "input_uri", "input_sha256"}
    assert written["prediction"].head(3).tolist() == [row[2] for row in shown]


def test_again_nothing_is_doubled(driver: Driver, airflow: Airflow) -> None:
    before, told = counts(driver), airflow.events(f"{SPEC}_scores")
    with object_store(driver.settings).open(f"data/{SPEC}/predict/a.parquet") as opened:
        assert opened is not None
        put(driver, "copy-of-a.parquet", opened.stream.read())
    with airflow.on(PREDICT):
        copied, quiet = airflow.run(PREDICT), airflow.run(PREDICT)
    assert airflow.line(PREDICT, copied) == "v1 (production): 0 files scored, 1 scored before, 0 rows."
    assert airflow.line(PREDICT, quiet) == "nothing new for v1 (production)."
    assert counts(driver) == before
    assert airflow.events(f"{SPEC}_scores") == told


def test_a_bad_file_makes_the_run_red_and_the_others_are_scored(
    driver: Driver, airflow: Airflow, rows: pd.DataFrame
) -> None:
    broken = rows[1000:1100].reset_index(drop=True)
    broken.loc[3, "mdvis"] = -1.0
    put(driver, "bad.parquet", b"no parquet at all")
    put(driver, "good.parquet", broken)
    done, scored, rejected = counts(driver)
    with airflow.on(PREDICT):
        run = airflow.run(PREDICT)
        assert run["state"] == "failed"
        assert airflow.scored(PREDICT, run) == {"bad.parquet": "failed", "good.parquet": "success"}
        assert airflow.run(PREDICT)["state"] == "success"  # what was refused waits for a person
    assert counts(driver) == (done + 1, scored + 99, rejected + 1)
    [(number, reasons)] = ask(driver, "select row_number, reasons from mart.rejected_row")
    assert number == 4
    assert "mdvis" in reasons


def test_a_file_that_arrives_is_scored_by_itself_and_nothing_happens_without_one(
    driver: Driver, airflow: Airflow, rows: pd.DataFrame
) -> None:
    known, told = len(airflow.runs(PREDICT)), len(airflow.events(f"{SPEC}_scores"))
    with airflow.on(PREDICT, "watch_files"):
        put(driver, "arrived.parquet", rows[1100:1200])
        run = airflow.next_run(PREDICT, known)
        looks = len(airflow.runs("watch_files"))
        airflow.next_run("watch_files", looks)
        assert len(airflow.runs(PREDICT)) == known + 1
    assert (run["run_type"], run["state"]) == ("asset_triggered", "success")
    assert airflow.line(PREDICT, run) == "v1 (production): 1 file scored, 100 rows."
    assert airflow.events(f"{SPEC}_scores")[told:][0]["rows"] == 100


def test_a_backfill_scores_the_files_of_past_days(driver: Driver, airflow: Airflow, rows: pd.DataFrame) -> None:
    for day, first in (("2026-11-17", 1200), ("2026-11-18", 1300), ("2026-11-19", 1400)):
        put(driver, f"{day}/rows.parquet", rows[first : first + 100])
    known = len(airflow.runs(PREDICT))
    asked = {"dag_id": PREDICT, "from_date": "2026-11-17T00:00:00Z", "to_date": "2026-11-18T00:00:00Z"}
    airflow.call("PATCH", f"/dags/{PREDICT}", json={"is_paused": False})
    airflow.call("POST", "/backfills", json=asked)
    runs = [airflow.next_run(PREDICT, known), airflow.next_run(PREDICT, known + 1)]
    airflow.call("PATCH", f"/dags/{PREDICT}", json={"is_paused": True})
    assert {run["run_type"] for run in runs} == {"backfill"}
    found = {run["data_interval_start"][:10]: airflow.scored(PREDICT, run) for run in runs}
    assert found == {day: {f"{day}/rows.parquet": "success"} for day in ("2026-11-17", "2026-11-18")}
    waiting = "select uri from mart.batch where uri like '%2026-11-19%'"
    assert ask(driver, waiting) == []


def test_everything_agrees_and_can_be_repeated(driver: Driver) -> None:
    assert driver.json("verify", "--spec", SPEC, "--json")["ok"]
    [(number,)] = ask(driver, "select max(id) from mart.batch where kind = 'predict' and status = 'done'")
    again = driver.json("reproduce", str(number), "--json")
    assert again["equal"], again
