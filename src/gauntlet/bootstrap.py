"""The one place that reads the environment and puts the parts together. Importing it loads nothing heavy."""

from __future__ import annotations

import hashlib
import importlib.metadata
import logging
import os
import subprocess
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dotenv import dotenv_values

from gauntlet.domain.spec import Spec, SpecError
from gauntlet.embedded.config import StackConfig, load_config
from gauntlet.embedded.environment import variables
from gauntlet.embedded.secrets import load_or_create
from gauntlet.jobs.flow import FLOW, LABELS, Step, branches, edges
from gauntlet.settings import Settings, SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from gauntlet.adapters.ledger import PostgresLedger
    from gauntlet.adapters.router_client import RouterClient
    from gauntlet.embedded.stack import ServiceStatus
    from gauntlet.jobs.acts import Conductor
    from gauntlet.jobs.ports import Names, Production
    from gauntlet.jobs.run import Ports, Run

__all__ = ["FLOW", "LABELS", "Step", "branches", "edges", "pipelines", "run_step", "spec_errors"]

log = logging.getLogger(__name__)
ROOT = Path(__file__).resolve().parents[2]
# what the embedded stack hands on to its services as it is
_SERVICE_SETTINGS = (
    "default_spec", "ab_pool_share", "experiment_name", "comparison_name", "mlflow_log", "drift_rule",
    "ks_pvalue_threshold", "psi_threshold", "promotion_rule", "training_threads",
)  # fmt: skip


@dataclass(frozen=True)
class Pipeline:
    """What the DAG file needs to know of one spec."""

    dag_id: str
    spec: str
    title: str
    schedule: str | None
    columns: int


def load_settings(env: Mapping[str, str] | None = None) -> Settings:
    """Return the settings: the environment, else the file .env, else what the embedded stack says of itself."""
    own = {**_dotenv(), **(os.environ if env is None else env)}
    home = _home(own)
    config = load_config(home)
    derived = {} if config is None else _stack_variables(config)
    settings = Settings.from_env({**derived, **own})
    paths = {"gauntlet_home": home, "specs_dir": ROOT / settings.specs_dir}
    if settings.data_file is not None:
        paths["data_file"] = settings.data_file.expanduser().absolute()
    return settings.model_copy(update=paths)


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


def load_specs(settings: Settings) -> tuple[dict[str, Spec], list[SpecError]]:
    """Return every spec that is right, by name, and the errors of those that are not."""
    good: dict[str, Spec] = {}
    bad: list[SpecError] = []
    for path in sorted(settings.specs_dir.glob("*.toml")):
        try:
            good[path.stem] = Spec.parse(path.stem, path.read_text(encoding="utf-8"))
        except SpecError as error:
            bad.append(error)
    return good, bad


def load_spec(settings: Settings, name: str | None) -> Spec:
    """Return one spec, the default one for None; raises SpecError, or SettingsError when there is none of that name."""
    name = name or settings.default_spec
    path = settings.specs_dir / f"{name}.toml"
    if path.parent != settings.specs_dir or not path.is_file():
        known = ", ".join(sorted(other.stem for other in settings.specs_dir.glob("*.toml"))) or "none"
        raise SettingsError([f"A spec must be a file in {settings.specs_dir}; got {name!r}. There are: {known}."])
    return Spec.parse(name, path.read_text(encoding="utf-8"))


def pipelines() -> list[Pipeline]:
    """Return what the DAG file builds: one pipeline for each spec that is right."""
    settings = load_settings()
    good, _ = load_specs(settings)
    return [
        Pipeline(dag_id(settings, name), name, spec.title, spec.schedule or None, len(spec.variables))
        for name, spec in good.items()
    ]


def spec_errors() -> list[SpecError]:
    """Return the errors of the specs that are wrong; a DAG file of its own shows them in Airflow's page."""
    return load_specs(load_settings())[1]


def dag_id(settings: Settings, spec: str) -> str:
    """Return the DAG of a spec: main_pipeline for the default one, main_pipeline__NAME for any other."""
    return "main_pipeline" if spec == settings.default_spec else f"main_pipeline__{spec}"


def names(settings: Settings, spec: str) -> Names:
    """Return what a spec is called in MLflow."""
    from gauntlet.jobs.ports import Names

    suffix = "" if spec == settings.default_spec else f"-{spec}"
    model = settings.experiment_name + suffix
    return Names(model=model, experiment=model, comparison=settings.comparison_name + suffix)


def run_key(dag: str, run_id: str) -> str:
    """Return the key under which a DAG run stands in the ledger."""
    return f"{dag}/{run_id}"


def run_step(step: Step, spec: str, context: Mapping[str, Any]) -> Any:
    """Run one step inside an Airflow task: its data for the next steps, or the task id that a branch chooses."""
    from airflow.sdk.exceptions import AirflowFailException

    from gauntlet.domain.recipes import RecipeError
    from gauntlet.domain.rows import RowsError
    from gauntlet.domain.training import TrainingError
    from gauntlet.jobs.pipeline import TASKS
    from gauntlet.jobs.run import Refused

    settings = load_settings()
    task_instance, dag_run = context["ti"], context["dag_run"]
    try:
        run = make_run(settings, spec, run_key(dag_run.dag_id, dag_run.run_id), dict(context["params"]))
        earlier = {other: task_instance.xcom_pull(task_ids=str(other)) for other in TASKS[step].reads}
        given = {other: data for other, data in earlier.items() if data is not None}
        began = time.monotonic()
        result = TASKS[step].run(run, make_ports(settings), given)
        log.info("the work of %s took %.3f s", step, time.monotonic() - began)
    except (Refused, RecipeError, RowsError, SettingsError, SpecError, TrainingError) as error:
        raise AirflowFailException(str(error)) from error  # trying again would not help
    return str(FLOW[step][result.outcome]) if branches(step) else dict(result.data)


def make_run(settings: Settings, spec_name: str, key: str, params: Mapping[str, Any]) -> Run:
    """Return the run that `key` names, with the policies of the settings and the spec."""
    from numpy.random import default_rng

    from gauntlet.domain.drift import DriftPolicy, DriftRule
    from gauntlet.domain.promotion import PromotionPolicy, PromotionRule
    from gauntlet.jobs.run import Run

    spec = load_spec(settings, spec_name)
    own = spec.thresholds.model_dump(exclude_none=True)
    test = {name: own[name] for name in ("min_rows", "mde") if name in own}
    return Run(
        key=key,
        spec=spec,
        names=names(settings, spec_name),
        drift_policy=DriftPolicy(
            rule=DriftRule(settings.drift_rule),
            ks_pvalue=own.get("ks_pvalue", settings.ks_pvalue_threshold),
            psi=own.get("psi", settings.psi_threshold),
        ),
        promotion_policy=PromotionPolicy(rule=PromotionRule(settings.promotion_rule), **test),
        force_retrain=bool(params.get("force_retrain", False)),
        simulate_drift=int(params.get("simulate_drift", 0)),
        log_details=settings.mlflow_log,
        threads=settings.training_threads,
        code_version=code_version(),
        decided_by=f"airflow {key}",
        rng=default_rng(int.from_bytes(hashlib.sha256(key.encode()).digest()[:8])),
    )


def make_ports(settings: Settings) -> Ports:
    """Return the adapters that the settings name; raises SettingsError when an address is missing."""
    from gauntlet.adapters.ledger import PostgresLedger
    from gauntlet.adapters.mlflow_registry import MlflowRegistry
    from gauntlet.adapters.mlflow_tracking import MlflowTracking
    from gauntlet.adapters.objects import open_store
    from gauntlet.adapters.router_client import RouterClient
    from gauntlet.jobs.run import Ports

    settings.require("flask_url", "mlflow_tracking_uri", "gauntlet_database_url", "object_store")
    secret = settings.aws_secret_access_key
    return Ports(
        traffic=RouterClient(str(settings.flask_url)),
        store=open_store(
            str(settings.object_store),
            endpoint=settings.mlflow_s3_endpoint_url,
            key_id=settings.aws_access_key_id,
            secret=secret.get_secret_value() if secret else None,
        ),
        registry=MlflowRegistry(str(settings.mlflow_tracking_uri)),
        tracking=MlflowTracking(str(settings.mlflow_tracking_uri)),
        ledger=PostgresLedger(database_url(settings)),
    )


def database_url(settings: Settings) -> str:
    """Return the ledger's address; raises SettingsError when it is not set."""
    settings.require("gauntlet_database_url")
    assert settings.gauntlet_database_url is not None  # noqa: S101 - require() has just checked it
    return settings.gauntlet_database_url.get_secret_value()


@cache
def code_version() -> str:
    """Return the version of the product: that of the package, and the commit where it runs from a checkout."""
    version = importlib.metadata.version("gauntlet")
    try:
        commit = subprocess.run(  # noqa: S603
            ["git", "-C", str(ROOT), "rev-parse", "--short=12", "HEAD"],  # noqa: S607
            capture_output=True, text=True, timeout=5, check=True,
        ).stdout.strip()  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return version
    return f"{version}+{commit}"


def _home(env: Mapping[str, str]) -> Path:
    return (ROOT / Path(env.get("GAUNTLET_HOME") or ".gauntlet").expanduser()).absolute()


def _dotenv() -> dict[str, str]:
    return {name: value for name, value in dotenv_values(ROOT / ".env").items() if value}


def _stack_variables(config: StackConfig) -> dict[str, str]:
    ports = {
        "AIRFLOW_PORT": str(config.airflow_port),
        "MLFLOW_PORT": str(config.mlflow_port),
        "ROUTER_PORT": str(config.router_port),
        "POSTGRES_PORT": str(config.postgres_port),
    }
    return {**ports, **config.service_variables, **variables(config, load_or_create(config.home))}


def start_stack(settings: Settings, say: Callable[[str], None]) -> None:
    """Start the embedded stack and bring every spec's aliases in line with the ledger."""
    from gauntlet.adapters.migrate import migrate
    from gauntlet.embedded import stack
    from gauntlet.jobs.production import reconcile

    stack.up(stack_config(settings), migrate=migrate, say=say)
    restarted = load_settings()
    ports = make_ports(restarted)
    for spec in ports.ledger.champions():
        reconcile(ports, spec, names(restarted, spec))


def stop_stack(settings: Settings, say: Callable[[str], None]) -> None:
    """Stop the embedded stack."""
    from gauntlet.embedded import stack

    stack.down(settings.gauntlet_home, say)


def service_log(settings: Settings, service: str, *, lines: int, follow: bool) -> Iterator[str]:
    """Return the last lines of a service's log, and with `follow` those to come."""
    from gauntlet.embedded import stack

    return stack.logs(settings.gauntlet_home, service, lines=lines, follow=follow)


def service_names() -> tuple[str, ...]:
    """Return the services of the embedded stack."""
    from gauntlet.embedded import stack

    return stack.SERVICES


def login(settings: Settings) -> str:
    """Return how to log in to Airflow's page: the user, and where the password stands."""
    from gauntlet.embedded.secrets import airflow_password_file

    return f"user {settings.airflow_admin_user}, password in {airflow_password_file(settings.gauntlet_home)}"


def stack_status(settings: Settings) -> Mapping[str, ServiceStatus]:
    """Return the state of each service of the embedded stack."""
    from gauntlet.embedded import stack

    return stack.status(load_config(settings.gauntlet_home) or stack_config(settings))


def ledger(settings: Settings) -> PostgresLedger:
    """Return the ledger."""
    from gauntlet.adapters.ledger import PostgresLedger

    return PostgresLedger(database_url(settings))


def champions(settings: Settings) -> Mapping[str, Production]:
    """Return what is in production, by spec."""
    return ledger(settings).champions()


def router(settings: Settings) -> RouterClient:
    """Return the traffic router's client."""
    from gauntlet.adapters.router_client import RouterClient

    settings.require("flask_url")
    return RouterClient(str(settings.flask_url))


def conductor(
    settings: Settings, spec: str | None, say: Callable[[str], None], doing: Callable[[str], None]
) -> Conductor:
    """Return what starts runs of a spec's DAG."""
    from gauntlet.adapters.airflow_api import AirflowClient
    from gauntlet.jobs.acts import Conductor

    settings.require("airflow_url", "airflow_admin_password")
    assert settings.airflow_admin_password is not None  # noqa: S101 - require() has just checked it
    chosen = load_spec(settings, spec)
    password = settings.airflow_admin_password.get_secret_value()
    return Conductor(
        scheduler=AirflowClient(str(settings.airflow_url), settings.airflow_admin_user, password),
        traffic=router(settings),
        ledger=ledger(settings),
        spec=chosen,
        dag=dag_id(settings, chosen.name),
        run_key=run_key,
        say=say,
        doing=doing,
    )
