"""The watch over production on fakes: what it counts, when it acts, and that any step may be done twice or cut off."""

import copy
import itertools
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tests.fakes import MemoryLedger, MemoryNotifier
from tests.memory_watch import MemoryWatch
from tests.unit.test_pipeline import NAMES, SPEC, World, toys

from gauntlet.domain.aliases import Alias
from gauntlet.domain.confidence_sequence import WatchPolicy
from gauntlet.jobs import watch_rows
from gauntlet.jobs.frames import row_ids
from gauntlet.jobs.ledger_records import Rollback
from gauntlet.jobs.ports import Entry, StoreError
from gauntlet.jobs.rollback import Wish, rollback
from gauntlet.jobs.run import Ports, Refused
from gauntlet.jobs.watch import WATCH_TASKS, WatchRun, run_watch
from gauntlet.jobs.watch_ports import Look, WatchedRow, WatchOutcome, WatchStep, how_to_roll_back

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
COPIES = itertools.count(1)


@dataclass
class Watching:
    """A world whose production is watched."""

    world: World = field(default_factory=World)
    watch: MemoryWatch = field(default_factory=MemoryWatch)
    notifier: MemoryNotifier = field(default_factory=MemoryNotifier)
    hours: int = 0

    @property
    def ports(self) -> Ports:
        return replace(self.world.ports, notifier=self.notifier)

    def run(self, **changes: Any) -> WatchRun:
        self.hours += 1
        run = WatchRun(
            key=f"watch_production/{self.hours}",
            spec=SPEC,
            names=NAMES,
            policy=WatchPolicy(),
            auto_rollback=False,
            now=NOW + timedelta(hours=self.hours),
            code_version="test",
            decided_by="the watch",
        )
        return replace(run, **changes)

    def go(self, **changes: Any) -> str:
        """One run, as its last line."""
        return str(run_watch(self.run(**changes), self.ports, self.watch)["line"])

    @property
    def outcomes(self) -> list[WatchOutcome]:
        return [look.outcome for look in self.watch.taken]

    @property
    def moves(self) -> list[tuple[str, int | None]]:
        return [(event.kind, event.new) for event in self.world.ledger.events]

    def by_hand(self, version: int) -> None:
        """A person moves the alias in the registry."""
        self.world.registry.aliases["toys", Alias.PRODUCTION] = version

    def next_promotion_is_bad(self, slope: float) -> None:
        """A challenger fits other prices and is promoted; then prices are again what they were before."""
        before = self.world.traffic.training, self.world.traffic.test
        self.world.traffic.training = {"toys": toys(4000, 1, slope=slope)}
        self.world.traffic.test = {"toys": toys(3000, 100_000, slope=slope)}
        self.world.go(force_retrain=True)
        self.world.traffic.training, self.world.traffic.test = before


@cache
def started() -> Watching:
    """v1 in production, the first model."""
    watching = Watching()
    watching.world.go()
    return watching


@cache
def promoted_and_worse() -> Watching:
    """v2 was promoted and is far worse than v1 now."""
    watching = apart(started())
    watching.next_promotion_is_bad(14.0)
    assert watching.world.champion == 2
    return watching


@cache
def kept_and_equal() -> Watching:
    """v2 is as good as v1, which is in production."""
    watching = apart(started())
    watching.world.go(force_retrain=True)
    assert watching.world.champion == 1
    return watching


def apart(built: Watching) -> Watching:
    """A copy that shares nothing with what was built once for all tests; locks cannot be copied, so they are new."""
    ledger = built.world.ledger
    new = {
        id(ledger._inside): threading.RLock(),
        id(ledger._locks): {},
        id(ledger._ids): itertools.count(1000 * next(COPIES)),
        id(built.watch._inside): threading.RLock(),
    }
    return copy.deepcopy(built, new)


@pytest.fixture
def first() -> Watching:
    return apart(started())


@pytest.fixture
def equal() -> Watching:
    """v2, as good as v1, put in production by hand."""
    watching = apart(kept_and_equal())
    watching.by_hand(2)
    return watching


@pytest.fixture
def worse() -> Watching:
    return apart(promoted_and_worse())


def test_without_production_there_is_nothing_to_watch() -> None:
    watching = Watching()
    assert watching.go() == "nothing is in production."
    assert watching.watch.taken == []


def test_a_first_model_has_no_version_before_it(first: Watching) -> None:
    assert first.go() == "v1 is in production, and there is no version before it to watch it by."
    assert (first.watch.rows, first.watch.taken) == ({}, [])


def test_a_look_scores_the_rows_by_both_and_keeps_what_it_saw(equal: Watching) -> None:
    line = equal.go()
    (look,) = equal.watch.taken
    assert (look.champion, look.previous, look.rows, look.outcome) == (2, 1, 2000, WatchOutcome.NOT_WORSE)
    assert look.effect is not None
    assert look.lower is not None
    assert look.upper is not None
    assert look.lower < look.effect < look.upper
    assert line == f"NOT_WORSE: {look.reason}."
    assert "v2's MAE is" in line
    assert "than v1's (bounds " in line
    assert line.endswith(") on 2,000 rows.")
    assert equal.notifier.told == []


def test_the_losses_are_those_of_production_and_of_the_version_before(worse: Watching) -> None:
    worse.go()
    rows = [row for _, row in worse.watch.rows.values()]
    assert np.mean([row.champion_loss for row in rows]) > 5 * np.mean([row.previous_loss for row in rows])


def test_a_row_counts_once_and_a_spent_pool_is_said(equal: Watching) -> None:
    rows = [len(equal.watch.rows) for _ in range(12) if equal.go()]
    assert rows[0] == 2000
    assert rows == sorted(rows)
    assert rows[-1] == 3000
    line = equal.go()
    assert line.startswith(
        "the A/B pool is spent: 0 new rows of 2,000 (2,000 known); the last look stands: NOT_WORSE, v2"
    )
    looks = equal.watch.taken
    assert [look.rows for look in looks] == sorted({look.rows for look in looks})
    assert len(looks) < 12


def test_rows_that_either_version_was_trained_on_are_dropped(equal: Watching) -> None:
    pool = pd.concat([toys(4000, 1), toys(500, 100_000)])
    equal.world.traffic.test = {"toys": pool}
    equal.world.traffic.data_size = 4500
    equal.go()
    trained = {
        int(each)
        for version in equal.world.ledger.versions
        for each in row_ids(equal.world.store.get(version.snapshot))
    }
    counted = {row_id for _, row_id in equal.watch.rows}
    assert counted == set(pool.index) - trained
    assert 500 <= len(counted) < 4500


def test_a_pool_of_training_rows_alone_gives_nothing_to_judge(equal: Watching) -> None:
    version = equal.world.ledger.versions[0]
    only = int(row_ids(equal.world.store.get(version.snapshot))[0])
    equal.world.traffic.test = {"toys": toys(4000, 1).loc[[only]]}
    assert equal.go() == "nothing to judge: 0 new rows of 1 (1 in a training set)."
    assert equal.watch.taken == []


def test_a_few_rows_are_not_judged(equal: Watching) -> None:
    equal.world.traffic.data_size = 600
    assert equal.go() == "TOO_FEW_ROWS: 600 rows of the 1,000 that a look needs."
    assert equal.watch.taken[0].effect is None


def test_a_version_before_without_any_error_is_no_measure(equal: Watching, monkeypatch: pytest.MonkeyPatch) -> None:
    def perfect(_: Ports, version: Any, __: Any, frame: pd.DataFrame) -> Any:
        return frame["price"].to_numpy() + (version.version == 2)

    monkeypatch.setattr(watch_rows, "predict", perfect)
    assert equal.go() == "NOT_WORSE: v1 makes no error on 2,000 rows, so that no effect can be told."


def test_rows_without_a_finite_loss_do_not_count(equal: Watching, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Ports, version: Any, __: Any, frame: pd.DataFrame) -> Any:
        return np.where((frame["size"] > 9) & (version.version == 2), np.nan, frame["price"] + version.version)

    monkeypatch.setattr(watch_rows, "predict", broken)
    run = equal.run()
    line = run_watch(run, equal.ports, equal.watch)["line"]
    assert equal.watch.taken[0].rows == len(equal.watch.rows) < 2000
    missed = 2000 - len(equal.watch.rows)
    told = [text for title, text in equal.notifier.told if title == "toys: v2 leaves rows without a prediction"]
    assert told == [f"{len(equal.watch.rows):,} new rows of 2,000 ({missed} without a prediction of v2)."]
    run_watch(run, equal.ports, equal.watch)
    assert len([title for title, _ in equal.notifier.told if "leaves rows" in title]) == 1
    assert "MAE is 100.0 % higher" in line


def test_rows_that_both_versions_leave_out_are_told_by_nobody(equal: Watching, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Ports, __: Any, ___: Any, frame: pd.DataFrame) -> Any:
        return np.where(frame["size"] > 9, np.nan, frame["price"] + 1)

    monkeypatch.setattr(watch_rows, "predict", broken)
    data = WATCH_TASKS[WatchStep.SCORE_FRESH_ROWS](equal.run(), equal.ports, equal.watch, {})
    assert "without a prediction of v2, " in data["line"]
    assert data["line"].endswith("without a prediction of v1)")
    assert equal.notifier.told == []


def test_rows_that_break_the_spec_stop_the_run_beyond_a_fifth(equal: Watching) -> None:
    pool = toys(3000, 100_000)
    pool.iloc[:900, 0] = 99.0
    equal.world.traffic.test = {"toys": pool}
    equal.world.traffic.data_size = 3000
    with pytest.raises(Refused, match=r"^At most 20% of the A/B rows may break the spec; 30\.0% of 3,000 do"):
        equal.go()
    pool.iloc[:900, 0] = 5.0
    pool.iloc[:100, 0] = 99.0
    assert "on 2,900 rows" in equal.go()


def test_worse_production_is_proposed_for_rollback_once(worse: Watching) -> None:
    line = worse.go()
    assert line.startswith("PROPOSE: v2's MAE is ")
    assert line.endswith("; not rolled back by itself, since AUTO_ROLLBACK is false.")
    worse.go()
    assert worse.outcomes == [WatchOutcome.PROPOSE, WatchOutcome.WORSE]
    assert worse.watch.taken[1].reason.endswith("; a rollback was proposed on 2026-11-21 13:00 UTC")
    ((title, text),) = worse.notifier.told
    assert title == "toys: roll back v2?"
    assert how_to_roll_back(worse.watch.taken[0]) in text
    assert worse.world.champion == 2


def test_worse_production_is_rolled_back_where_that_is_allowed(worse: Watching) -> None:
    line = worse.go(auto_rollback=True)
    assert line.startswith("ROLL_BACK: v2's MAE is ")
    assert line.endswith("v1 is in production.")
    assert worse.world.champion == 1
    assert worse.world.aliases == {Alias.PRODUCTION: 1}
    assert worse.moves[-1] == ("rollback", 1)
    entry = worse.world.ledger.history("toys", 1)[0]
    assert (entry.champion, entry.challenger, entry.decided_by) == (2, 1, "the watch")
    assert entry.reason == worse.watch.taken[0].reason
    assert entry.evidence["look"]["rows"] == 2000

    after = worse.go(auto_rollback=True)
    assert after.startswith("v1 came back by a rollback on ")
    assert after.endswith("there is nothing to watch until a promotion.")
    assert worse.outcomes == [WatchOutcome.ROLL_BACK]


def test_a_proposal_is_the_one_act_of_its_promotion(worse: Watching) -> None:
    worse.go()
    worse.go(auto_rollback=True)
    assert worse.outcomes == [WatchOutcome.PROPOSE, WatchOutcome.WORSE]
    assert worse.world.champion == 2


@pytest.mark.parametrize(("days", "rolled_back"), [(6.9, False), (7.1, True)])
def test_automatic_rollbacks_lie_seven_days_apart(worse: Watching, days: float, rolled_back: bool) -> None:
    worse.go(auto_rollback=True)
    worse.next_promotion_is_bad(6.0)
    assert worse.world.champion == 3
    line = worse.go(auto_rollback=True, now=NOW + timedelta(hours=1, days=days))
    assert (worse.world.champion == 1) is rolled_back
    assert worse.outcomes == [WatchOutcome.ROLL_BACK, WatchOutcome.ROLL_BACK if rolled_back else WatchOutcome.PROPOSE]
    told = "since the last automatic rollback was on 2026-11-21 13:00 UTC, less than 7 days ago."
    assert line.endswith(told) is not rolled_back


def test_a_new_promotion_counts_its_rows_afresh(equal: Watching) -> None:
    equal.go()
    equal.by_hand(1)
    equal.go()
    assert [(look.champion, look.previous, look.rows) for look in equal.watch.taken] == [(2, 1, 2000), (1, 2, 2000)]
    assert len({look.event for look in equal.watch.taken}) == 2


def dropped(watching: Watching) -> None:
    del watching.world.registry.aliases["toys", Alias.PRODUCTION]
    watching.world.ledger.record_external("toys", "toys", watching.world.champion, None, None)


def rolled_back_by_a_person(watching: Watching) -> None:
    wish = Wish(to=1, reason="complaints", by="a person", key="by hand", code_version="test")
    rollback(watching.ports, SPEC, NAMES, wish)


def moved_and_moved_again(watching: Watching) -> None:
    ledger = watching.world.ledger
    ledger.record_external("toys", "toys", 2, 1, None)
    ledger.record_external("toys", "toys", 1, 2, None)


@pytest.mark.parametrize(
    ("move", "told"),
    [
        (dropped, "production was dropped meanwhile, so this run stops."),
        (rolled_back_by_a_person, "production was moved meanwhile, by a rollback to v1, so this run stops."),
        (
            moved_and_moved_again,
            "production was moved meanwhile, by hand in the registry to v2, so this run stops.",
        ),
    ],
)
@pytest.mark.parametrize("before", [WatchStep.JUDGE_PRODUCTION, WatchStep.ACT_ON_VERDICT])
def test_production_moved_during_a_run_stops_it(
    worse: Watching, move: Callable[[Watching], None], told: str, before: WatchStep
) -> None:
    run = worse.run(auto_rollback=True)
    data: Mapping[str, Any] = {}
    for step, task in WATCH_TASKS.items():
        if step is before:
            move(worse)
            moves = worse.moves
        data = task(run, worse.ports, worse.watch, data)
    assert data["line"].endswith(told)
    assert worse.moves == moves


def taken_over(ledger: MemoryLedger, by: MemoryLedger) -> MemoryLedger:
    """The same state in a ledger of another class."""
    vars(by).update(vars(ledger))
    return by


class MovingLedger(MemoryLedger):
    """Production is moved to v3, from outside, as soon as a rollback begins."""

    armed = False

    def projected(self, spec: str) -> tuple[int | None] | None:
        if self.armed:
            self.armed = False
            self.record_external(spec, "toys", 2, 3, None)
        return super().projected(spec)


def test_a_version_that_came_at_the_last_moment_is_not_rolled_back() -> None:
    watching = apart(promoted_and_worse())
    watching.world.ledger = taken_over(watching.world.ledger, MovingLedger())
    watching.world.go(force_retrain=True)
    if watching.world.champion == 3:
        watching.by_hand(2)
    run = watching.run(auto_rollback=True)
    data: Mapping[str, Any] = {}
    for step, task in WATCH_TASKS.items():
        watching.world.ledger.armed = step is WatchStep.ACT_ON_VERDICT  # type: ignore[attr-defined]
        data = task(run, watching.ports, watching.watch, data)
    assert watching.outcomes == [WatchOutcome.ROLL_BACK]
    told = "production was moved meanwhile, by hand in the registry to v3, so this run stops."
    assert data["line"].endswith(told)
    assert watching.world.champion == 3


def test_an_order_that_nobody_carried_out_waits_where_rollbacks_are_not_allowed_any_more(worse: Watching) -> None:
    run = worse.run(auto_rollback=True)
    scored = WATCH_TASKS[WatchStep.SCORE_FRESH_ROWS](run, worse.ports, worse.watch, {})
    WATCH_TASKS[WatchStep.JUDGE_PRODUCTION](run, worse.ports, worse.watch, scored)
    line = worse.go(auto_rollback=False)
    assert "Not done, and AUTO_ROLLBACK is false now. Roll back: gauntlet rollback --spec toys --to 1" in line
    assert worse.world.champion == 2


def test_a_version_before_that_was_deleted_is_said(equal: Watching) -> None:
    del equal.world.registry.versions["toys", 1]
    line = equal.go()
    assert line == "v1, in production before v2, was deleted in the registry: there is nothing to watch."


def test_a_version_that_this_pipeline_did_not_make_is_not_watched(first: Watching) -> None:
    first.world.registry.foreign.add(("toys", 7))
    first.by_hand(7)
    assert first.go() == "v7 was not made by this pipeline, so there is nothing to watch."
    first.world.ledger.add_version(replace(first.world.ledger.versions[0], version=2, run_key="other"))
    first.world.registry.versions["toys", 2] = first.world.ledger.versions[1]
    first.by_hand(2)
    assert first.go() == "v7, in production before v2, was not made by this pipeline, so there is nothing to watch."


@pytest.mark.parametrize("version", [1, 2])
def test_a_model_file_that_was_altered_is_refused(worse: Watching, version: int) -> None:
    worse.world.registry.files["toys", version] = b"something else"
    with pytest.raises(StoreError, match=f"toys v{version} has changed"):
        worse.go()
    assert worse.watch.rows == {}


@pytest.mark.parametrize("auto", [False, True])
def test_every_step_done_twice_ends_in_the_same_state(worse: Watching, auto: bool) -> None:
    run = worse.run(auto_rollback=auto)
    data: Mapping[str, Any] = {}
    for task in WATCH_TASKS.values():
        task(run, worse.ports, worse.watch, data)
        data = task(run, worse.ports, worse.watch, data)
    assert len(worse.watch.rows) == 2000
    assert len(worse.watch.taken) == 1
    assert worse.moves.count(("rollback", 1)) == auto
    again = run_watch(run, worse.ports, worse.watch)["line"]
    assert (len(worse.watch.rows), len(worse.watch.taken)) == (2000, 1)
    assert worse.moves.count(("rollback", 1)) == auto
    assert again.endswith("v1 is in production." if auto else "AUTO_ROLLBACK is false.")


class Dying:
    """Dies once, before or after the named call."""

    dies: tuple[str, str] = ("", "")

    def _die(self, when: str, call: str) -> None:
        if self.dies == (when, call):
            self.dies = ("", "")
            raise ConnectionError("killed")


class DyingWatch(Dying, MemoryWatch):
    """A watch that dies."""

    def add_rows(self, event: int, run_key: str, rows: Sequence[WatchedRow]) -> None:
        self._die("before", "add_rows")
        super().add_rows(event, run_key, rows)
        self._die("after", "add_rows")

    def add_look(self, look: Look) -> Look:
        self._die("before", "add_look")
        added = super().add_look(look)
        self._die("after", "add_look")
        return added


class DyingLedger(Dying, MemoryLedger):
    """A ledger that dies."""

    def rollback(self, move: Rollback) -> Entry | None:
        self._die("before", "rollback")
        done = super().rollback(move)
        self._die("after", "rollback")
        return done

    def mark_projected(self, spec: str, version: int | None) -> None:
        self._die("before", "mark_projected")
        super().mark_projected(spec, version)


@pytest.mark.parametrize("same_run", [True, False])
@pytest.mark.parametrize(
    "dies",
    [
        ("before", "add_rows"),
        ("after", "add_rows"),
        ("before", "add_look"),
        ("after", "add_look"),
        ("before", "rollback"),
        ("after", "rollback"),
        ("before", "mark_projected"),
    ],
)
def test_a_death_anywhere_is_mended_by_the_next_try_or_the_next_run(dies: tuple[str, str], same_run: bool) -> None:
    watching = apart(promoted_and_worse())
    watching.world.ledger, watching.watch = taken_over(watching.world.ledger, DyingLedger()), DyingWatch()
    run = watching.run(auto_rollback=True)
    assert isinstance(watching.watch, DyingWatch)
    assert isinstance(watching.world.ledger, DyingLedger)
    watching.watch.dies = watching.world.ledger.dies = dies
    with pytest.raises(ConnectionError):
        run_watch(run, watching.ports, watching.watch)
    run_watch(run if same_run else watching.run(auto_rollback=True), watching.ports, watching.watch)

    assert watching.world.champion == 1
    assert watching.world.aliases == {Alias.PRODUCTION: 1}
    assert watching.moves.count(("rollback", 1)) == 1
    assert watching.outcomes.count(WatchOutcome.ROLL_BACK) == 1


def test_many_runs_at_once_act_once(worse: Watching) -> None:
    runs = [worse.run(auto_rollback=True) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        lines = list(pool.map(lambda run: run_watch(run, worse.ports, worse.watch)["line"], runs))
    assert worse.moves.count(("rollback", 1)) == 1
    assert worse.world.champion == 1
    assert worse.outcomes.count(WatchOutcome.ROLL_BACK) == 1
    assert len(lines) == 8


def test_one_run_twice_at_once_has_one_look(equal: Watching) -> None:
    run = equal.run()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: run_watch(run, equal.ports, equal.watch), range(4)))
    assert len(equal.watch.taken) == 1
