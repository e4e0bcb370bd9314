"""Settings: all problems at once, and no setting without its documentation."""

from pathlib import Path

import pytest

from gauntlet.settings import Settings, SettingsError

ROOT = Path(__file__).parents[2]


def test_every_problem_is_reported_at_once_and_no_secret_is_shown() -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_env(
            {
                "PSI_THRESHOLD": "-1",
                "MLFLOW_PORT": "http",
                "DRIFT_RULE": "maybe",
                "AB_POOL_SHARE": "1.5",
                "MLFLOW_LOG": "perhaps",
            }
        )
    text = str(caught.value)
    for name in ("PSI_THRESHOLD", "MLFLOW_PORT", "DRIFT_RULE", "AB_POOL_SHARE", "MLFLOW_LOG"):
        assert name in text
    assert len(caught.value.problems) == 5


def test_an_empty_variable_counts_as_unset() -> None:
    assert Settings.from_env({"PSI_THRESHOLD": "", "DATA_FILE": " "}) == Settings.from_env({})


def test_what_is_required_and_missing_is_named_all_at_once() -> None:
    with pytest.raises(SettingsError, match=r"(?s)FLASK_URL.*OBJECT_STORE"):
        Settings.from_env({}).require("flask_url", "object_store")


def test_secrets_do_not_show_in_the_representation() -> None:
    settings = Settings.from_env({"AIRFLOW_ADMIN_PASSWORD": "hush", "GAUNTLET_DATABASE_URL": "postgresql://u:hush@h/d"})
    assert "hush" not in repr(settings)


@pytest.mark.parametrize("document", [".env.example", "docs/configuration.md"])
def test_every_setting_is_documented(document: str) -> None:
    text = (ROOT / document).read_text()
    assert [name for name in Settings.model_fields if name.upper() not in text] == []


def test_the_example_is_what_the_defaults_are() -> None:
    lines = (ROOT / ".env.example").read_text().splitlines()
    example = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    assert set(example) == {name.upper() for name in Settings.model_fields}
    assert Settings.from_env(example) == Settings.from_env({})


def test_every_default_reads_back_as_it_is_written() -> None:
    shown = {name.upper(): str(value) for name, value in Settings.from_env({}) if value is not None}
    again = {name.upper(): str(value) for name, value in Settings.from_env(shown) if value is not None}
    assert again == shown  # a stack compares what it was started with as text


@pytest.mark.parametrize(
    "url",
    ["host=127.0.0.1 password=hush", "mysql://me:hush@127.0.0.1/marts", "postgresql://me:a@hush@127.0.0.1/marts"],
)
def test_an_address_that_a_client_may_take_apart_otherwise_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(SettingsError, match="must be postgresql://ROLE:PASSWORD@HOST:PORT/DATABASE") as error:
        Settings.from_env({"MART_DATABASE_URL": url})
    assert "hush" not in str(error.value)
