"""A flow as Airflow tasks, for the DAG files alone: they build their DAG, and this fills it.

Nothing else imports this module, since it loads Airflow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import Asset, AssetAny, AssetOrTimeSchedule, CronDataIntervalTimetable, get_current_context, task

from gauntlet.bootstrap.people import answered, ask
from gauntlet.jobs.flow import LABELS, Flow, Step, branches, edges
from gauntlet.jobs.people import APPROVE, REJECT

if TYPE_CHECKING:
    from gauntlet.bootstrap.catalogue import Pipeline

RunStep = Callable[[Step, str, Mapping[str, Any]], Any]
MOVES_PRODUCTION = (Step.SET_INITIAL_MODEL, Step.SET_NEW_PROD_MODEL)


class Approval(HITLOperator):  # type: ignore[misc]  # mypy does not read Airflow
    """Asks a person with the evidence of the run; no answer in time is a Reject. Either way the flow goes on."""

    def __init__(self, *, spec: str, **kwargs: Any) -> None:
        super().__init__(subject="asked by the run", options=[APPROVE, REJECT], defaults=REJECT, **kwargs)
        self.spec = spec

    def execute(self, context: Mapping[str, Any]) -> Any:
        """Ask, and leave the worker until there is an answer."""
        question = ask(self.spec, context)
        self.subject, self.body = question.subject, question.body
        self.response_timeout = timedelta(hours=question.hours)
        return super().execute(context)

    def execute_complete(self, context: Mapping[str, Any], event: Mapping[str, Any]) -> dict[str, Any]:
        """Hand on what was answered, and by whom."""
        return answered(super().execute_complete(context, event))


def add_flow(flow: Flow, pipeline: Pipeline, run_step: RunStep) -> None:
    """Add the tasks and arrows of a flow to the DAG that is being built; `run_step` does the work of each task.

    Those that move production say so by the spec's Asset.
    """
    tasks = {step: _task(step, flow, pipeline, run_step) for step in flow}
    for before, after in edges(flow):
        tasks[before] >> tasks[after]


def when(cron: str | None, *assets: Asset) -> Any:
    """Return the schedule of a DAG that runs for each data interval of `cron`, if any, and when an Asset changes."""
    change = AssetAny(*assets)
    if cron is None:
        return change
    # a plain cron line would have no data intervals, and a backfill nothing to tell its runs apart by
    return AssetOrTimeSchedule(timetable=CronDataIntervalTimetable(cron, timezone="UTC"), assets=change)


def _task(step: Step, flow: Flow, pipeline: Pipeline, run_step: RunStep) -> Any:
    """The Airflow task of a step; a branch names the task to go on with."""
    common: dict[str, Any] = {
        "task_id": str(step),
        "doc_md": LABELS[step],
        "trigger_rule": "none_failed_min_one_success",
    }
    if step is Step.APPROVE_PROMOTION:
        # how long to wait is known when it runs
        return Approval(spec=pipeline.spec, execution_timeout=None, **common)
    outlets = [Asset(pipeline.assets.production)] if step in MOVES_PRODUCTION else []
    decorate = task.branch if branches(step, flow) else task

    @decorate(outlets=outlets, **common)  # type: ignore[untyped-decorator]  # the same
    def run() -> Any:
        return run_step(step, pipeline.spec, get_current_context())

    return run()
