"""Files of example rows, written piece by piece: the same bytes for the same spec, rows and seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

import pyarrow.parquet as pq
from numpy.random import SeedSequence, default_rng

from gauntlet.jobs.mart_port import BatchKind
from gauntlet.jobs.upkeep import sha256_left

if TYPE_CHECKING:
    from collections.abc import Callable

    from gauntlet.domain.example_data import Example

PIECE = 131_072
"""Rows that are held at a time; a row depends on its place in its piece, so another size makes other files."""
STREAMS = {BatchKind.TRAIN: 0, BatchKind.PREDICT: 1}


@dataclass(frozen=True)
class Order:
    """What is to be made: how many rows, from which seed, and the share of them that shall break the spec."""

    rows: int
    seed: int
    bad_share: float = 0.0

    def name(self, kind: BatchKind) -> str:
        """The file's name, which tells everything that its bytes depend on beside the spec."""
        bad = f"-bad{self.bad_share:g}" if self.bad_share else ""
        return f"{kind}-{self.rows}-{self.seed}{bad}.parquet"


@dataclass(frozen=True)
class Made:
    """What was written: bytes, their SHA-256 (hex), and how many rows break the spec."""

    size: int
    sha256: str
    bad_rows: int


def write_example(sink: BinaryIO, example: Example, order: Order, kind: BatchKind, done: Callable[[int], None]) -> Made:
    """Write a parquet file of example rows into an empty seekable file, and return to its start.

    `done` is told after every piece how many rows are written.
    """
    bad_rows = 0
    writer: pq.ParquetWriter | None = None
    try:
        for place, first in enumerate(range(0, order.rows, PIECE)):
            rows = min(PIECE, order.rows - first)
            rng = default_rng(SeedSequence([order.seed, STREAMS[kind], place]))
            batch, damage = example.draw(
                rng, first + 1, rows, training=kind is BatchKind.TRAIN, bad_share=order.bad_share
            )
            writer = writer or pq.ParquetWriter(sink, batch.schema)
            writer.write_batch(batch)
            bad_rows += damage.rows
            done(first + rows)
    finally:
        if writer is not None:
            writer.close()
    size = sink.tell()
    sink.seek(0)
    sha256 = sha256_left(sink)
    sink.seek(0)
    return Made(size, sha256, bad_rows)
