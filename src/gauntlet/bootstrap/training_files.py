"""Training from files, put together from the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gauntlet.bootstrap.catalogue import run_key
from gauntlet.bootstrap.environment import load_settings
from gauntlet.bootstrap.wiring import make_ports, make_run, object_store, results_of, run_task
from gauntlet.jobs.flow import TRAIN_FLOW, Step

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gauntlet.jobs.run import Results
    from gauntlet.jobs.train_files import TrainPorts, TrainRun
    from gauntlet.settings import Settings


def run_train_step(step: Step, spec: str, context: Mapping[str, Any]) -> Any:
    """Run one step inside an Airflow task: its data for the next steps, or the task id that a branch chooses."""
    from gauntlet.jobs.pipeline import TRAIN_TASKS

    return run_task(step, TRAIN_FLOW, TRAIN_TASKS[step].run, lambda: train_step_input(step, spec, context))


def train_step_input(step: Step, spec: str, context: Mapping[str, Any]) -> tuple[TrainRun, TrainPorts, Results]:
    """Return what a step is given inside an Airflow task."""
    from gauntlet.jobs.pipeline import TRAIN_TASKS

    settings = load_settings()
    dag_run = context["dag_run"]
    run = make_train_run(settings, spec, run_key(dag_run.dag_id, dag_run.run_id), dict(context["params"]))
    return run, train_ports(settings), results_of(TRAIN_TASKS[step].reads, context)


def make_train_run(settings: Settings, spec: str, key: str, params: Mapping[str, Any]) -> TrainRun:
    """Return the run that `key` names; `params`: `uri` (one file alone) and `force` (train without new rows)."""
    from gauntlet.jobs.train_files import TrainRun

    run = make_run(settings, spec, key, {"force_retrain": bool(params.get("force"))})
    return TrainRun(**vars(run), share=settings.ab_pool_share, uri=params.get("uri") or None)


def train_ports(settings: Settings) -> TrainPorts:
    """Return the adapters that the settings name; raises SettingsError when an address is missing."""
    from gauntlet.bootstrap.marts import mart
    from gauntlet.jobs.train_files import TrainPorts

    return TrainPorts(
        **vars(make_ports(settings)),
        files=object_store(settings),
        mart=mart(settings),
        scratch=settings.scratch_dir,
    )
