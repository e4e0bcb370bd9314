"""Which stack the command line works with, and where it finds it."""

from pathlib import Path

import pytest

from gauntlet import bootstrap
from gauntlet.compose.environment import SECRETS
from gauntlet.settings import SettingsError

SET_UP = {name: f"{name.lower().replace('_', '-')}" for name in SECRETS}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A state folder in which nothing runs; and none of the variables that a .env of this checkout may hold."""
    monkeypatch.setattr("gauntlet.bootstrap.environment.dotenv_values", lambda _: {})
    return {"GAUNTLET_HOME": str(tmp_path)}


def test_the_containers_are_meant_where_their_secrets_are_and_nothing_else_runs(home: dict[str, str]) -> None:
    settings = bootstrap.load_settings({**home, **SET_UP, "MLFLOW_PORT": "5001", "MINIO_PORT": "9009"})
    assert settings.gauntlet_stack == "compose"
    assert settings.mlflow_tracking_uri == "http://127.0.0.1:5001"
    assert settings.mlflow_s3_endpoint_url == "http://127.0.0.1:9009"
    assert settings.object_store == "s3://data"
    assert settings.secret("gauntlet_database_url") == (
        "postgresql://gauntlet_app:gauntlet-app-db-password@127.0.0.1:15432/gauntlet"
    )
    assert settings.secret("airflow_admin_password") == "airflow-admin-password"


def test_what_is_asked_for_is_meant(home: dict[str, str]) -> None:
    assert bootstrap.load_settings({**home, **SET_UP, "GAUNTLET_STACK": "embedded"}).gauntlet_stack == "embedded"
    assert bootstrap.load_settings({**home, **SET_UP, "GAUNTLET_STACK": "compose"}).gauntlet_stack == "compose"


def test_addresses_for_another_stack_do_not_lead_away_from_the_containers(home: dict[str, str]) -> None:
    other = {"FLASK_URL": "http://router:8000", "MLFLOW_S3_ENDPOINT_URL": "http://minio:9000"}
    settings = bootstrap.load_settings({**home, **SET_UP, **other})
    assert settings.flask_url == "http://127.0.0.1:8000"
    assert settings.mlflow_s3_endpoint_url == "http://127.0.0.1:9000"


def test_a_store_of_somebody_else_is_found_where_the_containers_find_it(home: dict[str, str]) -> None:
    own = {"S3_ENDPOINT_URL": "https://s3.example.org", "DATA_BUCKET": "gauntlet-data"}
    settings = bootstrap.load_settings({**home, **SET_UP, **own})
    assert settings.mlflow_s3_endpoint_url == "https://s3.example.org"
    assert settings.object_store == "s3://gauntlet-data"


def test_a_form_that_is_none_is_refused(home: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="GAUNTLET_STACK"):
        bootstrap.load_settings({**home, "GAUNTLET_STACK": "kubernetes"})


def test_a_password_that_would_break_an_address_is_refused_without_being_shown(home: dict[str, str]) -> None:
    with pytest.raises(SettingsError) as error:
        bootstrap.load_settings({**home, **SET_UP, "ROUTER_DB_PASSWORD": "p@ss/word"})
    assert "ROUTER_DB_PASSWORD" in str(error.value)
    assert "letters, digits, - and _" in str(error.value)
    assert "p@ss" not in str(error.value)


def test_a_file_of_the_folder_data_is_found_by_its_name_alone(home: dict[str, str]) -> None:
    settings = bootstrap.load_settings({**home, "DATA_FILE": "README.md"})
    assert settings.data_file is not None
    assert settings.data_file.read_text().startswith("# Gauntlet")  # the repository's own goes first
    assert str(bootstrap.load_settings({**home, "DATA_FILE": "data/README.md"}).data_file).endswith("data/README.md")
