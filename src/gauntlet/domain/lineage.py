"""Lineage: which champion stood before which, told from the moves of production alone."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Move:
    """A move of production; None is no version, `back` marks a rollback."""

    old: int | None
    new: int | None
    back: bool = False


def rolled_back(moves: Iterable[Move]) -> frozenset[int]:
    """Return the versions that a rollback took out of production and that nothing has put back since."""
    out: set[int] = set()
    for move in moves:
        if move.back and move.old is not None:
            out.add(move.old)
        if move.new is not None:
            out.discard(move.new)
    return frozenset(out)


def previous(moves: Iterable[Move]) -> int | None:
    """Return the champion before the present one, by the moves oldest first; None when there is none.

    A promotion, and a move made by hand, adds a champion to the line; a rollback cuts the line where the restored
    version stood, so that the champion before it is the one that stood there then. A version that was rolled back is
    passed over.
    """
    moves = tuple(moves)
    line: list[int] = []
    for move in moves:
        if move.back and move.new in line:
            while line[-1] != move.new:
                line.pop()
        elif move.new is not None:
            line.append(move.new)
    present = moves[-1].new if moves else None
    passed = {*rolled_back(moves), present}
    return next((version for version in reversed(line) if version not in passed), None)
