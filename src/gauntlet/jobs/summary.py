"""The summary: one line that says what a run did, and why."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from gauntlet.domain.verdict import Verdict
from gauntlet.jobs.drift import named
from gauntlet.jobs.flow import Step
from gauntlet.jobs.ports import Entry
from gauntlet.jobs.run import Ports, Results, Run, StepResult

log = logging.getLogger(__name__)
NAMED_FILES = 3


def summary(run: Run, ports: Ports, results: Results) -> StepResult:
    """Say in one line what happened, from what the ledger settled, and what the drift check or the files brought."""
    production = ports.ledger.production(run.spec.name)
    entry = ports.ledger.settled(run.spec.name, run.key)
    say = _of_files if Step.PREPARE_DATA in results else _of_traffic
    line = say(run, results, entry, production.version if production else None)
    log.info("%s: %s", run.spec.name, line)
    return StepResult(data={"line": line})


def _of_traffic(run: Run, results: Results, entry: Entry | None, production: int | None) -> str:
    champion = results[Step.CHECK_PRODUCTION_VERSION]["version"]
    drift = results.get(Step.COMPARE_DISTRIBUTIONS)
    if entry is None:
        judged = f"no drift in {drift['judged']} columns on {drift['rows']:,} rows" if drift else "nothing compared"
        return f"{judged}; champion v{champion} stays, nothing was trained.{_left_out(results)}"
    if entry.champion is None or _overtaken(entry, production):
        return _settled(entry, production) + _left_out(results)
    why = f"drift in {named(drift['columns'])}" if drift and drift["drifted"] else "retrain forced"
    if run.force_retrain and drift and drift["drifted"]:
        why += " (and retrain forced)"
    return f"{why}; {_settled(entry, production)}{_left_out(results)}"


def _of_files(run: Run, results: Results, entry: Entry | None, production: int | None) -> str:
    prepared = results[Step.PREPARE_DATA]
    news = _news(prepared)
    if not prepared["new_rows"] and not run.force_retrain:
        stays = f"v{production} stays in production" if production else "nothing is in production"
        return f"{news}: nothing was trained, {stays}.{_files(prepared)}"
    if entry is None:
        return f"{news}; nothing was settled.{_files(prepared)}"
    forced = "" if prepared["new_rows"] else ", retrain forced"
    return f"{news}{forced}; {_settled(entry, production)}{_files(prepared)}{_left_out(results)}"


def _news(prepared: Mapping[str, Any]) -> str:
    files, rows = prepared["new_files"], prepared["new_rows"]
    if not files:
        return "nothing new"
    shown = _counted(files, "new file")
    return f"{shown}, {_counted(rows, 'new row')}" if rows else f"{shown} without a new training row"


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _files(prepared: Mapping[str, Any]) -> str:
    """What was rejected of the files, which were refused, and which cannot be used any more."""
    said = ""
    if prepared["rejected"]:
        said += f" Rejected {prepared['rejected']:,} of {prepared['read']:,} rows."
    if prepared["refused"]:
        said += f" Refused {_refused(prepared['refused'])}."
    if prepared["unusable"]:
        said += f" Not used, since they lack columns that the spec has now: {_counted(prepared['unusable'], 'file')}."
    return said


def _refused(files: Sequence[Mapping[str, str]]) -> str:
    shown = [f"{each['uri'].rpartition('/')[2]}: {' '.join(each['reason'].split())}" for each in files[:NAMED_FILES]]
    more = f"; and {len(files) - NAMED_FILES} more" if len(files) > NAMED_FILES else ""
    return "; ".join(shown).rstrip(".") + more


def _overtaken(entry: Entry, production: int | None) -> bool:
    return entry.promoted and entry.challenger != production


def _settled(entry: Entry, production: int | None) -> str:
    if _overtaken(entry, production):
        settled = f"{entry.verdict} of v{entry.challenger} was settled at {entry.at:%Y-%m-%d %H:%M}"
        return f"{settled}; production has moved since, to v{production}."
    held = f", held: {entry.held}" if entry.held else ""
    if entry.champion is None:
        stays = f"; production stays {f'v{production}' if production else 'none'}" if held else ""
        return f"{entry.verdict}: v{entry.challenger}, {entry.reason}{held}{stays}."
    return f"{entry.verdict}: {entry.reason}{held}; {_outcome(entry)}."


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
