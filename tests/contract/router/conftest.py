"""The router on a real Postgres: as a Flask test client, and in its own processes."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from tests.contract.router.harness import ROOT, Running, execute, router_database, running_router
from tests.postgres import throwaway_postgres

from router.app import create_app
from router.catalogue import Catalogue
from router.settings import Settings


@pytest.fixture(scope="session")
def superuser() -> Iterator[str]:
    with throwaway_postgres() as url:
        yield url


@pytest.fixture(scope="session")
def database(superuser: str) -> str:
    return router_database(superuser)


@pytest.fixture(scope="session")
def settings(database: str) -> Settings:
    return Settings(database, ROOT / "specs", ROOT)


@pytest.fixture(scope="session")
def catalogue(settings: Settings) -> Catalogue:
    return Catalogue(settings)


@pytest.fixture
def client(settings: Settings, catalogue: Catalogue, superuser: str) -> FlaskClient:
    """A client of a router whose traffic nobody has changed."""
    execute(f"{superuser.rpartition('/')[0]}/routing", "truncate router.traffic")
    return create_app(settings, catalogue).test_client()


@pytest.fixture(scope="session")
def four_workers(superuser: str) -> Iterator[Running]:
    with running_router(router_database(superuser, "four"), workers=4) as running:
        yield running


@pytest.fixture
def own_spec(tmp_path: Path) -> Path:
    """A folder for specs and data of the test's own."""
    (tmp_path / "specs").mkdir()
    return tmp_path
