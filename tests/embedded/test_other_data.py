"""Rows from a file of the user's own."""

import json
from pathlib import Path

import pytest
from mlflow import MlflowClient
from tests.driver import Driver, EmbeddedDriver

from gauntlet import bootstrap

DATA = Path(__file__).parents[3] / "shared" / "data" / "DiamondData.csv"


@pytest.mark.skipif(not DATA.is_file(), reason="needs the dirty diamonds in ../shared/data")
def test_dirty_rows_from_a_file_are_counted_and_left_out_by_a_second_stack_beside_the_first(
    driver: Driver, tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = tmp_path_factory.mktemp("dirty")
    dirty = EmbeddedDriver.make(home, DATA_FILE=str(DATA))
    first = driver.champion()
    try:
        dirty.run("up")
        dirty.run("run")
        assert dirty.champion() == 1
        assert driver.champion() == first
        version = bootstrap.make_ports(dirty.settings).registry.describe("gauntlet", 1)
        assert version is not None
        training = MlflowClient(dirty.settings.mlflow_tracking_uri).get_run(version.run_id)
        left_out = json.loads(training.data.params["left_out"])
        assert any(rule.startswith("cut must be") for rule in left_out), left_out
        assert int(training.data.params["rows"]) < 5000
    finally:
        dirty.run("down")
