"""Rollback on fakes: where it goes, what it refuses, and that it may be cut off anywhere."""

import itertools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from sklearn.linear_model import LinearRegression
from tests.contract.adapters.records import SPEC_TEXT, make_candidate, make_case
from tests.fakes import MemoryLedger, MemoryObjects, MemoryRegistry, MemoryTracking, MemoryTraffic
from tests.killing import Fuse

from gauntlet.domain.aliases import Alias
from gauntlet.domain.spec import Spec
from gauntlet.domain.training import UntrustedModelError
from gauntlet.jobs.ports import Kind, Names, StoreError
from gauntlet.jobs.production import reconcile
from gauntlet.jobs.rollback import RolledBack, Wish, rollback
from gauntlet.jobs.run import Ports, Refused

SPEC = Spec.parse("things", SPEC_TEXT)
NAMES = Names("Model-things", "things", "things-comparison")


@dataclass
class Told:
    """A notifier that remembers."""

    titles: list[str] = field(default_factory=list)

    def tell(self, title: str, text: str) -> None:
        assert text
        self.titles.append(title)


class Strange(LinearRegression):  # type: ignore[misc]
    """A type that nobody trusts."""


class World:
    """Versions 1, 2 and 3, promoted one after the other, and rollbacks of them."""

    def __init__(self, champions: int = 3) -> None:
        self.registry, self.ledger, self.told = MemoryRegistry(), MemoryLedger(), Told()
        self.ports = Ports(
            MemoryTraffic({}, {}), MemoryObjects(), self.registry, MemoryTracking(), self.ledger, notifier=self.told
        )
        self.keys = itertools.count(1)
        for number in range(1, champions + 1):
            self.promote(number)

    def promote(self, number: int) -> None:
        candidate = make_candidate(NAMES, f"train {number}")
        version = self.ledger.add_version(self.registry.publish(candidate, log_details=False))
        case = make_case("things", f"run {number}", number - 1 or None, number)
        assert self.ledger.settle(replace(case, challenger=version)).promoted
        reconcile(self.ports, "things", NAMES)

    def back(self, to: int | None = None, reason: str = "it is worse", key: str = "", **changes: Any) -> RolledBack:
        ports = replace(self.ports, **changes)
        wish = Wish(to, reason, "ann on the command line", key or f"key {next(self.keys)}", "0.1.0")
        return rollback(ports, SPEC, NAMES, wish)

    @property
    def champion(self) -> int | None:
        production = self.ledger.production("things")
        return production.version if production else None

    @property
    def aliases(self) -> dict[str, int]:
        return {alias: version for (_, alias), version in self.registry.aliases.items()}

    @property
    def rollbacks(self) -> list[tuple[int | None, int | None]]:
        return [(e.champion, e.challenger) for e in self.ledger.history("things", 99) if e.kind is Kind.ROLLBACK]


@pytest.fixture
def world() -> World:
    return World()


def test_it_goes_to_the_previous_version_and_the_aliases_follow(world: World) -> None:
    world.registry.aliases[NAMES.model, Alias.STAGING] = 3
    done = world.back()
    assert (done.entry.champion, done.entry.challenger, done.previous, done.repeated) == (3, 2, 1, False)
    assert world.champion == 2
    assert world.aliases == {Alias.PRODUCTION: 2, Alias.PREVIOUS: 1}
    assert world.told.titles == ["things: production was rolled back, v3 → v2"]


def test_two_steps_back_leave_no_previous(world: World) -> None:
    world.back()
    assert world.back(reason="this one, too").previous is None
    assert world.aliases == {Alias.PRODUCTION: 1}
    with pytest.raises(Refused, match=r"before v1 of things there was none .* Choose one with --to: v2, v3\."):
        world.back(reason="and more")
    assert world.rollbacks == [(2, 1), (3, 2)]


def test_it_goes_to_the_version_that_is_named(world: World) -> None:
    assert world.back(to=1).previous is None
    assert world.aliases == {Alias.PRODUCTION: 1}
    assert world.back(to=3).entry.challenger == 3
    assert world.aliases == {Alias.PRODUCTION: 3}


@pytest.mark.parametrize(
    ("to", "said"),
    [
        (3, r"v3 of things is in production already\. Choose one with --to: v1, v2\."),
        (4, r"v4 of things has not\. Choose one with --to: v1, v2\."),
        (99, r"v99 of things has not\."),
    ],
)
def test_a_version_that_it_cannot_go_to_is_named(world: World, to: int, said: str) -> None:
    world.registry.publish(make_candidate(NAMES, "train 4"), log_details=False)
    with pytest.raises(Refused, match=said):
        world.back(to=to)
    assert world.champion == 3


def test_a_first_model_has_nothing_before_it() -> None:
    with pytest.raises(Refused, match=r"^v1 is the first version of things; there is nothing to go back to\.$"):
        World(1).back()


def test_nothing_in_production_is_said() -> None:
    with pytest.raises(Refused, match=r"needs a version in production; things has none"):
        World(0).back()


def test_an_alias_moved_by_hand_is_recorded_before_anything_else(world: World) -> None:
    world.registry.aliases[NAMES.model, Alias.PRODUCTION] = 1
    done = world.back()
    assert (done.entry.champion, done.entry.challenger) == (1, 3)
    assert [entry.kind for entry in world.ledger.history("things", 2)] == [Kind.ROLLBACK, Kind.EXTERNAL]


def test_a_version_that_somebody_else_made_cannot_be_checked(world: World) -> None:
    world.registry.foreign.add((NAMES.model, 7))
    world.registry.aliases[NAMES.model, Alias.PRODUCTION] = 7
    assert world.back().entry.challenger == 3
    with pytest.raises(Refused, match="v7 of things is not in the ledger, so its model cannot be checked"):
        world.back(to=7)


def test_a_file_that_was_altered_moves_nothing(world: World) -> None:
    world.registry.files[NAMES.model, 2] += b" "
    with pytest.raises(StoreError, match="v2 has changed"):
        world.back()
    assert (world.champion, world.rollbacks) == (3, [])
    assert world.aliases == {Alias.PRODUCTION: 3, Alias.PREVIOUS: 2}


def test_a_file_of_types_that_nobody_trusts_moves_nothing() -> None:
    world = World(0)
    made = make_candidate(NAMES, "train 1")
    training = replace(made.training, model=Strange())
    version = world.ledger.add_version(world.registry.publish(replace(made, training=training), log_details=False))
    world.ledger.settle(replace(make_case("things", "run 1", None, 1), challenger=version))
    reconcile(world.ports, "things", NAMES)
    world.promote(2)
    with pytest.raises(UntrustedModelError, match="trusted types only"):
        world.back()
    assert world.champion == 2


def test_the_same_words_again_are_a_second_try(world: World) -> None:
    first = world.back()
    again = world.back()
    assert (again.entry, again.previous, again.repeated) == (first.entry, 1, True)
    assert world.rollbacks == [(3, 2)]
    assert len(world.told.titles) == 1
    assert world.back(to=2).repeated
    assert world.back(to=1).entry.challenger == 1


def test_the_same_key_again_does_nothing_also_later(world: World) -> None:
    first = world.back(key="watch 3")
    candidate = make_candidate(NAMES, "train 4")
    version = world.ledger.add_version(world.registry.publish(candidate, log_details=False))
    fresh = replace(version, model_sha256="0" * 64, seed=99)
    world.ledger.settle(replace(make_case("things", "run 4", 2, 4), challenger=fresh))
    reconcile(world.ports, "things", NAMES)
    world.registry.aliases[NAMES.model, Alias.STAGING] = 3
    assert world.back(key="watch 3").entry == first.entry
    assert world.champion == 4
    assert world.aliases == {Alias.PRODUCTION: 4, Alias.PREVIOUS: 2, Alias.STAGING: 3}
    assert len(world.told.titles) == 1


def test_a_message_that_a_kill_cut_off_is_sent_by_the_next_try_of_the_key(world: World) -> None:
    class Dying:
        def tell(self, *_: str) -> None:
            raise Killed

    with pytest.raises(Killed):
        world.back(key="watch 3", notifier=Dying())
    assert world.aliases == {Alias.PRODUCTION: 2, Alias.PREVIOUS: 1}
    assert world.back(key="watch 3").repeated
    assert world.told.titles == ["things: production was rolled back, v3 → v2"]


def test_twenty_at_once_are_one(world: World) -> None:
    def once(_: int) -> bool:
        try:
            return not world.back().repeated
        except Refused:  # another was quicker
            return False

    with ThreadPoolExecutor(20) as pool:
        done = list(pool.map(once, range(20)))
    assert done.count(True) == 1
    assert world.rollbacks == [(3, 2)]
    assert world.aliases == {Alias.PRODUCTION: 2, Alias.PREVIOUS: 1}


class Killed(BaseException):
    """What a kill looks like to the code that it ends."""


def killed() -> None:
    raise Killed


def calls_of_a_rollback() -> int:
    world, fuse = World(), Fuse(0, killed)
    rollback(fuse.through(world.ports), SPEC, NAMES, Wish(None, "it is worse", "ann", "key", "0.1.0"))
    return fuse.calls


@pytest.mark.parametrize("reason", ["it is worse", "once more"])
@pytest.mark.parametrize("last", range(1, calls_of_a_rollback() + 1))
def test_a_kill_after_any_call_is_mended_by_the_next_try(last: int, reason: str) -> None:
    world = World()
    through = Fuse(last, killed).through(world.ports)
    with pytest.raises(Killed):
        world.back(registry=through.registry, ledger=through.ledger)
    followed = world.ledger.projected("things") == (2,)
    world.back() if followed else world.back(reason=reason)
    assert world.rollbacks == [(3, 2)]
    assert world.champion == 2
    assert world.aliases == {Alias.PRODUCTION: 2, Alias.PREVIOUS: 1}
