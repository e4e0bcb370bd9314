"""The real stack, started once for all tests that need one."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.postgres import free_port

from gauntlet.adapters.migrate import migrate
from gauntlet.embedded import stack as embedded
from gauntlet.embedded.config import StackConfig

ROOT = Path(__file__).resolve().parents[2]


def make_config(home: Path) -> StackConfig:
    """A stack of this checkout on free ports."""
    return StackConfig(
        root=ROOT,
        home=home,
        airflow_port=free_port(),
        mlflow_port=free_port(),
        router_port=free_port(),
        postgres_port=free_port(),
        router_workers=2,
        specs_dir=ROOT / "specs",
        service_variables={
            "DEFAULT_SPEC": "diamonds",
            "AB_POOL_SHARE": "0.3",
            "EXPERIMENT_NAME": "gauntlet",
            "COMPARISON_NAME": "gauntlet-comparison",
            "TRAINING_THREADS": "2",
        },
    )


@pytest.fixture(scope="session")
def home() -> Iterator[Path]:
    """A state folder that every user may pass through, as Postgres must under root."""
    folder = Path(tempfile.mkdtemp(prefix="gauntlet-test-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def stack(home: Path) -> Iterator[StackConfig]:
    """The configuration of a stack that runs; stopped after the last test."""
    config = make_config(home)
    # the developer's own settings must not reach the stack under test
    os.environ["GAUNTLET_HOME"] = str(home)
    embedded.up(config, migrate=migrate, say=print)
    yield config
    embedded.down(home, print)
    del os.environ["GAUNTLET_HOME"]
