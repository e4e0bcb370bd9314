"""The main job on the real stack: the four acts, other data, two runs at once, and a person who moves the alias."""

import re
import time
from typing import Any

import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient
from tests.driver import Driver

from gauntlet import bootstrap
from gauntlet.domain import rows
from gauntlet.domain.drift import DriftPolicy, DriftProfile
from gauntlet.jobs.acts import turned_on
from gauntlet.jobs.flow import FLOW, Step, start
from gauntlet.jobs.pipeline import TASKS
from gauntlet.jobs.run import StepResult


def test_the_demo_plays_four_acts_and_leaves_everything_in_agreement(driver: Driver) -> None:
    before = driver.json("traffic", "--json")
    shown = driver.run("demo").stdout

    assert [act for act in ("Act 1", "Act 2", "Act 3", "Act 4") if act not in shown] == []
    assert driver.json("traffic", "--json") == before
    acts = shown.split("\nAct ")
    assert re.search(r"drift in [^;]*carat[^;]*clarity", acts[3])
    # two in a hundred samples without drift look as if there were some, and a challenger is trained and tested
    alarm = re.search(r"=> drift in .*; (PROMOTE|KEEP|INCONCLUSIVE)", acts[2])
    assert alarm or "no drift in 10 columns on 5,000 rows; champion v1 stays" in acts[2]
    first, *middle, drift, _ = reversed(driver.json("history", "--json", "--spec", "diamonds"))
    assert (first["verdict"], first["challenger"], first["reason"]) == ("PROMOTE", 1, "first model")
    assert first["champion"] is None
    assert len(middle) == (1 if alarm else 0)
    assert drift["verdict"] == "PROMOTE", drift["reason"]
    assert drift["interval"][1] < 0
    assert drift["rows"] > 4900
    _assert_ledger_and_registry_agree(driver)


def test_a_notebook_loads_the_champion_in_three_lines(driver: Driver) -> None:
    mlflow.set_tracking_uri(driver.settings.mlflow_tracking_uri)
    champion = mlflow.sklearn.load_model("models:/gauntlet@production")
    sample = bootstrap.router(driver.settings).test_rows("diamonds", []).a

    price = champion.predict(sample.drop(columns="price"))
    assert np.corrcoef(price, sample["price"])[0, 1] > 0.8


def test_mlflow_shows_the_training_the_drift_reports_and_the_comparison(driver: Driver) -> None:
    client = MlflowClient(driver.settings.mlflow_tracking_uri)
    promoted = driver.json("history", "--json", "--spec", "diamonds")[1]  # by the third act
    old, new = str(promoted["champion"]), str(promoted["challenger"])
    version = client.get_model_version("gauntlet", new)
    assert version.run_id is not None
    parent = client.get_run(version.run_id)
    assert {"snapshot_uri", "snapshot_sha256"} <= set(parent.data.params)
    assert {item.path for item in client.list_artifacts(version.run_id)} >= {
        "snapshot.parquet",
        "drift_profile.parquet",
    }
    children = client.search_runs([parent.info.experiment_id], f"tags.mlflow.parentRunId = '{parent.info.run_id}'")
    assert len(children) == 4
    for child in children:
        assert {"mae", "rmse", "r2"} <= set(child.data.metrics)
        assert len(client.list_artifacts(child.info.run_id)) >= 2
    compared = _experiment_runs(client, "gauntlet-comparison")[f"prod_v{old}_vs_stg_v{new}"]
    wanted = {
        "traffic_info",
        "prod_model_version",
        "prod_model_id",
        "stg_model_version",
        "stg_model_id",
        "new_prod_model",
    }
    assert wanted | {"verdict"} <= set(compared.data.params)
    assert compared.data.params["new_prod_model"] == new
    assert {"a_mae", "a_rmse", "a_r2", "b_mae", "b_rmse", "b_r2", "effect"} <= set(compared.data.metrics)
    assert {item.path for item in client.list_artifacts(compared.info.run_id)} >= {"a_data.json", "b_data.json"}


def test_the_demo_again_says_what_differs(driver: Driver) -> None:
    shown = driver.run("demo").stdout
    assert "this act is done already" in shown
    _assert_ledger_and_registry_agree(driver)


@pytest.mark.parametrize("spec", ["randhie", "fair"])
def test_another_data_set_runs_the_whole_loop_on_its_own(driver: Driver, spec: str) -> None:
    driver.run("run", "--spec", spec)
    driver.run("run", "--spec", spec, "--force-retrain")

    second, first = driver.json("history", "--spec", spec, "--json")
    assert (first["champion"], first["challenger"]) == (None, 1)
    assert (second["champion"], second["challenger"]) == (1, 2)
    assert second["verdict"] in ("PROMOTE", "KEEP", "INCONCLUSIVE")
    champions = driver.json("status", "--json")["champions"]
    assert champions[spec]["model"] == f"gauntlet-{spec}"
    driver.run("traffic", "--spec", spec, "--size", "1500")
    assert driver.json("traffic", "--json")["data_size"] == 5000


@pytest.mark.parametrize("column", ["carat", "cut", "color", "clarity", "depth", "table", "price", "x", "y", "z"])
def test_each_column_drifted_alone_is_found(driver: Driver, column: str) -> None:
    router, spec = bootstrap.router(driver.settings), bootstrap.load_spec(driver.settings, "diamonds")
    reference = rows.typed(router.training_rows("diamonds", []).frame, spec).frame
    current = rows.typed(router.training_rows("diamonds", [column]).frame, spec).frame
    report = DriftProfile.fit(reference, spec).compare(current, DriftPolicy())
    assert column in report.drifted_columns
    assert rows.check(current, spec).share_left_out < 0.2


def test_two_runs_at_once_follow_each_other_and_each_settles_its_own(driver: Driver) -> None:
    conductor = driver.conductor()
    with turned_on(conductor):
        ids = [conductor.scheduler.start(conductor.dag, {"force_retrain": True}) for _ in range(2)]
        for run_id in ids:
            driver.wait_for_run(run_id)
    versions = [_settled(driver, run_id) for run_id in ids]
    assert len(set(versions)) == 2
    _assert_ledger_and_registry_agree(driver)


def test_an_alias_moved_by_hand_becomes_the_truth(driver: Driver) -> None:
    client = MlflowClient(driver.settings.mlflow_tracking_uri)
    champion = driver.champion()
    other = next(number for number in range(1, 99) if number != champion)
    client.set_registered_model_alias("gauntlet", "production", str(other))
    driver.run("run")

    entries = driver.json("history", "--json", "--spec", "diamonds")
    by_hand = next(entry for entry in entries if entry["verdict"] is None)
    assert (by_hand["champion"], by_hand["challenger"]) == (champion, other)
    _assert_ledger_and_registry_agree(driver)


def test_a_champion_that_changes_under_the_verdict_makes_it_invalid(driver: Driver) -> None:
    client = MlflowClient(driver.settings.mlflow_tracking_uri)
    ports = bootstrap.make_ports(driver.settings)
    run = bootstrap.make_run(driver.settings, "diamonds", f"test/{time.time()}", {"force_retrain": True})
    results: dict[Step, StepResult] = {}
    step = start(FLOW)
    while step is not Step.SUMMARY:
        if step is Step.MODEL_TO_PROD:
            was = driver.champion()
            other = next(number for number in range(1, 99) if number != was)
            client.set_registered_model_alias("gauntlet", "production", str(other))
        earlier = {name: results[name].data for name in TASKS[step].reads if name in results}
        results[step] = TASKS[step].run(run, ports, earlier)
        step = FLOW[step][results[step].outcome]

    newest = driver.json("history", "--json", "--spec", "diamonds")[0]
    assert newest["verdict"] == "INVALID"
    assert newest["reason"] == f"champion changed: the test named v{was} as champion, production is v{other} now"
    assert driver.champion() == other
    _assert_ledger_and_registry_agree(driver)


def _settled(driver: Driver, run_id: str) -> int:
    conductor = driver.conductor()
    entry = conductor.ledger.settled("diamonds", conductor.run_key(conductor.dag, run_id))
    assert entry is not None
    assert entry.challenger is not None
    return entry.challenger


def _experiment_runs(client: MlflowClient, experiment: str) -> dict[str, Any]:
    found = client.get_experiment_by_name(experiment)
    assert found is not None
    return {str(run.info.run_name): run for run in client.search_runs([found.experiment_id])}


def _assert_ledger_and_registry_agree(driver: Driver) -> None:
    model = MlflowClient(driver.settings.mlflow_tracking_uri).get_registered_model("gauntlet")
    aliases = {alias: int(version) for alias, version in model.aliases.items()}
    assert aliases["production"] == driver.champion()
    assert "staging" not in aliases
    previous = bootstrap.ledger(driver.settings).previous("diamonds")
    assert aliases.get("previous") == previous
