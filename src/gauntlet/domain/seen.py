"""What was seen before in a file, in about ten bytes a row: which numbers, and how often."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]
Counts = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

MERGED_AT_ONCE = 16
"""So many sorted runs of one size become one of the next."""
SMALLEST_FILTER_BITS = 20
FILTER_BITS_A_HASH = 16
"""A filter grows when it has fewer bits for each hash: one in sixteen that are new then looks like a known one."""


class HashSet:
    """A set of 64-bit hashes that are spread evenly, kept as sorted runs behind a filter of bits."""

    def __init__(self) -> None:
        self._runs: list[list[Hashes]] = [[]]
        self._size = 0
        self._bits = SMALLEST_FILTER_BITS
        self._filter = np.zeros(2**self._bits // 8, dtype=np.uint8)

    def __len__(self) -> int:
        return self._size

    def known(self, hashes: Hashes) -> Mask:
        """Tell which of the sorted hashes are in the set."""
        byte, bit = self._slots(hashes)
        maybe = np.flatnonzero(self._filter[byte] & bit)
        result = np.zeros(len(hashes), dtype=bool)
        if len(maybe):
            wanted = hashes[maybe]
            found = np.zeros(len(wanted), dtype=bool)
            for run in (run for level in self._runs for run in level):
                found |= run[np.minimum(np.searchsorted(run, wanted), len(run) - 1)] == wanted
            result[maybe] = found
        return result

    def add(self, hashes: Hashes) -> None:
        """Add sorted hashes, none of which is doubled or in the set."""
        if not len(hashes):
            return
        self._size += len(hashes)
        self._runs[0].append(hashes)
        for level in range(len(self._runs)):
            if len(self._runs[level]) == MERGED_AT_ONCE:
                self._merge(level)
        if self._size * FILTER_BITS_A_HASH > 2**self._bits:
            self._grow()
        else:
            self._mark(hashes)

    def _merge(self, level: int) -> None:
        merged = np.concatenate(self._runs[level])
        merged.sort(kind="stable")  # which takes sorted runs as they are
        self._runs[level] = []
        if level + 1 == len(self._runs):
            self._runs.append([])
        self._runs[level + 1].append(merged)

    def _grow(self) -> None:
        while self._size * FILTER_BITS_A_HASH > 2**self._bits:
            self._bits += 2
        self._filter = np.zeros(2**self._bits // 8, dtype=np.uint8)
        for run in (run for level in self._runs for run in level):
            self._mark(run)

    def _mark(self, hashes: Hashes) -> None:
        byte, bit = self._slots(hashes)
        np.bitwise_or.at(self._filter, byte, bit)

    def _slots(self, hashes: Hashes) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
        """Return the byte and the bit of each hash: sorted hashes go through the filter from its start to its end."""
        slots = (hashes >> np.uint64(64 - self._bits)).astype(np.int64)
        return slots >> 3, np.uint8(1) << (slots & 7).astype(np.uint8)


class Doubles:
    """Finds what occurs a second time."""

    def __init__(self) -> None:
        self._seen = HashSet()

    def find(self, hashes: Hashes) -> Mask:
        """Tell which rows have a hash that an earlier row had, here or in an earlier call."""
        ordered = np.sort(hashes)
        if not _repeats(ordered).any() and not self._seen.known(ordered).any():
            self._seen.add(ordered)
            return np.zeros(len(hashes), dtype=bool)
        order = np.argsort(hashes, kind="stable")
        ordered = hashes[order]
        again = _repeats(ordered) | self._seen.known(ordered)
        self._seen.add(ordered[~again])
        result = np.empty(len(hashes), dtype=bool)
        result[order] = again
        return result


class Occurrences:
    """Counts how often each hash occurred before; only those that come again take more than their place in a set."""

    def __init__(self) -> None:
        self._seen = HashSet()
        self._runs: list[tuple[Hashes, Counts]] = []

    def known(self, hashes: Hashes) -> Mask:
        """Tell which of the sorted hashes occurred before."""
        return self._seen.known(hashes)

    def count(self, hashes: Hashes) -> Counts:
        """Return each row's occurrence number: 0 where its hash occurs for the first time; shape (rows,)."""
        ordered = np.sort(hashes)
        if not _repeats(ordered).any() and not self._seen.known(ordered).any():
            self._seen.add(ordered)
            return np.zeros(len(hashes), dtype=np.int64)
        order = np.argsort(hashes, kind="stable")
        ordered = hashes[order]
        starts = np.flatnonzero(~_repeats(ordered))
        sizes = np.diff(np.append(starts, len(ordered)))
        before = self._counted(ordered[starts], sizes)
        numbers = np.empty(len(hashes), dtype=np.int64)
        numbers[order] = np.arange(len(ordered)) - np.repeat(starts - before, sizes)
        return numbers

    def _counted(self, hashes: Hashes, sizes: Counts) -> Counts:
        """Return how often each of the sorted, distinct hashes occurred before, and add its new occurrences."""
        known = self._seen.known(hashes)
        self._seen.add(hashes[~known])
        before = known.astype(np.int64)
        fresh = known | (sizes > 1)  # those that occur again, here or now, and have no count yet
        for keys, counts in self._runs:
            wanted = np.flatnonzero(known)
            places = np.minimum(np.searchsorted(keys, hashes[wanted]), len(keys) - 1)
            found = keys[places] == hashes[wanted]
            places, wanted = places[found], wanted[found]
            before[wanted] = counts[places]
            counts[places] += sizes[wanted]
            fresh[wanted] = False
        if fresh.any():
            self._runs.append((hashes[fresh], before[fresh] + sizes[fresh]))
            self._merge()
        return before

    def _merge(self) -> None:
        while len(self._runs) > 1 and len(self._runs[-2][0]) < 2 * len(self._runs[-1][0]):
            (left, left_counts), (right, right_counts) = self._runs[-2:]
            keys = np.concatenate([left, right])
            order = np.argsort(keys, kind="stable")
            self._runs[-2:] = [(keys[order], np.concatenate([left_counts, right_counts])[order])]


def _repeats(ordered: Hashes) -> Mask:
    """Tell which of the sorted hashes equal the one before."""
    result = np.zeros(len(ordered), dtype=bool)
    np.equal(ordered[1:], ordered[:-1], out=result[1:])
    return result
