"""The settings that the router and the rest have in common: equal defaults, in code that is not shared."""

from pathlib import Path

import pytest

from gauntlet.settings import Settings
from router.settings import Settings as RouterSettings

SHARED = {
    "SPECS_DIR": "specs_dir",
    "DEFAULT_SPEC": "default_spec",
    "DATA_FILE": "data_file",
    "AB_POOL_SHARE": "ab_pool_share",
    "ROUTER_PORT": "port",
    "ROUTER_WORKERS": "workers",
}


def test_the_defaults_are_equal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parents[3])  # where the folder specs is
    router = RouterSettings.from_env({"ROUTER_DATABASE_URL": "postgresql://router@127.0.0.1/gauntlet"})
    product = Settings.from_env({})
    assert {name: getattr(router, field) for name, field in SHARED.items()} == {
        name: getattr(product, name.lower()) for name in SHARED
    }
