"""Airflow on a database of its own, made before anything imports it."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from gauntlet.jobs.run import Ports

ROOT = Path(__file__).parents[2]
DAGS = ROOT / "airflow" / "dags"
HOME = Path(tempfile.mkdtemp(prefix="gauntlet-airflow-"))
atexit.register(shutil.rmtree, HOME, ignore_errors=True)

os.environ |= {
    "AIRFLOW_HOME": str(HOME),
    "AIRFLOW__API__BASE_URL": "http://airflow.test",
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
    "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
    "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
    "GAUNTLET_HOME": str(HOME / "gauntlet"),
}


@pytest.fixture(scope="session")
def airflow_database() -> None:
    """Migrate the database once; it costs some seconds."""
    from airflow.utils.db import initdb

    initdb()


@pytest.fixture(scope="session")
def dag_bag(airflow_database: None) -> Any:  # noqa: ARG001 - the database must be there
    """The DAGs as Airflow reads them."""
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(dag_folder=str(DAGS))


@pytest.fixture
def ports(monkeypatch: pytest.MonkeyPatch) -> "Ports":
    """Ports in memory, for runs by `dag.test()`."""
    from tests.fakes import MemoryLedger, MemoryNotifier, MemoryObjects, MemoryRegistry, MemoryTracking, MemoryTraffic
    from tests.unit.test_pipeline import SPEC, toys

    from gauntlet.bootstrap import wiring
    from gauntlet.jobs.run import Ports

    traffic = MemoryTraffic({"diamonds": toys(4000, 1)}, {"diamonds": toys(3000, 100_000)}, data_size=2000)
    ports = Ports(traffic, MemoryObjects(), MemoryRegistry(), MemoryTracking(), MemoryLedger(), MemoryNotifier())
    monkeypatch.setattr(wiring, "make_ports", lambda _: ports)
    monkeypatch.setattr(wiring, "load_spec", lambda *_: SPEC.model_copy(update={"name": "diamonds"}))
    return ports
