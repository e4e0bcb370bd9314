"""The watch on the real ledger: runs at once, and a process that is killed between order and rollback."""

import multiprocessing
import os
import signal
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.fakes import MemoryTraffic
from tests.unit.test_pipeline import SPEC, World, toys

from gauntlet.adapters.ledger import PostgresLedger
from gauntlet.adapters.ledger_watch import PostgresWatch
from gauntlet.domain.confidence_sequence import WatchPolicy
from gauntlet.jobs.pipeline import run_pipeline
from gauntlet.jobs.ports import Names
from gauntlet.jobs.run import Ports
from gauntlet.jobs.watch import WATCH_TASKS, WatchRun, run_watch
from gauntlet.jobs.watch_ports import WatchOutcome, WatchStep


@dataclass
class Watched:
    """A spec of its own whose v2 was promoted on other prices and is far worse than v1 now."""

    run: WatchRun
    ports: Ports
    watch: PostgresWatch

    @property
    def moves(self) -> list[tuple[str, int]]:
        return [(period.kind, period.version) for period in reversed(self.ports.ledger.periods(self.run.spec.name))]

    @property
    def outcomes(self) -> list[WatchOutcome]:
        events = {period.event_id for period in self.ports.ledger.periods(self.run.spec.name)}
        return [look.outcome for event in sorted(events) for look in self.watch.looks(event)]


@pytest.fixture
def watched(app_url: str, spec: str) -> Watched:
    own, names = SPEC.model_copy(update={"name": spec}), Names(spec, spec, f"{spec}-comparison")
    traffic = MemoryTraffic({}, {}, data_size=2000)
    world = World(traffic=traffic, ledger=PostgresLedger(app_url))  # type: ignore[arg-type]  # for the one in memory
    for slope in (10.0, 14.0):
        traffic.training, traffic.test = {spec: toys(4000, 1, slope)}, {spec: toys(3000, 100_000, slope)}
        run_pipeline(world.run(spec=own, names=names, force_retrain=True), world.ports)
    traffic.test = {spec: toys(3000, 100_000)}
    policy, now = WatchPolicy(), datetime.now(UTC)
    run = WatchRun("watch_production/1", own, names, policy, True, now, "test", "the watch")
    found = Watched(run, world.ports, PostgresWatch(app_url))
    assert found.moves == [("first", 1), ("promote", 2)]
    return found


def test_runs_at_once_roll_back_once(watched: Watched) -> None:
    runs = [replace(watched.run, key=f"watch_production/{number}") for number in range(6)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda run: run_watch(run, watched.ports, watched.watch), runs))
    assert watched.moves == [("first", 1), ("promote", 2), ("rollback", 1)]
    assert watched.outcomes.count(WatchOutcome.ROLL_BACK) == 1


@pytest.mark.parametrize("same_run", [True, False])
def test_a_rollback_that_was_ordered_by_a_killed_process_is_done_by_the_next(watched: Watched, same_run: bool) -> None:
    child = multiprocessing.get_context("fork").Process(target=_die_before_acting, args=(watched,))
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL
    assert (watched.moves[-1], watched.outcomes) == (("promote", 2), [WatchOutcome.ROLL_BACK])

    run = watched.run if same_run else replace(watched.run, key="watch_production/2")
    run_watch(run, watched.ports, watched.watch)
    assert watched.moves == [("first", 1), ("promote", 2), ("rollback", 1)]
    assert watched.outcomes.count(WatchOutcome.ROLL_BACK) == 1


def _die_before_acting(watched: Watched) -> None:
    data: Mapping[str, Any] = {}
    for step in (WatchStep.SCORE_FRESH_ROWS, WatchStep.JUDGE_PRODUCTION):
        data = WATCH_TASKS[step](watched.run, watched.ports, watched.watch, data)
    os.kill(os.getpid(), signal.SIGKILL)
