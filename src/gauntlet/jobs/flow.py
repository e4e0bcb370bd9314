"""The flows: for each pipeline one table from which the DAG, the command line and the tests are built.

A step ends in one of its outcomes, and the outcome names the next step. Nothing else decides where a run goes. A table
is in the order of its flow, and a run begins with its first step.
"""

from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum


class Step(StrEnum):
    """A step of a pipeline; its value is the name of its Airflow task."""

    PREPARE_DATA = "prepare_data"
    CHECK_NEW_DATA = "check_new_data"
    TAKE_SNAPSHOT = "take_snapshot"
    CHECK_PRODUCTION_VERSION = "check_production_version"
    TRAIN_COMPARE = "train_compare"
    TRAIN_INITIAL_MODEL = "train_initial_model"
    SET_INITIAL_MODEL = "set_initial_model"
    COMPARE_DISTRIBUTIONS = "compare_distributions"
    CHECK_DRIFT = "check_drift"
    TRAIN_NEW_MODEL = "train_new_model"
    SET_STAGING_MODEL = "set_staging_model"
    AB_TEST = "ab_test"
    NEEDS_APPROVAL = "needs_approval"
    APPROVE_PROMOTION = "approve_promotion"
    MODEL_TO_PROD = "model_to_prod"
    SET_NEW_PROD_MODEL = "set_new_prod_model"
    RECORD_TRAINING = "record_training"
    SUMMARY = "summary"


class Outcome(StrEnum):
    """How a step ended."""

    DONE = "done"
    NEW_DATA = "new data"
    NOTHING_NEW = "nothing new"
    NO_PRODUCTION = "no production"
    PRODUCTION = "production"
    DRIFT = "drift"
    NO_DRIFT = "no drift"
    FORCED = "forced"
    APPROVAL = "approval"
    NO_APPROVAL = "no approval"
    PROMOTED = "promoted"
    NOT_PROMOTED = "not promoted"


Flow = Mapping[Step, Mapping[Outcome, Step]]


def _gate(then: Step) -> Flow:
    """What every challenger goes through, whoever trained it; `then` follows the verdict."""
    return {
        Step.SET_STAGING_MODEL: {Outcome.DONE: Step.AB_TEST},
        Step.AB_TEST: {Outcome.DONE: Step.NEEDS_APPROVAL},
        Step.NEEDS_APPROVAL: {
            Outcome.APPROVAL: Step.APPROVE_PROMOTION,
            Outcome.NO_APPROVAL: Step.MODEL_TO_PROD,
        },
        Step.APPROVE_PROMOTION: {Outcome.DONE: Step.MODEL_TO_PROD},
        Step.MODEL_TO_PROD: {Outcome.PROMOTED: Step.SET_NEW_PROD_MODEL, Outcome.NOT_PROMOTED: then},
        Step.SET_NEW_PROD_MODEL: {Outcome.DONE: then},
    }


FLOW: Flow = {
    Step.TAKE_SNAPSHOT: {Outcome.DONE: Step.CHECK_PRODUCTION_VERSION},
    Step.CHECK_PRODUCTION_VERSION: {Outcome.DONE: Step.TRAIN_COMPARE},
    Step.TRAIN_COMPARE: {
        Outcome.NO_PRODUCTION: Step.TRAIN_INITIAL_MODEL,
        Outcome.PRODUCTION: Step.COMPARE_DISTRIBUTIONS,
    },
    Step.TRAIN_INITIAL_MODEL: {Outcome.DONE: Step.SET_INITIAL_MODEL},
    Step.SET_INITIAL_MODEL: {Outcome.DONE: Step.SUMMARY},
    Step.COMPARE_DISTRIBUTIONS: {Outcome.DONE: Step.CHECK_DRIFT},
    Step.CHECK_DRIFT: {
        Outcome.DRIFT: Step.TRAIN_NEW_MODEL,
        Outcome.FORCED: Step.TRAIN_NEW_MODEL,
        Outcome.NO_DRIFT: Step.SUMMARY,
    },
    Step.TRAIN_NEW_MODEL: {Outcome.DONE: Step.SET_STAGING_MODEL},
    **_gate(then=Step.SUMMARY),
    Step.SUMMARY: {},
}
"""main_pipeline: rows from the router; a challenger where they have drifted."""

TRAIN_FLOW: Flow = {
    Step.PREPARE_DATA: {Outcome.DONE: Step.CHECK_NEW_DATA},
    Step.CHECK_NEW_DATA: {
        Outcome.NEW_DATA: Step.TAKE_SNAPSHOT,
        Outcome.FORCED: Step.TAKE_SNAPSHOT,
        Outcome.NOTHING_NEW: Step.SUMMARY,
    },
    Step.TAKE_SNAPSHOT: {Outcome.DONE: Step.CHECK_PRODUCTION_VERSION},
    Step.CHECK_PRODUCTION_VERSION: {Outcome.DONE: Step.TRAIN_COMPARE},
    Step.TRAIN_COMPARE: {
        Outcome.NO_PRODUCTION: Step.TRAIN_INITIAL_MODEL,
        Outcome.PRODUCTION: Step.TRAIN_NEW_MODEL,
    },
    Step.TRAIN_INITIAL_MODEL: {Outcome.DONE: Step.SET_INITIAL_MODEL},
    Step.SET_INITIAL_MODEL: {Outcome.DONE: Step.RECORD_TRAINING},
    Step.TRAIN_NEW_MODEL: {Outcome.DONE: Step.SET_STAGING_MODEL},
    **_gate(then=Step.RECORD_TRAINING),
    Step.RECORD_TRAINING: {Outcome.DONE: Step.SUMMARY},
    Step.SUMMARY: {},
}
"""train_pipeline: rows from files; a challenger whenever there are new ones."""

LABELS: Mapping[Step, str] = {
    Step.PREPARE_DATA: "take in the new files",
    Step.CHECK_NEW_DATA: "is there anything new?",
    Step.TAKE_SNAPSHOT: "take a snapshot of the training rows",
    Step.CHECK_PRODUCTION_VERSION: "look up the champion",
    Step.TRAIN_COMPARE: "first model, or compare?",
    Step.TRAIN_INITIAL_MODEL: "train the first model",
    Step.SET_INITIAL_MODEL: "put the first model in production",
    Step.COMPARE_DISTRIBUTIONS: "compare current rows with the champion's",
    Step.CHECK_DRIFT: "is it drift?",
    Step.TRAIN_NEW_MODEL: "train the challenger",
    Step.SET_STAGING_MODEL: "stage the challenger",
    Step.AB_TEST: "test challenger against champion",
    Step.NEEDS_APPROVAL: "must a person approve?",
    Step.APPROVE_PROMOTION: "ask a person",
    Step.MODEL_TO_PROD: "settle the verdict",
    Step.SET_NEW_PROD_MODEL: "move production",
    Step.RECORD_TRAINING: "record what was trained on",
    Step.SUMMARY: "say what happened",
}


def start(flow: Flow) -> Step:
    """Return the step that a run begins with."""
    return next(iter(flow))


def branches(step: Step, flow: Flow = FLOW) -> bool:
    """Say whether a step chooses between several next steps."""
    return len(set(flow[step].values())) > 1


def edges(flow: Flow = FLOW) -> Iterator[tuple[Step, Step]]:
    """Every arrow of a flow, once."""
    for step, outcomes in flow.items():
        for following in dict.fromkeys(outcomes.values()):
            yield step, following


def walk(run_step: Callable[[Step], Outcome], flow: Flow = FLOW) -> list[Step]:
    """Run a flow from its start in this process and return the steps taken."""
    taken = [start(flow)]
    while flow[taken[-1]]:
        taken.append(flow[taken[-1]][run_step(taken[-1])])
    run_step(taken[-1])
    return taken
