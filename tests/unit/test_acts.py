"""Runs started from outside, on a scheduler in memory: which run is used, what is put back, and what is said."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.fakes import MemoryLedger

from gauntlet.domain.errors import Final
from gauntlet.domain.spec import Spec
from gauntlet.domain.verdict import Verdict
from gauntlet.jobs.acts import (
    DEMO_ROWS,
    ActOutcome,
    RunFailed,
    demo_traffic,
    play,
    run_once,
    turned_on,
)
from gauntlet.jobs.conductor import Conductor, TaskState
from gauntlet.jobs.flow import LABELS, Step
from gauntlet.jobs.ports import Entry, Production, ServiceAway

DAG = "main_pipeline"
TEXT = """
title = "Price of a toy"
data = "toys.csv"
target = "price"
task = "regression"
metric = "mae"
candidates = ["linear"]
[numeric]
size = { min = 0, max = 30 }
weight = { min = 0, max = 30 }
price = { min = -100, max = 1000 }
"""
COLOURED = f"{TEXT}\n[categorical]\nshape = ['round', 'square']\ncolour = ['red', 'green']\n"
WITHOUT_NUMBERS = COLOURED.replace("size = { min = 0, max = 30 }\nweight = { min = 0, max = 30 }\n", "")


@dataclass
class MemoryScheduler:
    """Airflow with one DAG; a run ends when it is looked at, unless `work` raises or returns another state."""

    work: Callable[[str], str] = lambda _: "success"
    is_paused: bool = True
    due: bool = False
    runs: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    unfinished: list[str] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)
    tasks: list[TaskState] = field(default_factory=list)
    trouble: Exception | None = None

    def wait_for_dag(self, dag: str) -> None:
        assert dag == DAG

    def paused(self, dag: str) -> bool:
        assert dag == DAG
        return self.is_paused

    def set_paused(self, dag: str, paused: bool) -> None:
        assert dag == DAG
        if paused and self.trouble:
            raise self.trouble
        self.is_paused = paused
        if self.due and not paused:
            self.due = False
            self._add("scheduled", {})

    def scheduled_run_due(self, dag: str) -> bool:
        assert dag == DAG
        return self.due

    def start(self, dag: str, conf: Mapping[str, Any]) -> str:
        assert dag == DAG
        assert not self.is_paused
        return self._add(f"manual {len(self.runs) + 1}", conf)

    def unfinished_runs(self, dag: str) -> Sequence[str]:
        assert dag == DAG
        return list(self.unfinished)

    def stop_run(self, dag: str, run_id: str) -> None:
        assert dag == DAG
        self.unfinished.remove(run_id)
        self.stopped.append(run_id)

    def run_state(self, dag: str, run_id: str) -> str:
        assert dag == DAG
        state = self.work(run_id)
        if state != "running":
            self.unfinished.remove(run_id)
        return state

    def task_states(self, dag: str, run_id: str) -> Sequence[TaskState]:
        assert (dag, run_id in self.runs) == (DAG, True)
        return self.tasks

    def answer_page(self, dag: str, run_id: str, task: str) -> str:
        assert (dag, run_id in self.runs) == (DAG, True)
        return f"http://airflow/{run_id}/{task}"

    def failure(self, dag: str, run_id: str) -> str:
        assert dag == DAG
        return f"step ab_test of run {run_id} failed; the end of its log:\n  the last line"

    def result(self, dag: str, run_id: str, task: str) -> Any:
        assert (dag, task) == (DAG, Step.SUMMARY)
        return {"line": f"what {run_id} came to"}

    def _add(self, run_id: str, conf: Mapping[str, Any]) -> str:
        self.runs[run_id] = dict(conf)
        self.unfinished.append(run_id)
        return run_id


@dataclass
class MemoryRouter:
    """The router's traffic, of a pool of so many rows; `seen` has every configuration that was set."""

    config: dict[str, Any] = field(default_factory=lambda: {"a": 0.3, "b": 0.7, "data_size": 500, "drift_cols": ["x"]})
    pool: int = 16_000
    seen: list[dict[str, Any]] = field(default_factory=list)
    trouble: Exception | None = None

    def get_traffic(self, spec: str) -> Mapping[str, Any]:
        assert spec == "toys"
        return dict(self.config)

    def set_traffic(self, spec: str, changes: Mapping[str, Any]) -> Mapping[str, Any]:
        assert spec == "toys"
        if self.trouble:
            raise self.trouble
        new = {key: value for key, value in {**self.config, **changes}.items() if value is not None}
        if new["data_size"] > self.pool:
            raise Final(f"data_size must be a whole number from 1 to {self.pool}")
        self.config = new
        self.seen.append(new)
        return new


class KnownLedger(MemoryLedger):
    """A ledger with a champion, or none, that settles the runs it is told."""

    def __init__(self, champion: int | None, settled: Mapping[str, Verdict]) -> None:
        super().__init__()
        self._champion, self._settled = champion, settled

    def production(self, spec: str) -> Production | None:
        since = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
        return None if self._champion is None else Production(spec, "toys", self._champion, "run", since)

    def settled(self, spec: str, run_key: str) -> Entry | None:
        verdict = self._settled.get(run_key)
        at = datetime(2026, 1, 2, tzinfo=UTC)
        if verdict is None:
            return None
        return Entry(1, at, spec, run_key, verdict, "better", 1, 2, -0.1, (-0.2, -0.1), 5000, {})


@dataclass
class Stage:
    scheduler: MemoryScheduler = field(default_factory=MemoryScheduler)
    traffic: MemoryRouter = field(default_factory=MemoryRouter)
    champion: int | None = None
    settled: Mapping[str, Verdict] = field(default_factory=dict)
    text: str = COLOURED
    said: list[str] = field(default_factory=list)

    @property
    def conductor(self) -> Conductor:
        return Conductor(
            scheduler=self.scheduler,
            traffic=self.traffic,
            ledger=KnownLedger(self.champion, self.settled),
            spec=Spec.parse("toys", self.text),
            dag=DAG,
            run_key=lambda dag, run_id: f"{dag}/{run_id}",
            say=self.said.append,
            doing=lambda _: None,
        )


def interrupted_at(run: str, error: BaseException) -> Callable[[str], str]:
    def work(run_id: str) -> str:
        if run_id == run:
            raise error
        return "success"

    return work


def test_a_run_is_started_and_told() -> None:
    stage = Stage(settled={"main_pipeline/manual 1": Verdict.PROMOTE})
    report = run_once(stage.conductor, {})
    assert stage.scheduler.runs == {"manual 1": {}}
    assert (report.run_id, report.outcome, report.verdict) == ("manual 1", ActOutcome.SETTLED, "PROMOTE")
    assert report.line == "what manual 1 came to"
    assert stage.said[-1].startswith("  => what manual 1 came to  (")


def test_a_run_that_settles_nothing_found_no_drift() -> None:
    report = run_once(Stage().conductor, {})
    assert (report.outcome, report.verdict, report.entry) == (ActOutcome.NO_DRIFT, "no drift", None)


def test_the_scheduled_run_that_is_due_is_used() -> None:
    stage = Stage(MemoryScheduler(due=True))
    assert run_once(stage.conductor, {}).run_id == "scheduled"
    assert list(stage.scheduler.runs) == ["scheduled"]


def test_a_forced_run_comes_after_the_scheduled_one() -> None:
    stage = Stage(MemoryScheduler(due=True))
    assert run_once(stage.conductor, {"force_retrain": True}).run_id == "manual 2"
    assert stage.scheduler.runs == {"scheduled": {}, "manual 2": {"force_retrain": True}}


def test_a_run_left_over_is_said_and_not_taken_for_the_scheduled_one() -> None:
    stage = Stage(MemoryScheduler(due=True, runs={"old": {}}, unfinished=["old"]))
    assert run_once(stage.conductor, {}).run_id == "manual 3"
    assert stage.said[0] == "  Earlier runs have not ended and go first: old"


@pytest.mark.parametrize("paused", [True, False])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(143), ServiceAway("away"), None])
def test_the_dag_is_left_as_it_was(paused: bool, error: BaseException | None) -> None:
    work = interrupted_at("manual 1", error) if error else lambda _: "failed"
    stage = Stage(MemoryScheduler(work=work, is_paused=paused))
    with pytest.raises(type(error) if error else RunFailed):
        run_once(stage.conductor, {})
    assert stage.scheduler.is_paused == paused


def test_an_interrupt_ends_the_run_too() -> None:
    stage = Stage(MemoryScheduler(work=interrupted_at("manual 1", KeyboardInterrupt())))
    with pytest.raises(KeyboardInterrupt):
        run_once(stage.conductor, {})
    assert stage.scheduler.stopped == ["manual 1"]


def test_the_dag_stays_on_for_a_run_of_somebody_else() -> None:
    stage = Stage()
    with turned_on(stage.conductor):
        stage.scheduler.start(DAG, {})
    assert not stage.scheduler.is_paused
    assert stage.said == ["  main_pipeline stays on: manual 1 has not ended"]


def test_a_failed_run_shows_the_end_of_its_log() -> None:
    stage = Stage(MemoryScheduler(work=lambda _: "failed"))
    with pytest.raises(RunFailed, match=r"step ab_test of run manual 1 failed; the end of its log:\n  the last line"):
        run_once(stage.conductor, {})


def test_a_step_that_airflow_tried_again_is_shown() -> None:
    stage = Stage()
    states = iter(["running", "running", "success"])
    looks = iter(
        [
            TaskState("ab_test", "up_for_retry", 1.0, 1),
            TaskState("ab_test", "up_for_retry", 2.0, 2),
            TaskState("ab_test", "success", 3.0, 3),
        ]
    )

    def work(_: str) -> str:
        stage.scheduler.tasks = [next(looks)]
        return next(states)

    stage.scheduler.work = work
    run_once(stage.conductor, {})
    label = LABELS[Step.AB_TEST]
    assert stage.said[:3] == [
        f"    1.0 s  {label}  [try 1 failed; Airflow tries again]",
        f"    2.0 s  {label}  [try 2 failed; Airflow tries again]",
        f"    3.0 s  {label}  [try 3]",
    ]


def test_a_run_that_waits_for_a_person_says_so_once_and_where_to_answer() -> None:
    stage = Stage()
    states = iter(["running", "running", "running", "success"])
    looks = iter(["awaiting_input", "awaiting_input", "running", "success"])

    def work(_: str) -> str:
        stage.scheduler.tasks = [TaskState("approve_promotion", next(looks), 2.0, 1)]
        return next(states)

    stage.scheduler.work = work
    run_once(stage.conductor, {})
    assert stage.said[:2] == [
        "           waiting for approval: http://airflow/manual 1/approve_promotion",
        f"    2.0 s  {LABELS[Step.APPROVE_PROMOTION]}",
    ]


def test_the_demo_plays_four_acts_and_puts_the_traffic_back() -> None:
    stage = Stage(settled={f"main_pipeline/manual {number}": Verdict.PROMOTE for number in (1, 3)})
    before = dict(stage.traffic.config)
    reports = play(stage.conductor)
    assert [report.act for report in reports] == [
        "1 first model",
        "2 rows without drift",
        "3 drift",
        "4 forced retrain",
    ]
    assert [report.verdict for report in reports] == ["PROMOTE", "no drift", "PROMOTE", "no drift"]
    assert list(stage.scheduler.runs.values()) == [{}, {}, {}, {"force_retrain": True}]
    calm, drifting, after = stage.traffic.seen
    assert (calm["a"], calm["data_size"], calm["drift_cols"]) == (0.5, DEMO_ROWS, [])
    assert (drifting["data_size"], drifting["drift_cols"]) == (DEMO_ROWS, ["size", "colour"])
    assert after == before
    assert stage.scheduler.is_paused


def test_the_first_scheduled_run_is_the_first_act() -> None:
    stage = Stage(MemoryScheduler(due=True))
    assert play(stage.conductor)[0].run_id == "scheduled"
    assert list(stage.scheduler.runs) == ["scheduled", "manual 2", "manual 3", "manual 4"]


@pytest.mark.parametrize("due", [True, False])
def test_the_demo_again_says_what_differs(due: bool) -> None:
    stage = Stage(MemoryScheduler(due=due), champion=3)
    first = play(stage.conductor)[0]
    assert (first.outcome, first.verdict, first.run_id) == (ActOutcome.DONE_ALREADY, "done already", None)
    assert first.line == (
        "v3 is in production since 2026-01-02 03:04: this act is done already. "
        "What follows is judged against that champion, and by the rows it was trained on."
    )
    assert f"  => {first.line}" in stage.said
    assert ("scheduled" in stage.scheduler.runs) == due
    assert len(stage.scheduler.runs) == 3 + due


@pytest.mark.parametrize(
    ("text", "drifting"),
    [(COLOURED, ["size", "colour"]), (TEXT, ["size"]), (WITHOUT_NUMBERS, ["colour"])],
)
def test_the_third_act_drifts_what_the_spec_has(text: str, drifting: list[str]) -> None:
    stage = Stage(text=text)
    play(stage.conductor)
    assert stage.traffic.seen[1]["drift_cols"] == drifting
    assert f"\nAct 3: drift in {' and '.join(drifting)}, by POST /traffic." in stage.said


def test_data_with_fewer_rows_keep_the_size_that_was_found() -> None:
    stage = Stage(traffic=MemoryRouter(pool=2000))
    with demo_traffic(stage.conductor):
        assert stage.traffic.config == {"a": 0.5, "b": 0.5, "data_size": 500, "drift_cols": []}


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(143), ServiceAway("away"), None])
@pytest.mark.parametrize("found", [{}, {"drift": {"size": {"kind": "shift"}}, "seed": 7}])
def test_the_traffic_is_put_back_whatever_happens(error: BaseException | None, found: Mapping[str, Any]) -> None:
    stage = Stage()
    stage.traffic.config |= found
    before = dict(stage.traffic.config)
    failing = {"manual 3": "failed"}
    stage.scheduler.work = interrupted_at("manual 3", error) if error else lambda run: failing.get(run, "success")
    with pytest.raises(type(error) if error else RunFailed):
        play(stage.conductor)
    assert stage.traffic.config == before
    assert stage.scheduler.is_paused


def test_what_cannot_be_put_back_is_said_and_hides_no_error() -> None:
    stage = Stage()

    def work(_: str) -> str:
        stage.traffic.trouble = ServiceAway("the router must answer")
        stage.scheduler.trouble = ServiceAway("Airflow must answer")
        return "failed"

    stage.scheduler.work = work
    with pytest.raises(RunFailed, match="step ab_test"):
        play(stage.conductor)
    assert stage.said[-2:] == [
        "  Could not put back the pause of main_pipeline, so do it by hand: Airflow must answer",
        '  Could not put back the traffic {"drift": null, "seed": null, "a": 0.3, "b": 0.7, "data_size": 500, '
        '"drift_cols": ["x"]}, so do it by hand: the router must answer',
    ]


def test_what_cannot_be_put_back_after_a_success_is_an_error() -> None:
    stage = Stage()
    stage.scheduler.trouble = ServiceAway("Airflow must answer")
    with pytest.raises(ServiceAway), turned_on(stage.conductor):
        pass
