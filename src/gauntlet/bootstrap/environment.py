"""Where everything is: the settings of this process. The only reader of the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values

from gauntlet.embedded.config import StackConfig, load_config
from gauntlet.embedded.environment import SERVICE, variables
from gauntlet.embedded.secrets import load_or_create
from gauntlet.settings import Settings, SettingsError

ROOT = Path(__file__).resolve().parents[3]
# what the embedded stack hands on to its services as it is
_SERVICE_SETTINGS = (
    "default_spec", "ab_pool_share", "experiment_name", "comparison_name", "mlflow_log", "drift_rule",
    "ks_pvalue_threshold", "psi_threshold", "promotion_rule", "training_threads",
)  # fmt: skip


def load_settings(env: Mapping[str, str] | None = None) -> Settings:
    """Return the settings: the environment, else the file .env, else the defaults.

    Beside an embedded stack the addresses and passwords are that stack's, so that the command line and the tasks work
    on the same services. Inside one of its services everything is in the environment already.
    """
    own = _own(os.environ if env is None else env)
    home = _home(own)
    config = None if SERVICE in own else load_config(home)
    kept = {} if config is None else config.settings()
    settings = Settings.from_env({**kept, **own, **_addresses(config)})
    paths = {"gauntlet_home": home, "specs_dir": ROOT / settings.specs_dir}
    if settings.data_file is not None:
        paths["data_file"] = ROOT / settings.data_file.expanduser()
    return settings.model_copy(update=paths)


def state_folder() -> Path:
    """Return the state folder, whatever else is wrong with the settings."""
    return _home(_own(os.environ))


def reach_loopback_directly() -> None:
    """Keep the proxy of the user's shell, if any, out of the way to services on this machine."""
    for name in ("NO_PROXY", "no_proxy"):
        hosts = [host for host in os.environ.get(name, "").split(",") if host]
        os.environ[name] = ",".join(dict.fromkeys([*hosts, "127.0.0.1", "localhost"]))


def ignored_addresses(settings: Settings) -> list[str]:
    """Return the variables that name other services than those of the embedded stack, which goes before them."""
    own = _own(os.environ)
    return [
        name for name, value in _addresses(load_config(settings.gauntlet_home)).items() if own.get(name, value) != value
    ]


def stack_config(settings: Settings) -> StackConfig:
    """Return the embedded stack's configuration."""
    shared = {name.upper(): str(getattr(settings, name)) for name in _SERVICE_SETTINGS}
    if settings.data_file is not None:
        if not settings.data_file.is_file():
            raise SettingsError([f"DATA_FILE must name a CSV or parquet file; found none at {settings.data_file}."])
        shared["DATA_FILE"] = str(settings.data_file)
    return StackConfig(
        root=ROOT,
        home=settings.gauntlet_home,
        airflow_port=settings.airflow_port,
        mlflow_port=settings.mlflow_port,
        router_port=settings.router_port,
        postgres_port=settings.postgres_port,
        router_workers=settings.router_workers,
        specs_dir=settings.specs_dir,
        service_variables=shared,
    )


def _home(env: Mapping[str, str]) -> Path:
    return (ROOT / Path(env.get("GAUNTLET_HOME") or ".gauntlet").expanduser()).absolute()


def _own(env: Mapping[str, str]) -> dict[str, str]:
    """What a person has set: the environment, where it is not blank, else .env, which a service does not read."""
    dotenv = {} if SERVICE in env else {name: value for name, value in dotenv_values(ROOT / ".env").items() if value}
    return {**dotenv, **{name: value for name, value in env.items() if value.strip()}}


def _addresses(config: StackConfig | None) -> dict[str, str]:
    return {} if config is None else variables(config, load_or_create(config.home))
