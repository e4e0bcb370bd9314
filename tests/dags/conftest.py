"""Airflow on a database of its own, made before anything imports it."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HOME = Path(tempfile.mkdtemp(prefix="gauntlet-airflow-"))
atexit.register(shutil.rmtree, HOME, ignore_errors=True)

os.environ |= {
    "AIRFLOW_HOME": str(HOME),
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "airflow" / "dags"),
    "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
    "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
    "GAUNTLET_HOME": str(HOME / "gauntlet"),
}


@pytest.fixture(scope="session")
def airflow_database() -> None:
    """Migrate the database once; it costs some seconds."""
    from airflow.utils.db import initdb

    initdb()
