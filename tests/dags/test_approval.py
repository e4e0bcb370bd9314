"""Airflow's own operator asks a person: runs by `dag.test()` that somebody answers through Airflow's database."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from tests.receiver import receiving
from tests.unit.test_pipeline import toys

from gauntlet.jobs.flow import Step
from gauntlet.jobs.run import Ports

ADMIN = {"id": "1", "name": "Ada"}


@pytest.fixture
def drifted(dag_bag: Any, ports: Ports, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The DAG with a champion, a person who is asked, and rows on which a challenger is better."""
    dag = dag_bag.dags["main_pipeline"]
    dag.test()
    monkeypatch.setenv("REQUIRE_APPROVAL", "true")
    # the port promises no pools: these are those of the one in memory
    ports.traffic.training = {"diamonds": toys(4000, 1, slope=14.0)}  # type: ignore[attr-defined]
    ports.traffic.test = {"diamonds": toys(3000, 100_000, slope=14.0)}  # type: ignore[attr-defined]
    return dag


@pytest.mark.parametrize(
    ("option", "version", "held"),
    [("Approve", 2, None), ("Reject", 1, "rejected by Ada"), (None, 1, "nobody answered within 24 hours")],
)
def test_the_flow_goes_on_with_the_answer(
    drifted: Any, ports: Ports, option: str | None, version: int, held: str | None
) -> None:
    with _answering(option) as asked:
        run = drifted.test()
    entry = ports.ledger.settled("diamonds", f"main_pipeline/{run.run_id}")
    production = ports.ledger.production("diamonds")
    assert entry is not None
    assert production is not None
    assert (production.version, entry.held) == (version, held)
    states = {task.task_id: str(task.state) for task in run.get_task_instances()}
    assert states[Step.APPROVE_PROMOTION] == states[Step.MODEL_TO_PROD] == states[Step.SUMMARY] == "success"
    assert asked.options == ["Approve", "Reject"]
    assert asked.subject == "diamonds: move production from v1 to v2?"
    assert 23.9 < asked.hours <= 24


def test_a_failed_run_is_told_once_with_its_step_and_without_the_error(
    dag_bag: Any, ports: Ports, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ports.traffic, "training", {})  # KeyError: tried again, and once more
    monkeypatch.setattr(dag_bag.dags["main_pipeline"].get_task(Step.TAKE_SNAPSHOT), "retry_delay", timedelta(0))
    with receiving() as receiver:
        monkeypatch.setenv("NOTIFY_URLS", receiver.url())
        run = dag_bag.dags["main_pipeline"].test()
    assert str(run.state) == "failed"
    ((_, message),) = receiver.posted
    assert message["title"] == "main_pipeline has failed"
    assert (
        f"Run {run.run_id} of main_pipeline has failed in its step take_snapshot. Its log: http://airflow.test/dags"
        in message["message"]
    )
    assert "KeyError" not in message["message"]


@contextmanager
def _answering(option: str | None) -> Iterator[SimpleNamespace]:
    """Answer the next question as Airflow's REST interface does, or for None as its scheduler does when time is up."""
    asked = SimpleNamespace()
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(_answer, asked, option)
        yield asked
        answer.result(timeout=1)


def _answer(asked: SimpleNamespace, option: str | None) -> None:
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.trigger import handle_event_submit
    from airflow.triggers.base import TriggerEvent
    from airflow.utils.session import create_session
    from sqlalchemy import select
    from sqlalchemy.orm import joinedload

    waiting = (
        select(TaskInstance).where(TaskInstance.state == "awaiting_input").options(joinedload(TaskInstance.hitl_detail))
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with create_session() as session:
            task = session.scalar(waiting)
            if task is not None:
                now, detail = datetime.now(UTC), task.hitl_detail
                asked.options, asked.subject = detail.options, detail.subject
                asked.hours = (task.trigger_timeout - now).total_seconds() / 3600
                detail.chosen_options = [option] if option else detail.defaults
                detail.responded_at, detail.responded_by = now, ADMIN if option else None
                event = TriggerEvent(detail.as_resume_event_payload(timedout=option is None))
                handle_event_submit(event, task_instance=task, session=session)
                return
        time.sleep(0.2)
    raise TimeoutError("nobody was asked within 60 s")
