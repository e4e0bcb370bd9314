"""A file's rows with their scores, piece by piece: read and checked, then predicted, each in a thread of its own."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
from joblib import parallel_config
from threadpoolctl import threadpool_limits

from gauntlet.domain.intake import FileRefused, Intake, Piece
from gauntlet.domain.mart import PROBABILITY, scores_schema
from gauntlet.jobs.ahead import ahead
from gauntlet.jobs.inbox import opened_parquet, pieces
from gauntlet.jobs.run import Refused

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator
    from typing import BinaryIO

    import pyarrow.parquet as pq

    from gauntlet.domain.scores import Floats
    from gauntlet.domain.spec import Spec
    from gauntlet.jobs.scoring import Scorer

DEPTH = 2
"""How many pieces a stage is ahead of the next one."""

RULE, FOUND = " must ", "found "
"""How a rule that was broken is told from what was found, in a row's reasons."""

SHOWN_ROWS = 5
SHOWN_REASONS = 3


@dataclass(frozen=True)
class Model:
    """A version's number, and what predicts with it on so many threads."""

    version: int
    predict: Scorer
    threads: int


@dataclass(frozen=True)
class Scored:
    """A piece of a file: its rows as they came, what was made of them, and the scores of the accepted ones."""

    batch: pa.RecordBatch
    piece: Piece
    scores: pa.RecordBatch


@dataclass
class Tally:
    """What was read of a file so far, and why rows were rejected."""

    read: int = 0
    accepted: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    @property
    def rejected(self) -> int:
        """How many rows were rejected."""
        return self.read - self.accepted

    def add(self, scored: Scored) -> None:
        """Count a piece."""
        self.read += scored.batch.num_rows
        self.accepted += scored.scores.num_rows
        for reasons in scored.piece.rejected.column("reasons").to_pylist():
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
def opened_for(spec: Spec, data: BinaryIO, name: str) -> Iterator[tuple[pq.ParquetFile, Intake]]:
    """Open a file to predict and look at its columns; FileRefused when it is not parquet, or not for this spec."""
    with opened_parquet(data, name) as parquet:
        yield parquet, Intake(parquet.schema_arrow, spec, training=False)


@contextmanager
def scored(parquet: pq.ParquetFile, name: str, intake: Intake, spec: Spec, model: Model) -> Iterator[Iterator[Scored]]:
    """Yield an iterator over a file's pieces with their scores, in the file's order.

    FileRefused where the file is damaged, Refused where the model fails.
    """
    with (
        ahead(_taken(pieces(parquet, name), intake), DEPTH) as taken,
        ahead(_predicted(taken, spec, model), DEPTH) as found,
    ):
        yield found


def _taken(batches: Iterable[pa.RecordBatch], intake: Intake) -> Generator[tuple[pa.RecordBatch, Piece]]:
    first = 1
    for batch in batches:
        yield batch, intake.piece(batch, first)
        first += batch.num_rows


def _predicted(taken: Iterator[tuple[pa.RecordBatch, Piece]], spec: Spec, model: Model) -> Generator[Scored]:
    """Predict each piece; the limits hold for the thread that this runs in."""
    limits = {"openmp": model.threads, "blas": 1}
    with threadpool_limits(limits), parallel_config(backend="threading", n_jobs=model.threads):
        for batch, piece in taken:
            yield Scored(batch, piece, _scores(piece, spec, model))


def _scores(piece: Piece, spec: Spec, model: Model) -> pa.RecordBatch:
    """Return the scores of a piece's accepted rows; Refused where the model fails or has no number for a row."""
    if not len(piece.frame):
        return pa.RecordBatch.from_pylist([], schema=scores_schema(spec))
    try:
        predicted = model.predict(piece.frame)
    except MemoryError:
        raise  # the machine failed, not the model
    except Exception as error:
        row = piece.row_numbers[_first_failing(model, piece.frame)]
        raise Refused(
            f"a model must predict every row that fulfils the spec; version {model.version} of {spec.name} raised "
            f"{type(error).__name__} from row {row:,} on: {error}. Mend the model, or choose another version."
        ) from error
    bad = ~np.isfinite(predicted if predicted.ndim == 1 else predicted.sum(axis=1))
    if bad.any():
        rows = ", ".join(f"{row:,}" for row in piece.row_numbers[bad][:SHOWN_ROWS])
        raise Refused(
            f"a prediction must be a finite number; version {model.version} of {spec.name} has none for {bad.sum():,} "
            f"of the rows {piece.row_numbers[0]:,} to {piece.row_numbers[-1]:,}, the first of them: {rows}. Mend the "
            "model, or choose another version."
        )
    return _scores_batch(predicted, spec)


def _scores_batch(predicted: Floats, spec: Spec) -> pa.RecordBatch:
    schema = scores_schema(spec)
    if not spec.classes:
        return pa.RecordBatch.from_arrays([pa.array(predicted)], schema=schema)
    found = pa.array(spec.classes, type=pa.string()).take(pa.array(predicted.argmax(axis=1)))
    probability = {f"{PROBABILITY}{name}": predicted[:, place] for place, name in enumerate(spec.classes)}
    arrays = [found, *(pa.array(probability[name]) for name in schema.names[1:])]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _first_failing(model: Model, frame: pd.DataFrame) -> int:
    """Return the place of the first row from which on a model fails, found by halves."""
    low, high = 0, len(frame)
    while high - low > 1:
        middle = (low + high) // 2
        if _fails(model, frame.iloc[low:middle]):
            high = middle
        else:
            low = middle
    return low


def _fails(model: Model, frame: pd.DataFrame) -> bool:
    try:
        model.predict(frame)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - whatever a model raises is a failure of the model
        return True
    return False
