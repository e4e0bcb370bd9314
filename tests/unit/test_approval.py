"""People in the flow, on fakes: who must agree to a promotion, what holds one back, and what people are told."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.unit.test_pipeline import World
from tests.unit.test_pipeline import _until as until

from gauntlet import bootstrap
from gauntlet.domain.aliases import Alias
from gauntlet.domain.verdict import Verdict
from gauntlet.jobs.approval import question
from gauntlet.jobs.flow import Outcome, Step
from gauntlet.jobs.people import Answer
from gauntlet.jobs.pipeline import TASKS
from gauntlet.jobs.ports import Entry

YES, NO, SILENCE = Answer(approved=True, by="Ada"), Answer(approved=False, by="Ada"), Answer(approved=False, by=None)


@pytest.fixture
def drifted() -> World:
    """A champion, and rows on which a challenger is better."""
    world = World()
    world.go()
    world.prices_rise()
    world.notifier.told.clear()
    return world


def newest(world: World) -> Entry:
    return world.ledger.history("toys", 1)[0]


def test_an_approved_promotion_is_made_and_the_ledger_names_who_approved(drifted: World) -> None:
    drifted.approver.answer = YES
    steps = drifted.go(require_approval=True)
    assert Step.APPROVE_PROMOTION in steps
    assert Step.SET_NEW_PROD_MODEL in steps
    assert drifted.champion == 2
    assert newest(drifted).decided_by == "test, approved by Ada"


@pytest.mark.parametrize(
    ("answer", "hours", "held", "by"),
    [
        (NO, 24.0, "rejected by Ada", "test, rejected by Ada"),
        (SILENCE, 24.0, "nobody answered within 24 hours", "test"),
        (SILENCE, 1.0, "nobody answered within 1 hour", "test"),
    ],
)
def test_without_an_approval_the_verdict_stands_and_the_champion_stays(
    drifted: World, answer: Answer, hours: float, held: str, by: str
) -> None:
    drifted.approver.answer = answer
    line = drifted.line(require_approval=True, approval_hours=hours)
    entry = newest(drifted)
    assert (entry.verdict, entry.held, entry.promoted, entry.decided_by) == (Verdict.PROMOTE, held, False, by)
    assert drifted.aliases == {Alias.PRODUCTION: 1}
    assert f"; PROMOTE: {entry.reason}, held: {held}; champion v1 stays." in line
    params = drifted.tracking.comparisons["toys-comparison", "main_pipeline/2"].params
    assert (params["verdict"], params["held"], params["new_prod_model"]) == ("PROMOTE", held, "1")
    assert f"Production stays: {held}" in drifted.registry.notes["toys", 2]


def test_nobody_is_asked_about_a_first_model_or_any_verdict_but_promote(drifted: World) -> None:
    fresh = World()
    fresh.go(require_approval=True)
    assert fresh.champion == 1
    fresh.go(require_approval=True, force_retrain=True)
    assert newest(fresh).verdict in (Verdict.KEEP, Verdict.INCONCLUSIVE)
    assert fresh.approver.asked == []
    assert Step.APPROVE_PROMOTION not in drifted.go()
    assert drifted.champion == 2


def test_the_question_holds_the_evidence(drifted: World) -> None:
    drifted.go(require_approval=True, approval_hours=12.0, mlflow_page="http://mlflow")
    (asked,) = drifted.approver.asked
    entry = newest(drifted)
    assert (asked.subject, asked.hours) == ("toys: move production from v1 to v2?", 12.0)
    assert entry.interval is not None
    for part in (
        "**PROMOTE**",
        f"{100 * entry.interval[0]:+.1f} % to {100 * entry.interval[1]:+.1f} %",
        "2,000",
        "guardrails: ",
        "price",  # has drifted
        "[v1](http://mlflow/#/models/toys/versions/1)",
        "[v2](http://mlflow/#/models/toys/versions/2)",
        "no answer within 12 hours: v1 stays",
    ):
        assert part in asked.body


def test_a_link_holds_no_login(tmp_path: Path) -> None:
    own = {"GAUNTLET_STACK": "embedded", "GAUNTLET_HOME": str(tmp_path), "DEFAULT_SPEC": "diamonds"}
    settings = bootstrap.load_settings({**own, "MLFLOW_TRACKING_URI": "https://user:secret@mlflow.example.org/here/"})
    assert bootstrap.make_run(settings, "diamonds", "key", {}).mlflow_page == "https://mlflow.example.org/here"


def test_a_text_from_the_data_is_no_markup_in_the_question(drifted: World) -> None:
    run = drifted.run(require_approval=True)
    results = until(drifted, run, Step.APPROVE_PROMOTION)
    test = results[Step.AB_TEST]
    decision = {**test["decision"], "reason": "[here](http://evil) <script>"}
    body = question(run, drifted.ports, {**results, Step.AB_TEST: {**test, "decision": decision}}).body
    assert "[here](http" not in body
    assert "<script>" not in body


def test_a_settled_answer_is_not_changed_by_doing_the_step_again(drifted: World) -> None:
    run = drifted.run(require_approval=True)
    results = until(drifted, run, Step.MODEL_TO_PROD)
    rejected = {**results, Step.APPROVE_PROMOTION: NO.to_dict()}
    assert TASKS[Step.MODEL_TO_PROD].run(run, drifted.ports, rejected).outcome is Outcome.NOT_PROMOTED
    assert TASKS[Step.MODEL_TO_PROD].run(run, drifted.ports, results).outcome is Outcome.NOT_PROMOTED
    assert drifted.champion == 1


def test_a_champion_that_changes_while_a_person_thinks_makes_the_verdict_invalid(drifted: World) -> None:
    run = drifted.run(require_approval=True)
    results = until(drifted, run, Step.MODEL_TO_PROD)
    drifted.registry.aliases["toys", Alias.PRODUCTION] = 2  # a person
    TASKS[Step.MODEL_TO_PROD].run(run, drifted.ports, results)
    entry = drifted.ledger.settled("toys", run.key)
    assert entry is not None
    assert (entry.verdict, entry.held) == (Verdict.INVALID, None)


def test_a_verdict_that_a_person_was_to_approve_and_was_not_asked_about_is_held(drifted: World) -> None:
    run = drifted.run()
    results = until(drifted, run, Step.MODEL_TO_PROD)
    now_required = replace(run, require_approval=True)
    TASKS[Step.MODEL_TO_PROD].run(now_required, drifted.ports, results)
    assert newest(drifted).held == "nobody was asked to approve"
    assert drifted.champion == 1


@pytest.mark.parametrize("require_approval", [False, True])
def test_a_freeze_holds_a_promotion_without_asking_anybody(drifted: World, require_approval: bool) -> None:
    drifted.ledger.freeze("toys", True, "year's end", "Ada")
    line = drifted.line(require_approval=require_approval)
    entry = newest(drifted)
    assert (entry.verdict, entry.promoted) == (Verdict.PROMOTE, False)
    assert entry.held is not None
    assert entry.held.startswith("frozen since ")
    assert "held: frozen since " in line
    assert line.endswith("champion v1 stays.")
    assert drifted.approver.asked == []
    assert drifted.aliases == {Alias.PRODUCTION: 1}


def test_a_freeze_that_ends_after_nobody_was_asked_lets_nothing_through(drifted: World) -> None:
    drifted.ledger.freeze("toys", True, "year's end", "Ada")
    run = drifted.run(require_approval=True)
    results = until(drifted, run, Step.MODEL_TO_PROD)
    drifted.ledger.freeze("toys", False, "over", "Ada")
    TASKS[Step.MODEL_TO_PROD].run(run, drifted.ports, results)
    assert newest(drifted).held == "nobody was asked to approve"
    assert drifted.champion == 1


def test_a_first_model_is_held_by_a_freeze_and_comes_after_it() -> None:
    world = World()
    world.ledger.freeze("toys", True, "not yet", "Ada")
    line = world.line()
    assert world.champion is None
    assert world.aliases == {}
    assert line.startswith("PROMOTE: v1, first model, held: frozen since ")
    assert line.endswith("; production stays none.")
    ((title, text),) = world.notifier.told
    assert title == "toys: v1 has earned production, and production stays empty"
    assert text.startswith("Held: frozen since ")
    world.ledger.freeze("toys", False, "now", "Ada")
    world.go()
    assert world.champion == 2
    assert world.notifier.told[1:] == [("toys: v2 is in production", "first model.")]


@pytest.mark.parametrize(
    ("changes", "answer", "told"),
    [
        ({}, YES, ["toys: drift in price", "toys: v2 is in production"]),
        (
            {"require_approval": True},
            NO,
            ["toys: drift in price", "toys: v2 has earned production, and v1 stays"],
        ),
    ],
)
def test_drift_and_promotions_are_told(
    drifted: World, changes: dict[str, Any], answer: Answer, told: list[str]
) -> None:
    drifted.approver.answer = answer
    drifted.go(**changes)
    assert [title for title, _ in drifted.notifier.told] == told
    assert all("\n" not in title and text for title, text in drifted.notifier.told)


@pytest.mark.parametrize("answer", [NO, SILENCE])
def test_a_verdict_that_is_held_is_told_with_the_reason_until_it_is_history(drifted: World, answer: Answer) -> None:
    run = drifted.run(require_approval=True)
    results = {**until(drifted, run, Step.MODEL_TO_PROD), Step.APPROVE_PROMOTION: answer.to_dict()}
    drifted.notifier.told.clear()
    TASKS[Step.MODEL_TO_PROD].run(run, drifted.ports, results)
    ((title, text),) = drifted.notifier.told
    entry = newest(drifted)
    assert title == "toys: v2 has earned production, and v1 stays"
    assert text == f"Held: {entry.held}. {entry.reason}."
    drifted.go(force_retrain=True)
    drifted.notifier.told.clear()
    TASKS[Step.MODEL_TO_PROD].run(run, drifted.ports, results)
    assert drifted.notifier.told == []


def test_a_challenger_that_was_deleted_while_a_person_thought_is_held(drifted: World) -> None:
    run = drifted.run(require_approval=True)
    results = {**until(drifted, run, Step.MODEL_TO_PROD), Step.APPROVE_PROMOTION: YES.to_dict()}
    del drifted.registry.versions["toys", 2], drifted.registry.files["toys", 2]
    drifted.registry.aliases.pop(("toys", Alias.STAGING))
    drifted.notifier.told.clear()
    assert TASKS[Step.MODEL_TO_PROD].run(run, drifted.ports, results).outcome is Outcome.NOT_PROMOTED
    assert newest(drifted).verdict is Verdict.PROMOTE
    assert newest(drifted).held == "v2 was deleted in MLflow"
    assert drifted.champion == 1
    assert drifted.aliases == {Alias.PRODUCTION: 1}
    assert ("toys", 2) not in drifted.registry.notes
    assert drifted.notifier.told[0][1].startswith("Held: v2 was deleted in MLflow.")


def test_nobody_is_told_of_a_run_without_drift() -> None:
    world = World()
    world.go()
    world.notifier.told.clear()
    world.go()
    world.go(force_retrain=True)
    assert world.notifier.told == []
