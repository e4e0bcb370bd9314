"""What the DAG of the main pipeline has to do with people: it asks for approval, and tells of a failure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from gauntlet.bootstrap.environment import load_settings
from gauntlet.bootstrap.wiring import final_errors, notifier, step_input
from gauntlet.jobs.flow import Step
from gauntlet.jobs.people import APPROVE, Answer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gauntlet.jobs.people import Question


def ask(spec: str, context: Mapping[str, Any]) -> Question:
    """Return what a person is asked before a promotion, and tell whoever is notified that an answer is waited for."""
    from gauntlet.jobs.approval import question

    with final_errors():
        run, ports, results = step_input(Step.APPROVE_PROMOTION, spec, context)
        asked = question(run, ports, results)
    page = run_page(context["dag_run"].dag_id, context["dag_run"].run_id)
    answer_here = f"{page}/tasks/{Step.APPROVE_PROMOTION}/required_actions"
    ports.notifier.tell(asked.subject, f"{_readable(asked.body)}\n\nAnswer in Airflow: {answer_here}")
    return asked


def _readable(body: str) -> str:
    """Return the evidence for a plain text message: names as they are. What makes links and mentions stays escaped."""
    return re.sub(r"\\([_#{}~|])", r"\1", body)


def answered(response: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the next step reads of a response to Airflow's operator; a default that was taken is nobody's."""
    user = response["responded_by_user"]
    return Answer(
        approved=user is not None and response["chosen_options"] == [APPROVE],
        by=None if user is None else str(user["name"]),
    ).to_dict()


def tell_failure(context: Mapping[str, Any]) -> None:
    """Tell people that a run has failed, in which step, and where to look; not why, which may hold a secret."""
    dag, run_id = context["dag"].dag_id, str(context["run_id"])
    failed = context.get("ti")
    step = f" in its step {failed.task_id}" if failed is not None else ""
    text = f"Run {run_id} of {dag} has failed{step}. Its log: {run_page(dag, run_id)}"
    notifier(load_settings()).tell(f"{dag} has failed", text)


def run_page(dag: str, run_id: str) -> str:
    """Return where people see a run in Airflow."""
    from airflow.sdk.configuration import conf

    base = conf.get("api", "base_url", fallback="").rstrip("/")
    return f"{base}/dags/{dag}/runs/{quote(run_id, safe=':+')}"
