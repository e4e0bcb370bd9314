"""The real stack, started once for all tests that need one."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.embedded.driver import Driver
from tests.postgres import free_port

from gauntlet import bootstrap
from gauntlet.embedded.config import StackConfig

PORTS = ("AIRFLOW_PORT", "MLFLOW_PORT", "ROUTER_PORT", "POSTGRES_PORT")


def make_config(home: Path) -> StackConfig:
    """A stack of this checkout on free ports."""
    return bootstrap.stack_config(bootstrap.load_settings(make_env(home)))


def make_env(home: Path) -> dict[str, str]:
    """The variables of such a stack."""
    return {"GAUNTLET_HOME": str(home), **{name: str(free_port()) for name in PORTS}}


@pytest.fixture(scope="session")
def home() -> Iterator[Path]:
    """A state folder that every user may pass through, as Postgres must under root."""
    folder = Path(tempfile.mkdtemp(prefix="gauntlet-test-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def driver(home: Path) -> Iterator[Driver]:
    """The command line of a stack that runs; stopped after the last test."""
    driver = Driver(make_env(home))
    driver.run("up")
    os.environ["GAUNTLET_HOME"] = str(home)
    yield driver
    driver.run("down")
    del os.environ["GAUNTLET_HOME"]


@pytest.fixture
def stack(driver: Driver) -> StackConfig:
    """The configuration of that stack."""
    return bootstrap.stack_config(driver.settings)
