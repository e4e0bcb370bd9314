"""The flow of the main pipeline: one table from which the DAG, the command line and the tests are built.

A step ends in one of its outcomes, and the outcome names the next step. Nothing else decides where a run goes.
"""

from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum


class Step(StrEnum):
    """A step of the pipeline; its value is the name of its Airflow task."""

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
    SUMMARY = "summary"


class Outcome(StrEnum):
    """How a step ended."""

    DONE = "done"
    NO_PRODUCTION = "no production"
    PRODUCTION = "production"
    DRIFT = "drift"
    NO_DRIFT = "no drift"
    FORCED = "forced"
    APPROVAL = "approval"
    NO_APPROVAL = "no approval"
    PROMOTED = "promoted"
    NOT_PROMOTED = "not promoted"


FLOW: Mapping[Step, Mapping[Outcome, Step]] = {
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
    Step.SET_STAGING_MODEL: {Outcome.DONE: Step.AB_TEST},
    Step.AB_TEST: {Outcome.DONE: Step.NEEDS_APPROVAL},
    Step.NEEDS_APPROVAL: {
        Outcome.APPROVAL: Step.APPROVE_PROMOTION,
        Outcome.NO_APPROVAL: Step.MODEL_TO_PROD,
    },
    Step.APPROVE_PROMOTION: {Outcome.DONE: Step.MODEL_TO_PROD},
    Step.MODEL_TO_PROD: {Outcome.PROMOTED: Step.SET_NEW_PROD_MODEL, Outcome.NOT_PROMOTED: Step.SUMMARY},
    Step.SET_NEW_PROD_MODEL: {Outcome.DONE: Step.SUMMARY},
    Step.SUMMARY: {},
}

START = Step.TAKE_SNAPSHOT

LABELS: Mapping[Step, str] = {
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
    Step.SUMMARY: "say what happened",
}


def branches(step: Step) -> bool:
    """Say whether a step chooses between several next steps."""
    return len(set(FLOW[step].values())) > 1


def edges() -> Iterator[tuple[Step, Step]]:
    """Every arrow of the flow, once."""
    for step, outcomes in FLOW.items():
        for following in dict.fromkeys(outcomes.values()):
            yield step, following


def walk(run_step: Callable[[Step], Outcome]) -> list[Step]:
    """Run the flow from its start in this process and return the steps taken."""
    taken = [START]
    while FLOW[taken[-1]]:
        taken.append(FLOW[taken[-1]][run_step(taken[-1])])
    run_step(taken[-1])
    return taken
