"""The summary: one line that says what a run did, and why."""

import logging

from gauntlet.domain.verdict import Verdict
from gauntlet.jobs.drift import named
from gauntlet.jobs.flow import Step
from gauntlet.jobs.ports import Entry
from gauntlet.jobs.run import Ports, Results, Run, StepResult

log = logging.getLogger(__name__)


def summary(run: Run, ports: Ports, results: Results) -> StepResult:
    """Say in one line what happened, from what the ledger settled and what the drift check found."""
    production = ports.ledger.production(run.spec.name)
    entry = ports.ledger.settled(run.spec.name, run.key)
    line = _line(run, results, entry, production.version if production else None) + _left_out(results)
    log.info("%s: %s", run.spec.name, line)
    return StepResult(data={"line": line})


def _line(run: Run, results: Results, entry: Entry | None, production: int | None) -> str:
    champion = results[Step.CHECK_PRODUCTION_VERSION]["version"]
    drift = results.get(Step.COMPARE_DISTRIBUTIONS)
    if entry is None:
        judged = f"no drift in {drift['judged']} columns on {drift['rows']:,} rows" if drift else "nothing compared"
        return f"{judged}; champion v{champion} stays, nothing was trained."
    if entry.promoted and entry.challenger != production:
        settled = f"{entry.verdict} of v{entry.challenger} was settled at {entry.at:%Y-%m-%d %H:%M}"
        return f"{settled}; production has moved since, to v{production}."
    held = f", held: {entry.held}" if entry.held else ""
    if entry.champion is None:
        stays = f"; production stays {f'v{production}' if production else 'none'}" if held else ""
        return f"{entry.verdict}: v{entry.challenger}, {entry.reason}{held}{stays}."
    why = f"drift in {named(drift['columns'])}" if drift and drift["drifted"] else "retrain forced"
    if run.force_retrain and drift and drift["drifted"]:
        why += " (and retrain forced)"
    return f"{why}; {entry.verdict}: {entry.reason}{held}; {_outcome(entry)}."


def _outcome(entry: Entry) -> str:
    if entry.promoted:
        return f"v{entry.challenger} is in production, v{entry.champion} is previous"
    if entry.verdict is Verdict.INVALID:
        return "the test does not count, production is as it was"
    return f"champion v{entry.champion} stays"


def _left_out(results: Results) -> str:
    taken = results[Step.TAKE_SNAPSHOT]
    if not taken["left_out"]:
        return ""
    rule, count = max(taken["left_out"].items(), key=lambda item: item[1])
    others = " and more" if len(taken["left_out"]) > 1 else ""
    return f" Left out of {taken['served']:,} training rows: {count:,} ({rule}){others}."
