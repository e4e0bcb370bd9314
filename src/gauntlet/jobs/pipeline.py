"""Every step of the flows with the function that does it, and what it reads of the steps before it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from gauntlet.jobs.approval import approve_promotion, needs_approval
from gauntlet.jobs.compare import ab_test
from gauntlet.jobs.drift import check_drift, compare_distributions
from gauntlet.jobs.flow import FLOW, TRAIN_FLOW, Flow, Outcome, Step, walk
from gauntlet.jobs.promote import (
    check_production_version,
    model_to_prod,
    set_initial_model,
    set_new_prod_model,
    train_compare,
)
from gauntlet.jobs.run import Ports, Results, Run, StepResult
from gauntlet.jobs.snapshot import take_snapshot
from gauntlet.jobs.summary import summary
from gauntlet.jobs.train import set_staging_model, train
from gauntlet.jobs.train_files import TrainPorts, TrainRun, check_new_data, on_files, prepare_data, record_training

RunKind = TypeVar("RunKind", bound=Run)
PortsKind = TypeVar("PortsKind", bound=Ports)


@dataclass(frozen=True)
class Task(Generic[RunKind, PortsKind]):
    """A step's function, and the steps whose results it reads."""

    run: Callable[[RunKind, PortsKind, Results], StepResult]
    reads: tuple[Step, ...] = ()


TASKS: Mapping[Step, Task[Run, Ports]] = {
    Step.TAKE_SNAPSHOT: Task(take_snapshot),
    Step.CHECK_PRODUCTION_VERSION: Task(check_production_version),
    Step.TRAIN_COMPARE: Task(train_compare, (Step.CHECK_PRODUCTION_VERSION,)),
    Step.TRAIN_INITIAL_MODEL: Task(train, (Step.TAKE_SNAPSHOT,)),
    Step.SET_INITIAL_MODEL: Task(set_initial_model, (Step.TRAIN_INITIAL_MODEL,)),
    Step.COMPARE_DISTRIBUTIONS: Task(compare_distributions, (Step.TAKE_SNAPSHOT, Step.CHECK_PRODUCTION_VERSION)),
    Step.CHECK_DRIFT: Task(check_drift, (Step.COMPARE_DISTRIBUTIONS,)),
    Step.TRAIN_NEW_MODEL: Task(train, (Step.TAKE_SNAPSHOT,)),
    Step.SET_STAGING_MODEL: Task(set_staging_model, (Step.TRAIN_NEW_MODEL,)),
    Step.AB_TEST: Task(ab_test, (Step.TAKE_SNAPSHOT, Step.CHECK_PRODUCTION_VERSION, Step.TRAIN_NEW_MODEL)),
    Step.NEEDS_APPROVAL: Task(needs_approval, (Step.AB_TEST,)),
    Step.APPROVE_PROMOTION: Task(
        approve_promotion, (Step.CHECK_PRODUCTION_VERSION, Step.TRAIN_NEW_MODEL, Step.AB_TEST)
    ),
    Step.MODEL_TO_PROD: Task(
        model_to_prod, (Step.CHECK_PRODUCTION_VERSION, Step.TRAIN_NEW_MODEL, Step.AB_TEST, Step.APPROVE_PROMOTION)
    ),
    Step.SET_NEW_PROD_MODEL: Task(set_new_prod_model),
    Step.SUMMARY: Task(summary, (Step.TAKE_SNAPSHOT, Step.CHECK_PRODUCTION_VERSION, Step.COMPARE_DISTRIBUTIONS)),
}


TRAIN_TASKS: Mapping[Step, Task[TrainRun, TrainPorts]] = {
    Step.PREPARE_DATA: Task(prepare_data),
    Step.CHECK_NEW_DATA: Task(check_new_data, (Step.PREPARE_DATA,)),
    Step.TAKE_SNAPSHOT: Task(on_files(take_snapshot), (Step.PREPARE_DATA,)),
    Step.CHECK_PRODUCTION_VERSION: Task(check_production_version),
    Step.TRAIN_COMPARE: Task(train_compare, (Step.CHECK_PRODUCTION_VERSION,)),
    Step.TRAIN_INITIAL_MODEL: Task(train, (Step.TAKE_SNAPSHOT,)),
    Step.SET_INITIAL_MODEL: Task(set_initial_model, (Step.TRAIN_INITIAL_MODEL,)),
    Step.TRAIN_NEW_MODEL: Task(train, (Step.TAKE_SNAPSHOT,)),
    Step.SET_STAGING_MODEL: Task(set_staging_model, (Step.TRAIN_NEW_MODEL,)),
    Step.AB_TEST: Task(
        on_files(ab_test), (Step.PREPARE_DATA, Step.TAKE_SNAPSHOT, Step.CHECK_PRODUCTION_VERSION, Step.TRAIN_NEW_MODEL)
    ),
    Step.NEEDS_APPROVAL: Task(needs_approval, (Step.AB_TEST,)),
    Step.APPROVE_PROMOTION: Task(
        approve_promotion, (Step.CHECK_PRODUCTION_VERSION, Step.TRAIN_NEW_MODEL, Step.AB_TEST)
    ),
    Step.MODEL_TO_PROD: Task(
        model_to_prod, (Step.CHECK_PRODUCTION_VERSION, Step.TRAIN_NEW_MODEL, Step.AB_TEST, Step.APPROVE_PROMOTION)
    ),
    Step.SET_NEW_PROD_MODEL: Task(set_new_prod_model),
    Step.RECORD_TRAINING: Task(
        record_training,
        (Step.PREPARE_DATA, Step.TAKE_SNAPSHOT, Step.TRAIN_INITIAL_MODEL, Step.TRAIN_NEW_MODEL),
    ),
    Step.SUMMARY: Task(summary, (Step.PREPARE_DATA, Step.TAKE_SNAPSHOT, Step.CHECK_PRODUCTION_VERSION)),
}


def run_pipeline(run: Run, ports: Ports) -> tuple[list[Step], dict[Step, StepResult]]:
    """Run the whole main flow in this process: the steps taken, and the result of each."""
    return _run(FLOW, TASKS, run, ports)


def run_train_pipeline(run: TrainRun, ports: TrainPorts) -> tuple[list[Step], dict[Step, StepResult]]:
    """Run the whole flow of training from files in this process: the steps taken, and the result of each."""
    return _run(TRAIN_FLOW, TRAIN_TASKS, run, ports)


def _run(
    flow: Flow, tasks: Mapping[Step, Task[RunKind, PortsKind]], run: RunKind, ports: PortsKind
) -> tuple[list[Step], dict[Step, StepResult]]:
    results: dict[Step, StepResult] = {}

    def one(step: Step) -> Outcome:
        earlier = {other: results[other].data for other in tasks[step].reads if other in results}
        results[step] = tasks[step].run(run, ports, earlier)
        return results[step].outcome

    return walk(one, flow), results
