"""Approval: when a person must agree to a promotion, what the person is asked, and what the answer does."""

from collections.abc import Iterator

from gauntlet.domain.promotion import Decision
from gauntlet.domain.report import markdown
from gauntlet.domain.verdict import Verdict
from gauntlet.jobs.evidence import report
from gauntlet.jobs.flow import Outcome, Step
from gauntlet.jobs.people import Answer, Question
from gauntlet.jobs.ports import Version
from gauntlet.jobs.production import require_version
from gauntlet.jobs.run import Ports, Results, Run, StepResult


def needs_approval(run: Run, ports: Ports, results: Results) -> StepResult:
    """Choose: a person is asked before a promotion, where the settings want it and no freeze holds it anyway."""
    promote = Decision.from_dict(results[Step.AB_TEST]["decision"]).verdict is Verdict.PROMOTE
    ask = run.require_approval and promote and ports.ledger.frozen(run.spec.name) is None
    return StepResult(Outcome.APPROVAL if ask else Outcome.NO_APPROVAL)


def approve_promotion(run: Run, ports: Ports, results: Results) -> StepResult:
    """Put the question to a person and hand on the answer. In Airflow its own operator waits in between."""
    return StepResult(data=ports.approver.ask(question(run, ports, results)).to_dict())


def question(run: Run, ports: Ports, results: Results) -> Question:
    """Return what a person is asked, with the evidence."""
    name = run.spec.name
    champion = require_version(ports, name, results[Step.CHECK_PRODUCTION_VERSION]["version"])
    challenger = require_version(ports, name, results[Step.TRAIN_NEW_MODEL]["version"])
    return Question(
        subject=f"{name}: move production from v{champion.version} to v{challenger.version}?",
        body="\n".join(_lines(run, ports, results, champion, challenger)),
        hours=run.approval_hours,
    )


def settled_by(run: Run, ports: Ports, results: Results) -> tuple[str | None, str]:
    """Return why a verdict is held back, if it is, and who decided: the run, and the person who was asked.

    A verdict that a person should have approved and was not asked about is held back, too: between the two steps the
    settings may have changed, or a freeze may have ended.
    """
    test = results[Step.AB_TEST]
    if Decision.from_dict(test["decision"]).verdict is not Verdict.PROMOTE:
        return None, run.decided_by
    if Step.APPROVE_PROMOTION not in results:
        return _not_asked(run, ports) if run.require_approval else None, run.decided_by
    answer = Answer.from_dict(results[Step.APPROVE_PROMOTION])
    if answer.by is None:
        return f"nobody answered within {_hours(run.approval_hours)}", run.decided_by
    word = "approved" if answer.approved else "rejected"
    return None if answer.approved else f"{word} by {answer.by}", f"{run.decided_by}, {word} by {answer.by}"


def _not_asked(run: Run, ports: Ports) -> str:
    freeze = ports.ledger.frozen(run.spec.name)
    return f"{freeze.text}; nobody was asked to approve" if freeze else "nobody was asked to approve"


def _hours(hours: float) -> str:
    return "1 hour" if hours == 1 else f"{hours:g} hours"


def _lines(run: Run, ports: Ports, results: Results, champion: Version, challenger: Version) -> Iterator[str]:
    """The evidence as Markdown."""
    yield markdown(report(run, ports, (champion, challenger), results[Step.AB_TEST]))
    yield f"- champion {_linked(run, champion)}, challenger {_linked(run, challenger)}\n"
    yield (
        f"Approve: v{challenger.version} goes to production and v{champion.version} becomes `previous`. "
        f"Reject, or no answer within {_hours(run.approval_hours)}: v{champion.version} stays."
    )


def _linked(run: Run, version: Version) -> str:
    page = f"{run.mlflow_page}/#/models/{version.model}/versions/{version.version}"
    return f"[v{version.version}]({page})" if run.mlflow_page else f"v{version.version}"
