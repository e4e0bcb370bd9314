"""A file's rows piece by piece, checked against the spec, and the tally of what was read."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gauntlet.domain.intake import FileRefused, Intake
from gauntlet.jobs.inbox import opened_parquet, pieces

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from typing import BinaryIO

    import pyarrow as pa
    import pyarrow.parquet as pq

    from gauntlet.domain.intake import Piece
    from gauntlet.domain.spec import Spec

RULE, FOUND = " must ", "found "
"""How a rule that was broken is told from what was found, in a row's reasons."""

SHOWN_REASONS = 3


@dataclass
class Tally:
    """What was read of a file so far, and why rows were rejected: the rules alone, of which there are few."""

    read: int = 0
    accepted: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    @property
    def rejected(self) -> int:
        """How many rows were rejected."""
        return self.read - self.accepted

    def add(self, batch: pa.RecordBatch, piece: Piece) -> None:
        """Count rows as they came, and what was made of them."""
        self.read += batch.num_rows
        self.accepted += len(piece.row_numbers)
        for reasons in piece.rejected.column("reasons").to_pylist():
            self.reasons.update(part for part in reasons.split("; ") if RULE in part and not part.startswith(FOUND))

    def require_rows(self, name: str) -> None:
        """Refuse a file that has rows, and none that can be scored."""
        if self.read and not self.accepted:
            raise FileRefused(
                f"rows must fulfil the spec to be scored; in {name} none of {self.read:,} does: {self.why}. Mend the "
                "file, or the spec."
            )

    @property
    def why(self) -> str:
        """The most frequent reasons, with how many rows each rejected."""
        return "; ".join(f"{reason} ({count:,})" for reason, count in self.reasons.most_common(SHOWN_REASONS))

    @property
    def line(self) -> str:
        """What was read, in one line."""
        why = f": {self.why}" if self.reasons else ""
        return f"{self.read:,} rows read, {self.accepted:,} accepted, {self.rejected:,} rejected{why}"


@contextmanager
def opened_for(spec: Spec, data: BinaryIO, name: str, *, training: bool) -> Iterator[tuple[pq.ParquetFile, Intake]]:
    """Open a file and look at its columns; FileRefused when it is not parquet, or not for this spec."""
    with opened_parquet(data, name) as parquet:
        yield parquet, Intake(parquet.schema_arrow, spec, training=training)


def checked(parquet: pq.ParquetFile, name: str, intake: Intake) -> Generator[tuple[pa.RecordBatch, Piece]]:
    """Yield a file's rows as they came, in order, with what is made of them; FileRefused where it is damaged."""
    first = 1
    for batch in pieces(parquet, name):
        yield batch, intake.piece(batch, first)
        first += batch.num_rows
