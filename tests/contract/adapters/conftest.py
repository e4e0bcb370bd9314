"""Real services for the adapters: one Postgres and one MLflow server a session."""

import os
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
from tests.contract.adapters.records import make_version
from tests.fakes import MemoryLedger
from tests.postgres import free_port, throwaway_postgres

from gauntlet.adapters.databases import migrate
from gauntlet.adapters.ledger import PostgresLedger
from gauntlet.jobs.ledger_port import Ledger


@pytest.fixture(scope="session")
def superuser_url() -> Iterator[str]:
    with throwaway_postgres() as url:
        with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
            for role in ("gauntlet", "gauntlet_app", "router"):
                cursor.execute(f"create role {role} login password '{role}-secret'")
            connection.commit()
        yield url


def as_role(url: str, role: str, database: str) -> str:
    """The URL of a database for a role that the session made."""
    return f"postgresql://{role}:{role}-secret@{url.partition('@')[2].rpartition('/')[0]}/{database}"


def make_database(url: str, name: str) -> None:
    with closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f"create database {name} owner gauntlet")


@pytest.fixture(scope="session")
def owner_url(superuser_url: str) -> str:
    make_database(superuser_url, "gauntlet")
    url = as_role(superuser_url, "gauntlet", "gauntlet")
    migrate(url)
    return url


@pytest.fixture(scope="session")
def app_url(superuser_url: str, owner_url: str) -> str:
    assert owner_url
    return as_role(superuser_url, "gauntlet_app", "gauntlet")


@pytest.fixture(scope="session")
def mlflow_uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("mlflow")
    port = free_port()
    uri = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    stores = ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", str(folder / "files")]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen([*command, *stores], stdout=log, stderr=log, env=_quiet())
    try:
        _wait(uri, server, folder / "log")
        yield uri
    finally:
        server.terminate()
        server.wait(20)


def _quiet() -> dict[str, str]:
    return {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}


def _wait(uri: str, server: "subprocess.Popen[bytes]", log: Path) -> None:
    for _ in range(900):
        try:
            urllib.request.urlopen(f"{uri}/health", timeout=1).close()  # noqa: S310
        except OSError:
            if server.poll() is not None:
                break
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"MLflow did not start:\n{log.read_text()}")


@pytest.fixture
def spec() -> str:
    """A spec's name of the test's own, since the services are shared."""
    return f"spec_{uuid.uuid4().hex[:12]}"


@pytest.fixture(params=["memory", "postgres"])
def ledger(request: pytest.FixtureRequest) -> Ledger:
    """An empty ledger, or one that is empty but for other specs."""
    if request.param == "memory":
        return MemoryLedger()
    return PostgresLedger(request.getfixturevalue("app_url"))


@pytest.fixture
def with_versions(ledger: Ledger, spec: str) -> Ledger:
    """A ledger with versions 1 to 5 recorded."""
    for number in range(1, 6):
        ledger.add_version(make_version(spec, number))
    return ledger
