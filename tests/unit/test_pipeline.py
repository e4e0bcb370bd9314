"""The whole flow on fakes: where a run goes, what it leaves behind, and that any step may be done twice."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tests.contract.adapters.records import make_case
from tests.fakes import (
    MemoryApprover,
    MemoryLedger,
    MemoryNotifier,
    MemoryObjects,
    MemoryRegistry,
    MemoryTracking,
    MemoryTraffic,
)

from gauntlet.domain.aliases import Alias
from gauntlet.domain.drift import DriftPolicy, DriftRule
from gauntlet.domain.promotion import PromotionPolicy, PromotionRule
from gauntlet.domain.spec import Spec
from gauntlet.domain.verdict import Verdict
from gauntlet.jobs.flow import FLOW, Outcome, Step, branches, edges, start
from gauntlet.jobs.people import Answer
from gauntlet.jobs.pipeline import TASKS, run_pipeline
from gauntlet.jobs.ports import Case, Entry, Names, StoreError, Version
from gauntlet.jobs.production import reconcile
from gauntlet.jobs.run import Ports, Refused, Run, StepResult

SPEC = Spec.parse(
    "toys",
    """
title = "Price of a toy"
data = "toys.csv"
target = "price"
task = "regression"
metric = "mae"
segments = ["colour"]
candidates = ["linear", "ridge"]
[numeric]
size = { min = 0, max = 30 }
price = { min = -100, max = 1000 }
[categorical]
colour = ["red", "green", "blue"]
""",
)
NAMES = Names(model="toys", experiment="toys", comparison="toys-comparison")
FIRST = [Step.TRAIN_INITIAL_MODEL, Step.SET_INITIAL_MODEL]
TEST = [Step.TRAIN_NEW_MODEL, Step.SET_STAGING_MODEL, Step.AB_TEST, Step.NEEDS_APPROVAL, Step.MODEL_TO_PROD]


def toys(rows: int, first_id: int, slope: float = 10.0) -> pd.DataFrame:
    rng = np.random.default_rng(first_id)
    size = rng.uniform(1, 10, rows)
    colour = rng.choice(["red", "green", "blue"], rows)
    price = slope * size + 5.0 * (colour == "red") + rng.normal(0, 3, rows)
    index = pd.Index(np.arange(first_id, first_id + rows), name="row_id")
    return pd.DataFrame({"size": size, "price": price, "colour": colour}, index=index)


@dataclass
class World:
    """The fakes, and runs on them."""

    traffic: MemoryTraffic = field(
        default_factory=lambda: MemoryTraffic({"toys": toys(4000, 1)}, {"toys": toys(3000, 100_000)}, data_size=2000)
    )
    store: MemoryObjects = field(default_factory=MemoryObjects)
    registry: MemoryRegistry = field(default_factory=MemoryRegistry)
    tracking: MemoryTracking = field(default_factory=MemoryTracking)
    ledger: MemoryLedger = field(default_factory=MemoryLedger)
    notifier: MemoryNotifier = field(default_factory=MemoryNotifier)
    approver: MemoryApprover = field(default_factory=lambda: MemoryApprover(Answer(approved=True, by="Ada")))
    runs: int = 0

    @property
    def ports(self) -> Ports:
        return Ports(self.traffic, self.store, self.registry, self.tracking, self.ledger, self.notifier, self.approver)

    def run(self, **changes: Any) -> Run:
        self.runs += 1
        own: dict[str, Any] = {
            "key": f"main_pipeline/{self.runs}",
            "spec": SPEC,
            "names": NAMES,
            "drift_policy": DriftPolicy(),
            "promotion_policy": PromotionPolicy(),
            "force_retrain": False,
            "simulate_drift": 0,
            "log_details": True,
            "threads": 1,
            "code_version": "test",
            "decided_by": "test",
            "rng": np.random.default_rng(self.runs),
        }
        return Run(**{**own, **changes})

    def go(self, **changes: Any) -> list[Step]:
        return run_pipeline(self.run(**changes), self.ports)[0]

    def line(self, **changes: Any) -> str:
        return str(run_pipeline(self.run(**changes), self.ports)[1][Step.SUMMARY].data["line"])

    def prices_rise(self) -> None:
        """From now on toys cost more for their size: drift, and a champion that no longer fits."""
        self.traffic.training = {"toys": toys(4000, 1, slope=14.0)}
        self.traffic.test = {"toys": toys(3000, 100_000, slope=14.0)}

    @property
    def champion(self) -> int | None:
        production = self.ledger.production("toys")
        return production.version if production else None

    @property
    def aliases(self) -> dict[str, int]:
        return {alias: version for (_, alias), version in self.registry.aliases.items()}


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def started(world: World) -> World:
    world.go()
    return world


def test_every_outcome_leads_to_a_step_and_every_step_is_reached_and_has_a_task() -> None:
    reached = {start(FLOW)} | {after for _, after in edges()}
    assert reached == set(FLOW) == set(TASKS)
    assert [step for step in FLOW if branches(step)] == [
        Step.TRAIN_COMPARE,
        Step.CHECK_DRIFT,
        Step.NEEDS_APPROVAL,
        Step.MODEL_TO_PROD,
    ]


def test_a_step_reads_only_steps_that_may_have_run_before_it() -> None:
    before: dict[Step, set[Step]] = {step: set() for step in FLOW}
    for step in FLOW:  # the table is in the order of the flow
        for after in FLOW[step].values():
            before[after] |= before[step] | {step}
    for step, task in TASKS.items():
        assert set(task.reads) <= before[step], step


def test_the_first_model_goes_to_production(world: World) -> None:
    steps = world.go()

    assert [step for step in steps if step in FIRST + TEST] == FIRST
    assert world.champion == 1
    assert world.aliases == {Alias.PRODUCTION: 1}
    assert [(e.verdict, e.champion, e.challenger) for e in world.ledger.history("toys", 9)] == [
        (Verdict.PROMOTE, None, 1)
    ]


def test_without_drift_nothing_is_trained_and_the_report_is_kept(started: World) -> None:
    steps = started.go()

    assert not set(steps) & set(TEST)
    assert len(started.registry.versions) == 1
    report = started.ledger.drift_report("toys", "main_pipeline/2")
    assert report is not None
    assert report["drifted"] is False
    assert ("toys", "main_pipeline/2") in started.tracking.drifts


def test_drift_leads_to_a_challenger_that_is_tested_and_promoted_when_it_is_better(started: World) -> None:
    started.prices_rise()
    steps = started.go()

    assert [step for step in steps if step in TEST] == TEST
    assert steps[-2] == Step.SET_NEW_PROD_MODEL
    assert started.champion == 2
    assert started.aliases == {Alias.PRODUCTION: 2, Alias.PREVIOUS: 1}
    log = started.tracking.comparisons["toys-comparison", "main_pipeline/2"]
    assert log.run_name == "prod_v1_vs_stg_v2"
    assert log.params["verdict"] == "PROMOTE"
    assert log.params["new_prod_model"] == "2"
    assert {"a_mae", "a_rmse", "a_r2", "b_mae", "b_rmse", "b_r2", "effect"} <= set(log.metrics)
    assert len(log.a_data) + len(log.b_data) == 2000


def test_an_equal_challenger_leaves_production_alone_and_staging_is_dropped(started: World) -> None:
    steps = started.go(force_retrain=True)

    assert Step.SET_NEW_PROD_MODEL not in steps
    assert started.champion == 1
    assert started.aliases == {Alias.PRODUCTION: 1}
    entry = started.ledger.history("toys", 1)[0]
    assert entry.verdict in (Verdict.KEEP, Verdict.INCONCLUSIVE)
    assert entry.rows == 2000


def test_simulated_drift_is_the_same_in_snapshot_and_test_and_ends_with_the_run(started: World) -> None:
    started.go(simulate_drift=2)

    entry = started.ledger.settled("toys", "main_pipeline/2")
    assert entry is not None
    assert '"drift_cols": []' not in entry.evidence["traffic"]
    assert started.traffic.drift_cols == ()


def test_simulated_drift_of_more_columns_than_there_are_is_refused(world: World) -> None:
    with pytest.raises(Refused, match=r"^simulate_drift must lie in 0..3, .* got 4\."):
        world.go(simulate_drift=4)


def test_details_can_be_left_out_of_mlflow(started: World) -> None:
    started.prices_rise()
    started.go(log_details=False)

    assert not started.tracking.drifts
    assert not started.tracking.comparisons
    assert started.champion == 2


def test_the_original_rules_are_kept_for_parity(started: World) -> None:
    started.prices_rise()
    started.go(
        drift_policy=DriftPolicy(rule=DriftRule.ORIGINAL), promotion_policy=PromotionPolicy(rule=PromotionRule.ORIGINAL)
    )
    entry = started.ledger.settled("toys", "main_pipeline/2")
    assert entry is not None
    assert (started.champion, entry.interval) == (2, None)
    assert "rows of its own" in entry.reason


def test_rows_beyond_a_fifth_that_break_the_spec_stop_the_run_after_the_report(started: World) -> None:
    spoilt = started.traffic.training["toys"].copy()
    spoilt.iloc[: len(spoilt) // 3, 0] = 99.0
    started.traffic.training = {"toys": spoilt}

    with pytest.raises(
        Refused, match=r"At most 20% of the current rows may break the spec; 3\d\.\d% of 2,000 do \(size"
    ):
        started.go()
    report = started.ledger.drift_report("toys", "main_pipeline/2")
    assert report is not None
    assert report["drifted"]


def test_a_column_that_turns_to_text_stops_the_run_and_names_the_rule(started: World) -> None:
    spoilt = started.traffic.training["toys"].astype({"size": object})
    spoilt.iloc[: len(spoilt) // 2, 0] = "large"
    started.traffic.training = {"toys": spoilt}

    with pytest.raises(Refused, match=r"\(size must be a number: [\d,]+\)"):
        started.go()


@pytest.mark.parametrize("change", [False, True])
def test_every_step_done_twice_ends_in_the_same_state(started: World, change: bool) -> None:
    if change:
        started.prices_rise()
    run = started.run(force_retrain=True)
    results: dict[Step, StepResult] = {}
    step = start(FLOW)
    while True:
        earlier = {other: results[other].data for other in TASKS[step].reads if other in results}
        TASKS[step].run(run, started.ports, earlier)
        results[step] = TASKS[step].run(run, started.ports, earlier)
        if not FLOW[step]:
            break
        step = FLOW[step][results[step].outcome]

    assert len(started.registry.versions) == 2
    assert len(started.ledger.history("toys", 9)) == 2
    assert Alias.STAGING not in started.aliases
    assert started.aliases[Alias.PRODUCTION] == started.champion


class DyingLedger(MemoryLedger):
    """Dies once, just before the named call."""

    dies_before: str = ""

    def _die(self, call: str) -> None:
        if self.dies_before == call:
            self.dies_before = ""
            raise ConnectionError("killed")

    def add_version(self, version: Version) -> Version:
        self._die("add_version")
        return super().add_version(version)

    def settle(self, case: Case) -> Entry:
        self._die("settle")
        return super().settle(case)

    def mark_projected(self, spec: str, version: int | None) -> None:
        self._die("mark_projected")
        super().mark_projected(spec, version)


@pytest.mark.parametrize("call", ["add_version", "settle", "mark_projected"])
def test_a_death_between_registry_and_ledger_is_mended_by_the_next_try(call: str) -> None:
    world = World(ledger=DyingLedger())
    world.go()
    world.prices_rise()
    run = world.run()
    assert isinstance(world.ledger, DyingLedger)
    world.ledger.dies_before = call
    with pytest.raises(ConnectionError):
        run_pipeline(run, world.ports)
    run_pipeline(run, world.ports)

    assert len(world.registry.versions) == 2
    assert world.champion == 2
    assert world.aliases == {Alias.PRODUCTION: 2, Alias.PREVIOUS: 1}


def test_a_champion_that_changed_during_the_test_makes_the_verdict_invalid(started: World) -> None:
    started.go(force_retrain=True)  # v2, kept out of production
    run = started.run(force_retrain=True)
    results = _until(started, run, Step.MODEL_TO_PROD)
    started.registry.aliases["toys", Alias.PRODUCTION] = 2  # a person
    result = TASKS[Step.MODEL_TO_PROD].run(run, started.ports, results)

    assert result.outcome is Outcome.NOT_PROMOTED
    entry = started.ledger.settled("toys", run.key)
    assert entry is not None
    assert entry.verdict is Verdict.INVALID
    assert entry.reason == "champion changed: the test named v1 as champion, production is v2 now"
    assert started.champion == 2


def test_two_first_models_at_once_leave_one_champion(world: World) -> None:
    one, two = world.run(), world.run()
    results = {run.key: _until(world, run, Step.SET_INITIAL_MODEL) for run in (one, two)}
    for run in (one, two):
        TASKS[Step.SET_INITIAL_MODEL].run(run, world.ports, results[run.key])

    assert world.champion == 1
    assert world.aliases == {Alias.PRODUCTION: 1}
    assert [entry.verdict for entry in world.ledger.history("toys", 9)] == [Verdict.INVALID, Verdict.PROMOTE]


def test_an_alias_moved_by_hand_becomes_the_truth(started: World) -> None:
    started.go(force_retrain=True)
    started.registry.aliases["toys", Alias.PRODUCTION] = 2
    reconcile(started.ports, "toys", NAMES)

    assert started.champion == 2
    assert started.aliases == {Alias.PRODUCTION: 2, Alias.PREVIOUS: 1}
    newest = started.ledger.history("toys", 1)[0]
    assert (newest.verdict, newest.champion, newest.challenger) == (None, 1, 2)


class PromotingLedger(MemoryLedger):
    """A promotion is settled, by another run, right before a move by hand is recorded."""

    promotes: Case | None = None

    def record_external(self, spec: str, model: str, old: int | None, new: int | None, run_id: str | None) -> None:
        case, self.promotes = self.promotes, None
        if case is not None:
            assert self.settle(case).promoted
        super().record_external(spec, model, old, new, run_id)


def test_a_move_by_hand_beside_a_promotion_is_recorded_and_not_undone(started: World) -> None:
    for _ in range(2):
        started.go(force_retrain=True)
    one, two, _ = started.ledger.versions
    ledger = PromotingLedger()
    vars(ledger).update(vars(started.ledger))
    ledger.promotes = replace(make_case("toys", "beside", None, 1, model="toys"), champion=one, challenger=two)
    started.registry.aliases["toys", Alias.PRODUCTION] = 3
    now = reconcile(replace(started.ports, ledger=ledger), "toys", NAMES)

    assert now is not None
    assert now.version == 3
    assert started.aliases == {Alias.PRODUCTION: 3, Alias.PREVIOUS: 2}
    assert [period.kind for period in ledger.periods("toys")] == ["external", "promote", "first"]


def test_a_promotion_that_is_history_is_not_told_again(started: World) -> None:
    started.prices_rise()
    run = started.run()
    results = _until(started, run, Step.SET_NEW_PROD_MODEL)
    TASKS[Step.SET_NEW_PROD_MODEL].run(run, started.ports, results)
    assert started.notifier.told[-1][0] == "toys: v2 is in production"
    started.registry.aliases["toys", Alias.PRODUCTION] = 1
    told = len(started.notifier.told)
    TASKS[Step.SET_NEW_PROD_MODEL].run(run, started.ports, results)
    assert started.champion == 1
    assert len(started.notifier.told) == told


def test_an_alias_dropped_by_hand_leaves_no_champion_and_the_next_run_trains_one(started: World) -> None:
    del started.registry.aliases["toys", Alias.PRODUCTION]
    steps = started.go()

    assert Step.TRAIN_INITIAL_MODEL in steps
    assert started.champion == 2


def test_a_projection_that_was_never_made_is_made_and_not_taken_for_a_move_by_hand(started: World) -> None:
    started.ledger.projections.clear()
    started.registry.aliases.clear()
    reconcile(started.ports, "toys", NAMES)

    assert started.champion == 1
    assert started.aliases == {Alias.PRODUCTION: 1}
    assert len(started.ledger.history("toys", 9)) == 1


def test_a_registry_without_the_champions_model_is_a_wrong_store_and_not_an_empty_one(started: World) -> None:
    wrong = replace(started, registry=MemoryRegistry())
    with pytest.raises(StoreError, match="the MLflow store has no such model"):
        wrong.go()


def test_another_experiment_name_under_a_champion_is_refused(started: World) -> None:
    with pytest.raises(Refused, match="toys is in production as toys, and EXPERIMENT_NAME now makes it other"):
        started.go(names=Names("other", "other", "other-comparison"))


def test_a_champion_that_this_pipeline_did_not_make_is_refused_with_the_remedy(started: World) -> None:
    started.registry.foreign.add(("toys", 7))
    started.registry.aliases["toys", Alias.PRODUCTION] = 7
    with pytest.raises(Refused, match="version 7 of spec toys is not in the ledger"):
        started.go()


def test_a_few_rows_of_a_wrong_type_are_a_finding(started: World) -> None:
    spoilt = started.traffic.training["toys"].astype({"size": object})
    spoilt.iloc[: len(spoilt) // 7, 0] = "large"
    started.traffic.training = {"toys": spoilt}
    steps = started.go()

    assert Step.TRAIN_NEW_MODEL in steps
    report = started.ledger.drift_report("toys", "main_pipeline/2")
    assert report is not None
    finding = next(each for each in report["findings"] if each["test"] == "left_out")
    assert finding["drifted"]
    assert "size must be a number" in finding["reason"]


def test_a_spec_edited_during_a_run_stops_it(started: World) -> None:
    run = started.run(force_retrain=True)
    results = _until(started, run, Step.AB_TEST)
    edited = replace(run, spec=SPEC.model_copy(update={"segments": ()}))
    with pytest.raises(Refused, match="A run must keep the spec it started with"):
        TASKS[Step.AB_TEST].run(edited, started.ports, results)


def test_a_feature_that_the_champion_reads_and_the_spec_lost_is_named(started: World) -> None:
    without = SPEC.model_copy(update={"categorical": {}, "segments": ()})
    with pytest.raises(Refused, match="version 1 reads colour, which the spec no longer has"):
        started.go(spec=without, force_retrain=True)


def test_the_policy_in_the_ledger_is_the_one_that_decided(started: World) -> None:
    run = started.run(force_retrain=True)
    results = _until(started, run, Step.MODEL_TO_PROD)
    edited = replace(run, promotion_policy=PromotionPolicy(mde=0.5))
    TASKS[Step.MODEL_TO_PROD].run(edited, started.ports, results)
    entry = started.ledger.settled("toys", run.key)
    assert entry is not None
    assert entry.evidence["policy"] == run.promotion_policy.to_dict()


def test_tags_in_the_registry_that_are_not_this_runs_doing_are_not_believed(started: World) -> None:
    forged = replace(started.registry.versions["toys", 1], version=2, run_key="main_pipeline/2", spec_json="{}")
    started.registry.versions["toys", 2] = forged
    started.go(force_retrain=True)
    entry = started.ledger.settled("toys", "main_pipeline/2")
    assert entry is not None
    assert entry.challenger == 3


@pytest.mark.parametrize(
    ("conf", "expected"),
    [
        ({}, "no drift in 3 columns on 2,000 rows; champion v1 stays, nothing was trained."),
        ({"force_retrain": True}, "retrain forced; "),
    ],
)
def test_the_summary_is_one_line(started: World, conf: Mapping[str, Any], expected: str) -> None:
    line = started.line(**conf)
    assert line.startswith(expected)
    assert "\n" not in line


def _until(world: World, run: Run, last: Step) -> dict[Step, Mapping[str, Any]]:
    """Run the flow up to a step, that one left out."""
    results: dict[Step, StepResult] = {}
    step = start(FLOW)
    while step is not last:
        earlier = {other: results[other].data for other in TASKS[step].reads if other in results}
        results[step] = TASKS[step].run(run, world.ports, earlier)
        step = FLOW[step][results[step].outcome]
    return {other: results[other].data for other in TASKS[last].reads if other in results}
