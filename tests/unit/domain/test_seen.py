"""What was seen before, against Python's own sets and counters."""

from collections import Counter

import numpy as np
import pytest

from gauntlet.domain.identity import mixed
from gauntlet.domain.seen import Doubles, Hashes, HashSet, Occurrences


def pieces(count: int, rows: int, different: int) -> list[Hashes]:
    """Pieces of rows with hashes, of which there are so many different ones."""
    rng = np.random.default_rng(5)
    return [mixed(rng.integers(0, different, rows).astype(np.uint64)) for _ in range(count)]


def test_a_set_knows_what_was_added_also_when_it_has_grown() -> None:
    rng = np.random.default_rng(7)
    hashes, found = mixed(rng.permutation(600_000).astype(np.uint64)), HashSet()
    inside, outside = hashes[:400_000], np.sort(hashes[400_000:])
    for piece in np.split(inside, 70 * [0] + list(range(0, 400_000, 5000))):
        found.add(np.sort(piece))
    assert len(found) == 400_000
    assert found.known(np.sort(inside)).all()
    assert not found.known(outside).any()
    assert not HashSet().known(outside).any()


@pytest.mark.parametrize("different", [3, 400, 10**9])
def test_doubles_are_the_second_and_later_ones(different: int) -> None:
    doubles, seen = Doubles(), set[int]()
    for piece in pieces(30, 100, different):
        expected = []
        for value in piece.tolist():
            expected.append(value in seen)
            seen.add(value)
        assert doubles.find(piece).tolist() == expected


@pytest.mark.parametrize("different", [1, 7, 400, 3000, 10**9])
def test_occurrences_are_counted(different: int) -> None:
    occurrences, seen = Occurrences(), Counter[int]()
    for piece in pieces(30, 100, different):
        expected = []
        for value in piece.tolist():
            expected.append(seen[value])
            seen[value] += 1
        assert occurrences.count(piece).tolist() == expected
    assert occurrences.count(np.array([], dtype=np.uint64)).tolist() == []
