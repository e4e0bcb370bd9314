"""MLflow's tables of an older version are brought up to date before its server starts, which refuses them."""

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from mlflow.exceptions import MlflowException
from mlflow.store.db.utils import _get_alembic_config, _get_latest_schema_revision, _verify_schema
from mlflow.store.tracking.dbmodels.initial_models import Base as InitialBase
from sqlalchemy import create_engine
from tests.contract.adapters.conftest import as_role, make_database

PROGRAM = runpy.run_path(str(Path(__file__).parents[3] / "mlflow" / "schema.py"))
bring_up_to_date: Callable[[str], None] = PROGRAM["bring_up_to_date"]
present: Callable[[str], str | None] = PROGRAM["present"]


@pytest.fixture
def url(superuser_url: str, spec: str) -> str:
    make_database(superuser_url, spec)
    return as_role(superuser_url, "gauntlet", spec).replace("postgresql:", "postgresql+psycopg2:")


def test_the_newest_revision_is_mlflows_own() -> None:
    assert PROGRAM["head"]() == _get_latest_schema_revision()


def test_an_empty_database_is_left_to_mlflow(url: str) -> None:
    bring_up_to_date(url)
    assert present(url) is None


def test_older_tables_are_migrated_and_newest_ones_left(url: str) -> None:
    engine: Any = create_engine(url)
    InitialBase.metadata.create_all(engine)
    config = _get_alembic_config(url.replace("%", "%%"))
    older = ScriptDirectory.from_config(config).get_revision("head").down_revision
    assert isinstance(older, str)
    command.upgrade(config, older)
    with pytest.raises(MlflowException, match="out-of-date"):
        _verify_schema(engine)
    bring_up_to_date(url)
    _verify_schema(engine)
    bring_up_to_date(url)
    assert present(url) == _get_latest_schema_revision()
    engine.dispose()
