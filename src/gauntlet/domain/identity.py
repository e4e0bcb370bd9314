"""Which row is which: ids and pools that follow from a row's content, so that they are the same wherever it is read."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from gauntlet.domain.columns import Floats, Mask
from gauntlet.domain.seen import Hashes, HashSet, Occurrences
from gauntlet.domain.spec import Spec

ID_BITS = 53
"""Ids are whole numbers that a float64 can hold."""
LARGEST_ID = 2**ID_BITS - 1

Codes = npt.NDArray[np.int32]
Ids = npt.NDArray[np.int64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def contents(frame: pd.DataFrame, spec: Spec) -> list[bytes]:
    """Return the digest (16 bytes) of each row's content, as the router makes it: equal for equal rows of any file.

    `frame` holds typed rows without missing values; the key does not count, nor the order of the columns.
    """
    tokens = (_tokens(frame[column], spec) for column in sorted(spec.variables))
    return [hashlib.blake2b(b"".join(row), digest_size=16).digest() for row in zip(*tokens, strict=True)]


def in_ab_pool(contents: Sequence[bytes], share: float) -> Mask:
    """Tell which rows belong to the A/B pool, by the router's rule; `share` is the pool's share of all rows."""
    heads = np.frombuffer(b"".join(contents), dtype=">u8")[::2]
    return heads.astype(np.float64) / 2.0**64 < share


def _tokens(column: pd.Series, spec: Spec) -> Iterable[bytes]:
    """Return each cell as bytes that no other cell has."""
    if column.name in spec.numeric:
        packed = (column.to_numpy(dtype=np.float64) + 0.0).astype("<f8").tobytes()  # -0.0 + 0.0 = 0.0
        return (b"n" + packed[place : place + 8] for place in range(0, len(packed), 8))
    cells = column.to_numpy(dtype=object)
    texts = {text: b"t" + len(text.encode()).to_bytes(4, "big") + text.encode() for text in set(cells)}
    return map(texts.__getitem__, cells)


class TrainingIds:
    """The router's ids of the rows of one file: 53 bits of a hash of content and occurrence number."""

    def __init__(self) -> None:
        self._occurrences = Occurrences()
        self._taken = HashSet()

    def number(self, contents: Sequence[bytes]) -> Ids:
        """Return the ids of the next rows by their contents; shape (rows,)."""
        hashes = np.frombuffer(b"".join(contents), dtype=">u8")[1::2].astype(np.uint64)
        occurrences = self._occurrences.count(hashes).tolist()
        wanted = np.fromiter(map(_digest, contents, occurrences), dtype=np.uint64, count=len(contents))
        slots = _assigned(_slots(wanted), self._taken.known)
        self._taken.add(np.sort(slots))
        return _ids(slots)


def _digest(content: bytes, occurrence: int) -> int:
    return int.from_bytes(hashlib.blake2b(content + occurrence.to_bytes(8, "big"), digest_size=8).digest(), "big")


class PredictIds:
    """Ids of the rows of one file to predict: 53 bits of a hash, another number where a row occurs again.

    The ids of first occurrences are the hashes themselves, so that what was seen and what is taken is kept once.
    """

    def __init__(self) -> None:
        self._occurrences = Occurrences()
        self._others = HashSet()

    def number(self, hashes: Hashes) -> Ids:
        """Return the ids of the next rows by the hashes of their contents; shape (rows,)."""
        own = _slots(hashes)
        occurrences = self._occurrences.count(own)
        again = occurrences > 0
        if not again.any() and not len(self._others):
            return _ids(own)
        first = np.sort(own[~again])

        def taken(slots: Hashes) -> Mask:
            # What was seen for the first time just now has its own number, unless an earlier row got it.
            seen = self._occurrences.known(slots) & ~np.isin(slots, first)
            return seen | self._others.known(slots)

        wanted = np.where(again, _slots(mixed(own + occurrences.astype(np.uint64) * _GOLDEN)), own)
        slots = _assigned(wanted, taken)
        self._others.add(np.sort(slots[slots != own]))
        return _ids(slots)


def _assigned(wanted: Hashes, taken: Callable[[Hashes], Mask]) -> Hashes:
    """Give each row the slot that it wants; should two rows meet, the later one moves on, as the router's do.

    `taken` tells which of sorted slots belong to rows of earlier calls.
    """
    order = np.argsort(wanted)
    ordered = wanted[order]
    unfree = taken(ordered)
    if not unfree.any() and (ordered[1:] != ordered[:-1]).all():
        return wanted
    unfree[order] = unfree.copy()
    given: dict[int, None] = {}  # in the order of the rows
    for slot, gone in zip(wanted.tolist(), unfree.tolist(), strict=True):
        while gone or slot in given:
            slot = (slot + 2 ** (64 - ID_BITS)) % 2**64
            gone = bool(taken(np.array([slot], dtype=np.uint64))[0])
        given[slot] = None
    return np.array(list(given), dtype=np.uint64)


def _slots(hashes: Hashes) -> Hashes:
    """Leave the bits of an id, where they are: sets want numbers that are spread over all of 64 bits."""
    return hashes & ~np.uint64(2 ** (64 - ID_BITS) - 1)


def _ids(slots: Hashes) -> Ids:
    return (slots >> np.uint64(64 - ID_BITS)).astype(np.int64)


class RowHash:
    """Hashes rows, many at once: equal rows get equal numbers, whatever the order of columns or categories."""

    def __init__(self, spec: Spec) -> None:
        self._salts = {column: _number(column) for column in spec.features}
        self._levels = {
            column: np.array([_number(column, level) for level in spec.categorical[column]], dtype=np.uint64)
            for column in spec.categorical_features
        }

    def rows(self, values: Mapping[str, Floats | Codes], key: Hashes | None) -> Hashes:
        """Return the hashes of rows, shape (rows,): `values` has numbers and positions of categories, by feature."""
        rows = len(values[next(iter(self._salts))])
        total = np.zeros(rows, dtype=np.uint64) if key is None else key
        for column, salt in self._salts.items():
            if column in self._levels:
                total = total + self._levels[column][values[column]]
            else:
                total = total + mixed((values[column] + 0.0).view(np.uint64) ^ salt)  # -0.0 + 0.0 = 0.0
        return mixed(total)


def _number(*texts: str) -> np.uint64:
    return np.uint64(int.from_bytes(hashlib.blake2b("\0".join(texts).encode(), digest_size=8).digest(), "big"))


def mixed(hashes: Hashes) -> Hashes:
    """Return hashes whose bits all depend on all bits of the given ones; distinct ones stay distinct."""
    # The finalizer of splitmix64 (Steele, Lea, Flood 2014): each bit of the input moves half of the output's.
    result = hashes ^ (hashes >> np.uint64(30))
    result *= np.uint64(0xBF58476D1CE4E5B9)
    result ^= result >> np.uint64(27)
    result *= np.uint64(0x94D049BB133111EB)
    result ^= result >> np.uint64(31)
    return result


def text_hashes(texts: pa.LargeStringArray) -> Hashes:
    """Return the hash of each text, shape (rows,), by its bytes, eight at a time; what nulls get means nothing."""
    _, edges, letters = texts.buffers()
    ends = np.frombuffer(edges, dtype=np.int64)[texts.offset :][: len(texts) + 1]
    first, last = int(ends[0]), int(ends[-1])
    data = np.zeros(last - first + 8, dtype=np.uint8)
    if letters is not None:
        data[:-8] = np.frombuffer(letters, dtype=np.uint8)[first:last]
    words: Hashes = np.ndarray((len(data) - 7,), dtype="<u8", buffer=data, strides=(1,))
    starts, lengths = ends[:-1] - first, np.diff(ends)
    hashes = mixed(lengths.astype(np.uint64) + _GOLDEN)
    longer, place = np.flatnonzero(lengths), 0
    while len(longer):
        rest = lengths[longer] - place
        unused = (8 * np.maximum(8 - rest, 0)).astype(np.uint64)
        word = words[starts[longer] + place] << unused
        hashes[longer] = mixed(hashes[longer] ^ word)
        longer, place = longer[rest > 8], place + 8
    return hashes
