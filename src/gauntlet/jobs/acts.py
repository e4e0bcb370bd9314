"""Runs started from outside: one by hand, or the four acts of the demo, with what each came to."""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any

from gauntlet.domain.errors import Final, Mendable
from gauntlet.jobs.conductor import Conductor, TaskState
from gauntlet.jobs.flow import LABELS, Step
from gauntlet.jobs.ports import Entry

NO_DRIFT: Mapping[str, Any] = {"a": 0.5, "b": 0.5, "drift_cols": [], "drift": None, "seed": None}
DEMO_ROWS = 5000
SHOWN_STATES = ("success", "failed", "up_for_retry")
WAITING = "awaiting_input"


class RunFailed(Mendable):
    """A pipeline run ended in failure; the text has the failed step and the end of its log."""


class ActOutcome(StrEnum):
    """How an act ended."""

    SETTLED = "settled"
    NO_DRIFT = "no drift"
    DONE_ALREADY = "done already"


@dataclass(frozen=True)
class ActReport:
    """What one act came to; `entry` is its run's line in the ledger if it is SETTLED, `run_id` None if DONE_ALREADY."""

    act: str
    outcome: ActOutcome
    run_id: str | None
    line: str
    entry: Entry | None
    seconds: float

    @property
    def verdict(self) -> str:
        """The verdict in a word or two, or why there is none."""
        return str(self.outcome) if self.entry is None else str(self.entry.verdict)


@contextmanager
def turned_on(conductor: Conductor) -> Iterator[str | None]:
    """Turn the DAG on for the block, then leave it as it was; yields the run that turning it on started, if any."""
    scheduler, dag = conductor.scheduler, conductor.dag
    scheduler.wait_for_dag(dag)
    if not scheduler.paused(dag):
        yield None
        return
    earlier = scheduler.unfinished_runs(dag)
    due = not earlier and scheduler.scheduled_run_due(dag)  # one run at a time: beside another none is started
    if earlier:
        conductor.say(f"  Earlier runs have not ended and go first: {', '.join(earlier)}")
    with _put_back(conductor, f"the pause of {dag}", partial(_pause, conductor)):
        scheduler.set_paused(dag, False)
        yield _first_unfinished(conductor) if due else None


@contextmanager
def demo_traffic(conductor: Conductor) -> Iterator[None]:
    """For the block serve rows without drift, as many as a verdict needs; then the traffic is as it was found."""
    name = conductor.spec.name
    found = conductor.traffic.get_traffic(name)
    whole = {"drift": None, "seed": None, **found}
    put_back = partial(conductor.traffic.set_traffic, name, whole)
    with _put_back(conductor, f"the traffic {json.dumps(whole)}", put_back):
        try:
            conductor.traffic.set_traffic(name, {**NO_DRIFT, "data_size": DEMO_ROWS})
        except Final:  # the data have fewer rows
            conductor.traffic.set_traffic(name, NO_DRIFT)
        yield
    conductor.say("\nThe traffic is again as it was found.")


def run_once(conductor: Conductor, conf: Mapping[str, Any]) -> ActReport:
    """Do one run by hand; a scheduled run that turning the DAG on starts is used when it would do the same."""
    with turned_on(conductor) as scheduled:
        if scheduled is not None and conf:
            follow(conductor, "scheduled run", scheduled)
            scheduled = None
        return follow(conductor, "run", scheduled or conductor.scheduler.start(conductor.dag, conf))


def play(conductor: Conductor) -> list[ActReport]:
    """Play the four acts; the traffic that was found is restored at the end, whatever happens."""
    spec = conductor.spec
    drifting = [*spec.numeric_features[:1], *spec.categorical_features[-1:]]
    with demo_traffic(conductor), turned_on(conductor) as scheduled:
        reports = [_first_model(conductor, scheduled)]
        conductor.say(f"\nAct 2: rows without drift. {_expected(reports[0])}")
        reports.append(_act(conductor, "2 rows without drift", {}))
        conductor.say(f"\nAct 3: drift in {' and '.join(drifting)}, by POST /traffic.")
        conductor.traffic.set_traffic(spec.name, {"drift_cols": drifting})
        reports.append(_act(conductor, "3 drift", {}))
        conductor.say("\nAct 4: a forced retrain on the same traffic: a challenger of equal quality.")
        reports.append(_act(conductor, "4 forced retrain", {"force_retrain": True}))
    return reports


def follow(conductor: Conductor, act: str, run_id: str) -> ActReport:
    """Wait for a run, saying each step as it ends; raises RunFailed when the run fails."""
    began = time.monotonic()
    stop = partial(conductor.scheduler.stop_run, conductor.dag, run_id)
    try:
        state = _watch(conductor, run_id, began)
    except BaseException:  # above all Ctrl-C: a run that is not ended would go on in the middle of a later one
        _attempt(conductor, f"end run {run_id} of {conductor.dag}", stop)
        raise
    seconds = time.monotonic() - began
    if state == "failed":
        raise RunFailed(conductor.scheduler.failure(conductor.dag, run_id))
    line = conductor.scheduler.result(conductor.dag, run_id, Step.SUMMARY)["line"]
    conductor.say(f"  => {line}  ({seconds:.1f} s)")
    entry = conductor.ledger.settled(conductor.spec.name, conductor.run_key(conductor.dag, run_id))
    outcome = ActOutcome.NO_DRIFT if entry is None else ActOutcome.SETTLED
    return ActReport(act, outcome, run_id, line, entry, seconds)


@contextmanager
def _put_back(conductor: Conductor, what: str, put_back: Callable[[], object]) -> Iterator[None]:
    """Put back after the block what it changes; where that fails after an error, the error is the one that goes on."""
    try:
        yield
    except BaseException:
        _attempt(conductor, f"put back {what}", put_back)
        raise
    put_back()


def _attempt(conductor: Conductor, what: str, do: Callable[[], object]) -> None:
    try:
        do()
    except Mendable as trouble:
        conductor.say(f"  Could not {what}, so do it by hand: {trouble}")


def _pause(conductor: Conductor) -> None:
    """Pause the DAG again, unless somebody else's runs would stand still then."""
    others = conductor.scheduler.unfinished_runs(conductor.dag)
    if others:
        conductor.say(f"  {conductor.dag} stays on: {', '.join(others)} has not ended")
    else:
        conductor.scheduler.set_paused(conductor.dag, True)


def _first_model(conductor: Conductor, scheduled: str | None) -> ActReport:
    act, name = "1 first model", conductor.spec.name
    conductor.say("\nAct 1: the first model.")
    champion = conductor.ledger.production(name)
    if champion is None:
        if scheduled is None:
            return _act(conductor, act, {})
        conductor.say("  Turning the DAG on has started its first scheduled run; this is it.")
        return follow(conductor, act, scheduled)
    if scheduled is not None:
        conductor.say("  Turning the DAG on has started a scheduled run, which goes first.")
        follow(conductor, "scheduled run", scheduled)
        champion = conductor.ledger.production(name) or champion
    line = (
        f"v{champion.version} is in production since {champion.since:%Y-%m-%d %H:%M}: this act is done already. "
        "What follows is judged against that champion, and by the rows it was trained on."
    )
    conductor.say(f"  => {line}")
    return ActReport(act, ActOutcome.DONE_ALREADY, None, line, None, 0.0)


def _expected(first: ActReport) -> str:
    if first.outcome is ActOutcome.DONE_ALREADY:
        return "If the champion learned from drifted rows, as an earlier demo leaves it, these are drift to it."
    return "Nothing should be trained."


def _act(conductor: Conductor, act: str, conf: Mapping[str, Any]) -> ActReport:
    return follow(conductor, act, conductor.scheduler.start(conductor.dag, conf))


def _watch(conductor: Conductor, run_id: str, began: float) -> str:
    """Say what a run does until it has ended, and return its last state."""
    told: set[tuple[str, int, str]] = set()
    while True:
        state = conductor.scheduler.run_state(conductor.dag, run_id)
        _tell(conductor, run_id, told, time.monotonic() - began)
        if state in ("success", "failed"):
            return state
        time.sleep(0.3)  # Airflow has no push: this is how often its page asks, too


def _first_unfinished(conductor: Conductor, seconds: float = 20.0) -> str | None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        runs = conductor.scheduler.unfinished_runs(conductor.dag)
        if runs:
            return runs[0]
        time.sleep(0.2)
    return None


def _tell(conductor: Conductor, run_id: str, told: set[tuple[str, int, str]], seconds: float) -> None:
    tasks = conductor.scheduler.task_states(conductor.dag, run_id)
    for task in tasks:
        news = (task.task, task.try_number, task.state or "")
        if task.state in SHOWN_STATES and news not in told:
            told.add(news)
            took = f"{task.seconds:5.1f} s" if task.seconds is not None else "       "
            conductor.say(f"  {took}  {LABELS[Step(task.task)]}{_trouble(task)}")
        if task.state == WAITING and news not in told:
            told.add(news)
            page = conductor.scheduler.answer_page(conductor.dag, run_id, task.task)
            conductor.say(f"           waiting for approval: {page}")
    conductor.doing(f"  {seconds:5.1f} s  {_doing(tasks)} ...")


def _doing(tasks: Sequence[TaskState]) -> str:
    running = next((task for task in tasks if task.state == "running"), None)
    if running is not None:
        return LABELS[Step(running.task)]
    return "waiting for approval" if any(task.state == WAITING for task in tasks) else "waiting for Airflow"


def _trouble(task: TaskState) -> str:
    """What was not as it should be about a task that has ended, if anything."""
    if task.state == "up_for_retry":
        return f"  [try {task.try_number} failed; Airflow tries again]"
    if task.state == "failed":
        return "  [failed]"
    return f"  [try {task.try_number}]" if task.try_number > 1 else ""
