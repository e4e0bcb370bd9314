"""Where everything is: the settings of this process. The only reader of the environment."""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Iterable, Mapping
from pathlib import Path

from dotenv import dotenv_values

from gauntlet.compose import environment as compose
from gauntlet.embedded.config import StackConfig, load_config
from gauntlet.embedded.environment import SERVICE, variables
from gauntlet.embedded.layout import Layout
from gauntlet.embedded.secrets import load_given, load_or_create
from gauntlet.settings import Settings, SettingsError

EMBEDDED, COMPOSE = "embedded", "compose"
ROOT = Path(__file__).resolve().parents[3]
# what the embedded stack hands on to its services as it is
_SERVICE_SETTINGS = (
    "default_spec", "ab_pool_share", "experiment_name", "comparison_name", "mlflow_log", "drift_rule",
    "ks_pvalue_threshold", "psi_threshold", "promotion_rule", "auto_rollback", "training_threads",
    "require_approval", "approval_timeout_hours",
)  # fmt: skip

_SERVICE_SECRETS = ("notify_urls", "mart_database_url")


def load_settings(env: Mapping[str, str] | None = None) -> Settings:
    """Return the settings: the environment, else the file .env, else the defaults.

    The addresses and passwords are those of the stack that GAUNTLET_STACK names, so that the command line and the tasks
    work on the same services. Inside one of its services everything is in the environment already.
    """
    own = _own(os.environ if env is None else env)
    home = _home(own)
    config = None if SERVICE in own else load_config(home)
    kept = {} if SERVICE in own else {"GAUNTLET_STACK": _form(own, config)}
    stack = kept.get("GAUNTLET_STACK")
    if stack == EMBEDDED and config is not None:
        kept |= config.settings() | load_given(home)
    settings = Settings.from_env({**kept, **own, **_addresses(stack, own, config)})
    paths = {"gauntlet_home": home, "specs_dir": ROOT / settings.specs_dir, "scratch_dir": _scratch(settings, home)}
    if settings.data_file is not None:
        paths["data_file"] = _data_file(settings.data_file)
    return settings.model_copy(update=paths)


def settings_of(names: Iterable[str]) -> Settings:
    """Return the settings with only these as they are set, whatever is wrong with others."""
    own = _own(os.environ)
    settings = Settings.from_env({name.upper(): own[name.upper()] for name in names if name.upper() in own})
    return settings.model_copy(update={"specs_dir": ROOT / settings.specs_dir})


def inside_a_service() -> bool:
    """Say whether this process runs in a container or a process of the stack, which cannot start or stop the stack."""
    return SERVICE in os.environ


def person() -> str:
    """Return the name of the user who runs this process; a number where the system has no name for it."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"


def stack_form() -> str:
    """Return which stack commands work with, embedded or compose."""
    own = _own(os.environ)
    return _form(own, load_config(_home(own)))


def state_folder() -> Path:
    """Return the state folder, whatever else is wrong with the settings."""
    return _home(_own(os.environ))


def reach_loopback_directly() -> None:
    """Keep the proxy of the user's shell, if any, out of the way to services on this machine."""
    for name in ("NO_PROXY", "no_proxy"):
        hosts = [host for host in os.environ.get(name, "").split(",") if host]
        os.environ[name] = ",".join(dict.fromkeys([*hosts, "127.0.0.1", "localhost"]))


def ignored_addresses(settings: Settings) -> list[str]:
    """Return the variables that name other services than those of the stack, which goes before them."""
    own = _own(os.environ)
    known = _addresses(settings.gauntlet_stack, own, load_config(settings.gauntlet_home))
    ours = compose.SECRETS if compose.is_set_up(own) else ()  # the other form's secrets may stand in the same .env
    return [name for name, value in known.items() if own.get(name, value) != value and name not in ours]


def host_variables() -> dict[str, str]:
    """Return the environment of programs that the command line starts: what is set, with .env where it is not."""
    return _own(os.environ)


def stack_config(settings: Settings) -> StackConfig:
    """Return the embedded stack's configuration."""
    shared = {name.upper(): str(getattr(settings, name)) for name in _SERVICE_SETTINGS}
    shared["SCRATCH_DIR"] = str(settings.scratch_dir)
    if settings.mlflow_page_url is not None:
        shared["MLFLOW_PAGE_URL"] = settings.mlflow_page_url
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


def given_secrets(settings: Settings) -> dict[str, str]:
    """Return the secret settings that the embedded stack hands on to Airflow's services."""
    return {name.upper(): settings.secret(name) for name in _SERVICE_SECRETS if getattr(settings, name) is not None}


def _home(env: Mapping[str, str]) -> Path:
    return (ROOT / Path(env.get("GAUNTLET_HOME") or ".gauntlet").expanduser()).absolute()


def _own(env: Mapping[str, str]) -> dict[str, str]:
    """What a person has set: the environment, where it is not blank, else .env, which a service does not read."""
    dotenv = {} if SERVICE in env else {name: value for name, value in dotenv_values(ROOT / ".env").items() if value}
    return {**dotenv, **{name: value for name, value in env.items() if value.strip()}}


def _form(own: Mapping[str, str], config: StackConfig | None) -> str:
    """Which stack commands work with, where nobody says: the embedded one that runs, else the containers set up."""
    if own.get("GAUNTLET_STACK"):
        return own["GAUNTLET_STACK"]
    # the configuration of one that a reboot has ended is still there
    is_embedded = not compose.is_set_up(own) or (config is not None and _is_supervised(config.home))
    return EMBEDDED if is_embedded else COMPOSE


def _is_supervised(home: Path) -> bool:
    """Whether somebody listens at the supervisor's socket; asking it would take its library."""
    with socket.socket(socket.AF_UNIX) as door:
        door.settimeout(1)
        return door.connect_ex(os.fsencode(Layout.of(home).socket)) == 0


def _addresses(stack: str | None, own: Mapping[str, str], config: StackConfig | None) -> dict[str, str]:
    if stack == COMPOSE:
        return compose.variables(own)
    if stack == EMBEDDED and config is not None:
        return variables(config, load_or_create(config.home))
    return {}


def _scratch(settings: Settings, home: Path) -> Path:
    """The folder that was named, of the repository's folder where it is relative; else the state folder's own."""
    if "scratch_dir" in settings.model_fields_set:
        return ROOT / settings.scratch_dir.expanduser()
    return Layout.of(home).scratch


def _data_file(named: Path) -> Path:
    """A file of the repository's folder, or of its folder data, which containers see."""
    path = ROOT / named.expanduser()
    inside = ROOT / "data" / named
    return inside if inside.is_file() and not path.is_file() else path
