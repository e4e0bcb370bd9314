"""Rows from a file of the user's own, put into the folder data."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient
from tests.driver import ROOT, ComposeDriver

from gauntlet import bootstrap

DATA = ROOT.parent / "shared" / "data" / "DiamondData.csv"


@pytest.fixture
def named() -> Iterator[str]:
    """A dirty file in the folder data, by its name."""
    if not DATA.is_file():
        pytest.skip("needs the dirty diamonds in ../shared/data")
    copy = ROOT / "data" / "test-of-containers.csv"
    shutil.copyfile(DATA, copy)
    copy.chmod(0o644)
    yield copy.name
    copy.unlink()


def test_a_file_in_the_folder_data_is_served_and_its_dirty_rows_are_counted(compose: ComposeDriver, named: str) -> None:
    compose.docker("compose", "up", "--detach", "--no-deps", "--wait", "router", env={"DATA_FILE": named})
    try:
        compose.run("run", "--force-retrain")
    finally:
        compose.docker("compose", "up", "--detach", "--no-deps", "--wait", "router")
    newest = compose.json("history", "--json", "--spec", "diamonds")[0]["challenger"]
    version = bootstrap.make_ports(compose.settings).registry.describe("gauntlet", newest)
    assert version is not None
    training = MlflowClient(compose.settings.mlflow_tracking_uri).get_run(version.run_id)
    assert any(rule.startswith("cut must be") for rule in json.loads(training.data.params["left_out"]))
    assert Path(version.snapshot.uri).name == f"{version.snapshot.sha256}.parquet"
