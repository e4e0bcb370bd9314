"""Which champion stood before which: golden lines, and laws over any moves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gauntlet.domain.lineage import Move, previous, rolled_back


def moves(*steps: int | str | None) -> list[Move]:
    """Moves to each of the versions; a text is a rollback to it."""
    made: list[Move] = []
    for step in steps:
        new = int(step) if isinstance(step, str) else step
        made.append(Move(made[-1].new if made else None, new, isinstance(step, str)))
    return made


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ((), None),
        ((1,), None),
        ((1, 2), 1),
        ((1, 2, 3), 2),
        ((1, 2, 3, "2"), 1),
        ((1, 2, 3, "2", "1"), None),
        ((1, 2, 3, "1"), None),
        ((1, 2, 3, "2", 4), 2),
        ((1, 2, 3, "2", 4, "2"), 1),
        ((1, 2, 3, "2", "3"), 1),
        ((1, 2, 3, "2", 3), 2),
        ((1, 2, 1), 2),
        ((1, 2, 1, "2"), None),
        ((1, None), 1),
        ((1, None, 2), 1),
        ((1, 2, "1", None), 1),
    ],
)
def test_the_champion_before_the_present_one(steps: tuple[int | str | None, ...], expected: int | None) -> None:
    assert previous(moves(*steps)) == expected


def test_a_version_that_was_put_back_does_not_count_as_rolled_back() -> None:
    assert rolled_back(moves(1, 2, 3, "2")) == {3}
    assert rolled_back(moves(1, 2, 3, "2", "1")) == {2, 3}
    assert rolled_back(moves(1, 2, 3, "2", "3")) == {2}
    assert rolled_back(moves(1, 2, "1", 2)) == frozenset()


@st.composite
def histories(draw: st.DrawFn) -> list[Move]:
    """Any moves that the ledger takes: each begins where the last one ended, and goes elsewhere."""
    made: list[Move] = []
    for _ in range(draw(st.integers(0, 25))):
        now = made[-1].new if made else None
        past = sorted({move.new for move in made if move.new is not None} - {now})
        if now is not None and past and draw(st.booleans()):
            made.append(Move(now, draw(st.sampled_from(past)), back=True))
        else:
            choices = [version for version in (None, 1, 2, 3, 4, 5) if version != now]
            made.append(Move(now, draw(st.sampled_from(choices))))
    return made


@given(histories())
def test_previous_was_in_production_and_is_neither_the_present_one_nor_rolled_back(made: list[Move]) -> None:
    found = previous(made)
    if found is not None:
        assert found in {move.new for move in made[:-1]}
        assert found != made[-1].new
        assert found not in rolled_back(made)


@given(histories())
def test_going_back_again_and_again_visits_no_version_twice_and_ends(made: list[Move]) -> None:
    visited = [made[-1].new] if made else []
    while (target := previous(made)) is not None:
        assert target not in visited
        visited.append(target)
        made = [*made, Move(made[-1].new, target, back=True)]


@given(histories(), st.integers(6, 9))
def test_a_promotion_and_its_rollback_leave_previous_as_it_was(made: list[Move], challenger: int) -> None:
    if not made or made[-1].new is None:
        return
    now = made[-1].new
    there = [*made, Move(now, challenger), Move(challenger, now, back=True)]
    assert previous(there) == previous(made)
