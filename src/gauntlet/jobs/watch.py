"""The watch over production: is it worse than the version before it on rows that neither was trained on?

Every step may be done twice, killed half way, or be under way in two runs at once: a row counts once for a promotion, a
run has one look, and a promotion is acted on once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from gauntlet.domain.confidence_sequence import Bounds, PairedSums, WatchPolicy, bounds
from gauntlet.domain.spec import Spec
from gauntlet.domain.wording import METRIC_NAMES, percent, signed_percent
from gauntlet.jobs.ports import Names, Version
from gauntlet.jobs.production import present_stay, reconcile
from gauntlet.jobs.rollback import Wish, rollback
from gauntlet.jobs.run import Ports, Refused
from gauntlet.jobs.watch_ports import Look, WatchLedger, WatchOutcome, WatchStep, how_to_roll_back
from gauntlet.jobs.watch_rows import fresh_rows

log = logging.getLogger(__name__)
Data = Mapping[str, Any]


@dataclass(frozen=True)
class WatchRun:
    """One run of the watch for one spec; `key` makes each of its steps repeatable, `now` has its zone."""

    key: str
    spec: Spec
    names: Names
    policy: WatchPolicy
    auto_rollback: bool
    now: datetime
    code_version: str
    decided_by: str


@dataclass(frozen=True)
class Watched:
    """The promotion that is watched: its event, what it brought, and what was in production before."""

    event: int
    champion: Version
    previous: Version


def score_fresh_rows(run: WatchRun, ports: Ports, watch: WatchLedger, _: Data) -> Data:
    """Score A/B rows that do not count yet with production and the version before it, and keep their losses."""
    reconcile(ports, run.spec.name, run.names)
    looked = watch.look(run.spec.name, run.key)
    if looked is not None:
        return _going_on(looked.event, "this run has looked before")
    watched = _watched(run, ports)
    if isinstance(watched, str):
        return _stopped(watched)
    added = watch.rows_of_run(watched.event, run.key)
    if added:
        return _going_on(watched.event, f"{added:,} new rows, scored by an earlier try of this run")
    fresh = fresh_rows(run.spec, ports, watch, watched.event, watched.champion, watched.previous)
    watch.add_rows(watched.event, run.key, fresh.scored)
    if fresh.silent:
        ports.notifier.tell(f"{run.spec.name}: v{fresh.champion} leaves rows without a prediction", f"{fresh.text}.")
    return _going_on(watched.event, fresh.text)


def judge_production(run: WatchRun, ports: Ports, watch: WatchLedger, scored: Data) -> Data:
    """Look at all rows of the promotion and record what they say, once a run."""
    if scored["event"] is None:
        return scored
    with ports.ledger.lock(run.spec.name, "watch"):
        look = watch.look(run.spec.name, run.key)
        if look is None:
            watched = _moved(run, ports, scored["event"]) or _watched(run, ports)
            if isinstance(watched, str):
                return _stopped(watched)
            sums, looks = watch.sums(watched.event), watch.looks(watched.event)
            if sums is None:
                return _stopped(f"nothing to judge: {scored['line']}.")
            if looks and looks[-1].rows == sums.rows:
                last = f"the last look stands: {looks[-1].outcome}, {looks[-1].reason}"
                return _going_on(watched.event, f"the A/B pool is spent: {scored['line']}; {last}.")
            look = watch.add_look(_look(run, watch, watched, sums, looks))
    return _going_on(look.event, f"{look.outcome}: {look.reason}.")


def act_on_verdict(run: WatchRun, ports: Ports, watch: WatchLedger, judged: Data) -> Data:
    """Propose the rollback that this run's look calls for, or do the one that any look at this promotion ordered."""
    if judged["event"] is None:
        return judged
    acting = _acting(watch.looks(judged["event"]))
    if acting is None:
        return judged
    if acting.outcome is WatchOutcome.ROLL_BACK:
        return _going_on(acting.event, f"{judged['line']} {_roll_back(run, ports, acting)}")
    if acting.run_key == run.key:
        ports.notifier.tell(f"{run.spec.name}: roll back v{acting.champion}?", _proposal(acting))
    return judged


WATCH_TASKS: Mapping[WatchStep, Callable[[WatchRun, Ports, WatchLedger, Data], Data]] = {
    WatchStep.SCORE_FRESH_ROWS: score_fresh_rows,
    WatchStep.JUDGE_PRODUCTION: judge_production,
    WatchStep.ACT_ON_VERDICT: act_on_verdict,
}


def run_watch(run: WatchRun, ports: Ports, watch: WatchLedger) -> Data:
    """Do every step in this process and return what the last one said."""
    data: Data = {}
    for step in WATCH_TASKS.values():
        data = step(run, ports, watch, data)
    return data


def _watched(run: WatchRun, ports: Ports) -> Watched | str:
    """What is to be watched, or why there is nothing."""
    period = present_stay(ports.ledger, run.spec.name)
    if period is None:
        return "nothing is in production."
    named = f"v{period.version}"
    if period.kind == "rollback":
        return f"{named} came back by a rollback on {_day(period.since)}: there is nothing to watch until a promotion."
    number = ports.ledger.previous(run.spec.name)
    if number is None:
        return f"{named} is in production, and there is no version before it to watch it by."
    champion, previous = (ports.ledger.version(run.spec.name, each) for each in (period.version, number))
    if champion is None or previous is None:
        unknown = named if champion is None else f"v{number}, in production before {named},"
        return f"{unknown} was not made by this pipeline, so there is nothing to watch."
    if ports.registry.describe(run.names.model, number) is None:
        return f"v{number}, in production before {named}, was deleted in the registry: there is nothing to watch."
    return Watched(period.event_id, champion, previous)


def _moved(run: WatchRun, ports: Ports, event: int) -> str | None:
    """What became of production since it was moved by this event; None when it is as it was."""
    period = present_stay(ports.ledger, run.spec.name)
    if period is not None and period.event_id == event:
        return None
    if period is None:
        return "production was dropped meanwhile, so this run stops."
    how = {"rollback": "a rollback", "external": "hand in the registry"}.get(period.kind, "a promotion")
    return f"production was moved meanwhile, by {how} to v{period.version}, so this run stops."


def _look(run: WatchRun, watch: WatchLedger, watched: Watched, sums: PairedSums, looks: Sequence[Look]) -> Look:
    found = bounds(sums, run.policy)
    outcome, reason = _verdict(run, watch, watched, sums, found, looks)
    return Look(
        at=run.now,
        spec=run.spec.name,
        run_key=run.key,
        event=watched.event,
        champion=watched.champion.version,
        previous=watched.previous.version,
        rows=sums.rows,
        effect=found.effect if found else None,
        lower=found.lower if found else None,
        upper=found.upper if found else None,
        outcome=outcome,
        reason=reason,
    )


def _verdict(
    run: WatchRun,
    watch: WatchLedger,
    watched: Watched,
    sums: PairedSums,
    found: Bounds | None,
    looks: Sequence[Look],
) -> tuple[WatchOutcome, str]:
    now, before = f"v{watched.champion.version}", f"v{watched.previous.version}"
    if found is None and sums.rows < run.policy.min_rows:
        return WatchOutcome.TOO_FEW_ROWS, f"{sums.rows:,} rows of the {run.policy.min_rows:,} that a look needs"
    if found is None:
        return WatchOutcome.NOT_WORSE, f"{before} makes no error on {sums.rows:,} rows, so that no effect can be told"
    figures = _figures(now, before, METRIC_NAMES[run.spec.metric], found)
    if found.lower <= 0:
        return WatchOutcome.NOT_WORSE, figures
    acting = _acting(looks)
    if acting is not None:
        done = "ordered" if acting.outcome is WatchOutcome.ROLL_BACK else "proposed"
        return WatchOutcome.WORSE, f"{figures}; a rollback was {done} on {_day(acting.at)}"
    hindrance = _hindrance(run, watch)
    if hindrance is not None:
        return WatchOutcome.PROPOSE, f"{figures}; not rolled back by itself, since {hindrance}"
    return WatchOutcome.ROLL_BACK, figures


def _figures(now: str, before: str, metric: str, found: Bounds) -> str:
    difference = f"{percent(abs(found.effect))} {'higher' if found.effect > 0 else 'lower'} than {before}'s"
    bounded = f"bounds {signed_percent(found.lower)} to {signed_percent(found.upper)}"
    return f"{now}'s {metric} is {difference} ({bounded}) on {found.rows:,} rows"


def _hindrance(run: WatchRun, watch: WatchLedger) -> str | None:
    """Why a rollback is only proposed."""
    if not run.auto_rollback:
        return "AUTO_ROLLBACK is false"
    last = watch.last_rollback(run.spec.name)
    distance = timedelta(days=run.policy.cooldown_days)
    if last is not None and run.now - last.at < distance:
        return f"the last automatic rollback was on {_day(last.at)}, less than {distance.days} days ago"
    return None


def _roll_back(run: WatchRun, ports: Ports, look: Look) -> str:
    """Do what a look ordered, unless production was moved since; done again, it is found done."""
    if ports.ledger.rolled_back(run.spec.name, look.run_key) is None:
        moved = _moved(run, ports, look.event)
        if moved is not None:
            return moved
        if not run.auto_rollback:
            return f"Not done, and AUTO_ROLLBACK is false now. Roll back: {how_to_roll_back(look)}"
    try:
        done = rollback(ports, run.spec, run.names, _wish(run, look))
    except Refused:
        moved = _moved(run, ports, look.event)
        if moved is None:
            raise
        return moved
    return f"Rolled back on {_day(done.entry.at)}: v{look.previous} is in production."


def _wish(run: WatchRun, look: Look) -> Wish:
    return Wish(
        to=look.previous,
        reason=look.reason,
        by=run.decided_by,
        key=look.run_key,
        code_version=run.code_version,
        evidence={"look": {**vars(look), "at": look.at.isoformat()}},
        out=look.champion,
    )


def _acting(looks: Sequence[Look]) -> Look | None:
    return next((look for look in looks if look.outcome.acts), None)


def _proposal(look: Look) -> str:
    return f"{look.reason}. Roll back: {how_to_roll_back(look)}"


def _stopped(line: str) -> Data:
    log.info(line)
    return {"event": None, "line": line}


def _going_on(event: int, line: str) -> Data:
    log.info(line)
    return {"event": event, "line": line}


def _day(when: datetime) -> str:
    return f"{when:%Y-%m-%d %H:%M} UTC"
