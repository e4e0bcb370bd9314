"""The watch over production, put together from the settings."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from gauntlet.bootstrap.catalogue import load_spec, names, run_key
from gauntlet.bootstrap.environment import load_settings
from gauntlet.bootstrap.wiring import code_version, database_url, final_errors, ledger, make_ports
from gauntlet.domain.confidence_sequence import WatchPolicy
from gauntlet.jobs.watch_ports import Look, WatchStep

if TYPE_CHECKING:
    from gauntlet.adapters.ledger_watch import PostgresWatch
    from gauntlet.jobs.ledger_records import Period
    from gauntlet.jobs.watch import WatchRun
    from gauntlet.settings import Settings

log = logging.getLogger(__name__)
WATCH_STEPS = tuple(WatchStep)


def run_watch_step(step: WatchStep, spec: str, context: Mapping[str, Any]) -> dict[str, Any]:
    """Run one step of the watch inside an Airflow task, on what the step before it said."""
    from gauntlet.jobs.watch import WATCH_TASKS

    settings = load_settings()
    dag_run = context["dag_run"]
    before = WATCH_STEPS[: WATCH_STEPS.index(step)][-1:]
    data = context["ti"].xcom_pull(task_ids=str(before[0])) if before else {}
    began = time.monotonic()
    with final_errors():
        run = make_watch_run(settings, spec, run_key(dag_run.dag_id, dag_run.run_id))
        said = WATCH_TASKS[step](run, make_ports(settings), watch_ledger(settings), data)
    log.info("the work of %s took %.3f s", step, time.monotonic() - began)
    return dict(said)


def make_watch_run(settings: Settings, spec_name: str, key: str) -> WatchRun:
    """Return the run of the watch that `key` names, now."""
    from gauntlet.jobs.watch import WatchRun

    return WatchRun(
        key=key,
        spec=load_spec(settings, spec_name),
        names=names(settings, spec_name),
        policy=WatchPolicy(),
        auto_rollback=settings.auto_rollback,
        now=datetime.now(UTC),
        code_version=code_version(),
        decided_by=f"airflow {key}",
    )


def watch_ledger(settings: Settings) -> PostgresWatch:
    """Return the watch's part of the ledger."""
    from gauntlet.adapters.ledger_watch import PostgresWatch

    return PostgresWatch(database_url(settings))


def watched(settings: Settings, spec: str | None) -> tuple[str, Period | None, Sequence[Look]]:
    """Return a spec's name, the present stay in production, and the looks at it, oldest first."""
    from gauntlet.jobs.production import present_stay

    name = load_spec(settings, spec).name
    stay = present_stay(ledger(settings), name)
    return name, stay, watch_ledger(settings).looks(stay.event_id) if stay else ()
