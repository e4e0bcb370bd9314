"""Adapters and runs, put together from the settings. What is heavy is loaded when it is needed."""

from __future__ import annotations

import hashlib
import importlib.metadata
import logging
import subprocess
import time
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from gauntlet.bootstrap.catalogue import dag_id, load_spec, names, run_key
from gauntlet.bootstrap.drift import drift_policy
from gauntlet.bootstrap.environment import ROOT, load_settings, reach_loopback_directly
from gauntlet.domain.errors import Final
from gauntlet.jobs.flow import FLOW, Flow, Step, branches

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from gauntlet.adapters.ledger import PostgresLedger
    from gauntlet.adapters.local_store import LocalStore
    from gauntlet.adapters.router_client import RouterClient
    from gauntlet.adapters.s3_store import S3Store
    from gauntlet.jobs.conductor import Conductor
    from gauntlet.jobs.ledger_records import Freeze
    from gauntlet.jobs.people import Notifier
    from gauntlet.jobs.ports import Production
    from gauntlet.jobs.run import Ports, Results, Run, StepResult
    from gauntlet.settings import Settings

log = logging.getLogger(__name__)


def run_step(step: Step, spec: str, context: Mapping[str, Any]) -> Any:
    """Run one step inside an Airflow task: its data for the next steps, or the task id that a branch chooses."""
    from gauntlet.jobs.pipeline import TASKS

    return run_task(step, FLOW, TASKS[step].run, lambda: step_input(step, spec, context))


def run_task(
    step: Step, flow: Flow, work: Callable[..., StepResult], given: Callable[[], tuple[Run, Ports, Results]]
) -> Any:
    """Do the work of a step of any flow inside an Airflow task, on what `given` returns; as `run_step` returns it."""
    with final_errors():
        arguments = given()
        began = time.monotonic()
        result = work(*arguments)
        log.info("the work of %s took %.3f s", step, time.monotonic() - began)
    return str(flow[step][result.outcome]) if branches(step, flow) else dict(result.data)


def step_input(step: Step, spec: str, context: Mapping[str, Any]) -> tuple[Run, Ports, Results]:
    """Return what a step is given inside an Airflow task."""
    from gauntlet.jobs.pipeline import TASKS

    settings = load_settings()
    dag_run = context["dag_run"]
    run = make_run(settings, spec, run_key(dag_run.dag_id, dag_run.run_id), dict(context["params"]))
    return run, make_ports(settings), results_of(TASKS[step].reads, context)


def results_of(steps: Iterable[Step], context: Mapping[str, Any]) -> Results:
    """Return the results of those of the steps that this run has taken."""
    earlier = {step: context["ti"].xcom_pull(task_ids=str(step)) for step in steps}
    return {step: data for step, data in earlier.items() if data is not None}


@contextmanager
def final_errors() -> Iterator[None]:
    """Tell Airflow of an error that trying again would not mend."""
    from airflow.sdk.exceptions import AirflowFailException

    try:
        yield
    except Final as error:
        raise AirflowFailException(str(error)) from error


def make_run(settings: Settings, spec_name: str, key: str, params: Mapping[str, Any]) -> Run:
    """Return the run that `key` names, with the policies of the settings and the spec."""
    from numpy.random import default_rng

    from gauntlet.domain.promotion_policy import SPEC_KEYS, PromotionPolicy, PromotionRule
    from gauntlet.jobs.run import Run

    spec = load_spec(settings, spec_name)
    own = spec.thresholds.model_dump(exclude_none=True)
    test = {name: own[name] for name in SPEC_KEYS if name in own}
    return Run(
        key=key,
        spec=spec,
        names=names(settings, spec_name),
        drift_policy=drift_policy(settings, spec),
        promotion_policy=PromotionPolicy(rule=PromotionRule(settings.promotion_rule), metric=spec.metric, **test),
        force_retrain=bool(params.get("force_retrain", False)),
        simulate_drift=int(params.get("simulate_drift", 0)),
        log_details=settings.mlflow_log,
        threads=settings.training_threads,
        code_version=code_version(),
        decided_by=f"airflow {key}",
        rng=default_rng(int.from_bytes(hashlib.sha256(key.encode()).digest()[:8])),
        require_approval=settings.require_approval,
        approval_hours=settings.approval_timeout_hours,
        mlflow_page=_page(settings.mlflow_page_url or settings.mlflow_tracking_uri or ""),
        clock=time.perf_counter,
    )


def _page(address: str) -> str:
    """An address as people are told it: without the login that may stand in it."""
    parts = urlsplit(address)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl().rstrip("/")


def make_ports(settings: Settings) -> Ports:
    """Return the adapters that the settings name; raises SettingsError when an address is missing."""
    from gauntlet.adapters.ledger import PostgresLedger
    from gauntlet.adapters.mlflow_registry import MlflowRegistry
    from gauntlet.adapters.mlflow_tracking import MlflowTracking
    from gauntlet.adapters.router_client import RouterClient
    from gauntlet.jobs.run import Ports

    settings.require("flask_url", "mlflow_tracking_uri", "gauntlet_database_url", "object_store")
    reach_loopback_directly()
    return Ports(
        traffic=RouterClient(str(settings.flask_url)),
        store=object_store(settings),
        registry=MlflowRegistry(str(settings.mlflow_tracking_uri)),
        tracking=MlflowTracking(str(settings.mlflow_tracking_uri)),
        ledger=PostgresLedger(database_url(settings)),
        notifier=notifier(settings),
    )


def notifier(settings: Settings) -> Notifier:
    """Return what tells people; nobody is told where no URL is set."""
    from gauntlet.adapters.notifications import AppriseNotifier
    from gauntlet.jobs.people import NoNotifier

    return NoNotifier() if settings.notify_urls is None else AppriseNotifier(settings.secret("notify_urls"))


def object_store(settings: Settings, uri: str | None = None) -> LocalStore | S3Store:
    """Return the store of snapshots, profiles and test rows, or another one at `uri` on the same server."""
    from gauntlet.adapters.objects import open_store

    if uri is None:
        settings.require("object_store")
    return open_store(uri or str(settings.object_store), **s3_access(settings))


def s3_access(settings: Settings) -> dict[str, str | None]:
    """Return where an S3 store answers, and its keys, as its clients take them."""
    secret = settings.aws_secret_access_key
    return {
        "endpoint": settings.mlflow_s3_endpoint_url,
        "key_id": settings.aws_access_key_id,
        "secret": secret.get_secret_value() if secret else None,
        "region": settings.aws_default_region,
    }


def database_url(settings: Settings) -> str:
    """Return the ledger's address; raises SettingsError when it is not set."""
    settings.require("gauntlet_database_url")
    assert settings.gauntlet_database_url is not None  # noqa: S101 - require() has just checked it
    return settings.gauntlet_database_url.get_secret_value()


def ledger(settings: Settings) -> PostgresLedger:
    """Return the ledger."""
    from gauntlet.adapters.ledger import PostgresLedger

    return PostgresLedger(database_url(settings))


def champions(settings: Settings) -> Mapping[str, Production]:
    """Return what is in production, by spec."""
    return ledger(settings).champions()


def freezes(settings: Settings) -> Mapping[str, Freeze]:
    """Return the specs that are frozen."""
    return ledger(settings).freezes()


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
    from gauntlet.jobs.conductor import Conductor

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
        return f"{version}+code.{_code_digest()}"
    return f"{version}+{commit}"


def _code_digest() -> str:
    """A name for the code itself, where no checkout tells its commit, as in a container."""
    package = ROOT / "src" / "gauntlet"
    found = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        found.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return found.hexdigest()[:12]
