"""The best version ever, from the ledger's lines."""

from datetime import UTC, datetime
from typing import Any

from gauntlet.domain.verdict import Verdict
from gauntlet.jobs.anchor import best_version
from gauntlet.jobs.ports import Entry, Kind


def line(number: int, champion: int | None, challenger: int, effect: float | None = None, **changes: Any) -> Entry:
    own: dict[str, Any] = {
        "id": number, "at": datetime(2026, 1, number, tzinfo=UTC), "spec": "toys", "run_key": str(number),
        "verdict": Verdict.PROMOTE, "reason": "", "champion": champion, "challenger": challenger, "effect": effect,
        "interval": None, "rows": 1000, "evidence": {},
    }  # fmt: skip
    return Entry(**{**own, **changes})


def newest_first(*entries: Entry) -> list[Entry]:
    return list(reversed(entries))


def test_without_production_there_is_none() -> None:
    assert best_version([]) is None
    assert best_version([line(1, 1, 2, -0.3, verdict=Verdict.KEEP)]) is None


def test_a_chain_of_gains_ends_with_the_champion() -> None:
    assert best_version(newest_first(line(1, None, 1), line(2, 1, 2, -0.1), line(3, 2, 4, -0.05))) == 4


def test_small_losses_do_not_move_the_anchor() -> None:
    creep = newest_first(line(1, None, 1), line(2, 1, 2, -0.1), line(3, 2, 3, 0.01), line(4, 3, 4, 0.01))
    assert best_version(creep) == 2
    assert best_version([line(5, 4, 5, -0.015), *creep]) == 2  # .9 * 1.01 * 1.01 * .985 is more than .9
    assert best_version([line(5, 4, 5, -0.03), *creep]) == 5


def test_only_what_came_into_production_counts() -> None:
    first = line(1, None, 1)
    assert best_version(newest_first(first, line(2, 1, 2, -0.5, verdict=Verdict.KEEP))) == 1
    assert best_version(newest_first(first, line(2, 1, 2, -0.5, held="frozen"))) == 1


def test_the_effect_against_the_champion_is_chained_not_that_against_the_anchor() -> None:
    evidence = {"comparison": {"effect": -0.02}}
    entries = newest_first(line(1, None, 1), line(2, 1, 2, 0.01), line(3, 2, 3, 0.03, evidence=evidence))
    assert best_version(entries) == 3


def test_a_version_put_there_by_hand_counts_as_the_equal_of_the_one_before() -> None:
    by_hand = line(3, 2, 9, verdict=None, kind=Kind.EXTERNAL)
    entries = newest_first(line(1, None, 1), line(2, 1, 2, -0.1), by_hand)
    assert best_version(entries) == 9
    assert best_version([line(4, 9, 10, 0.01), *entries]) == 9
    back = line(4, 9, 1, verdict=None, kind=Kind.EXTERNAL)
    assert best_version([back, *entries]) == 9


def test_what_was_rolled_back_is_no_anchor_until_it_is_restored() -> None:
    back = line(3, 2, 1, verdict=None, kind=Kind.ROLLBACK)
    entries = newest_first(line(1, None, 1), line(2, 1, 2, -0.1), back)
    assert best_version(entries) == 1
    restored = line(4, 1, 2, verdict=None, kind=Kind.EXTERNAL)
    assert best_version([restored, *entries]) == 2
