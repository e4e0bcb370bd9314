"""A file's rows with their scores, piece by piece: read and checked, then predicted, each in a thread of its own."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
from joblib import parallel_config
from threadpoolctl import threadpool_limits

from gauntlet.domain.mart import PROBABILITY, scores_schema
from gauntlet.jobs.ahead import ahead
from gauntlet.jobs.checked_pieces import checked
from gauntlet.jobs.run import Refused
from gauntlet.jobs.scoring import scorer

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    import pyarrow.parquet as pq

    from gauntlet.domain.intake import Intake, Piece
    from gauntlet.domain.scores import Floats
    from gauntlet.domain.spec import Spec
    from gauntlet.jobs.ports import Version
    from gauntlet.jobs.scoring import ModelPorts, Scorer

DEPTH = 2
"""How many pieces a stage is ahead of the next one."""

SHOWN_ROWS = 5


@dataclass(frozen=True)
class Model:
    """A version, and what predicts with it; boosting does on so many threads."""

    version: Version
    predict: Scorer
    threads: int

    @property
    def name(self) -> str:
        """What errors call it."""
        return f"version {self.version.version} of {self.version.spec}"


@dataclass(frozen=True)
class Scored:
    """A piece of a file: its rows as they came, what was made of them, and the scores of the accepted ones."""

    batch: pa.RecordBatch
    piece: Piece
    scores: pa.RecordBatch


def load_model(ports: ModelPorts, version: Version, spec: Spec, threads: int) -> Model:
    """Load a version's model, to predict on so many threads; Refused when it no longer fits the spec."""
    return Model(version, scorer(ports, version, spec), threads)


@contextmanager
def scored(parquet: pq.ParquetFile, name: str, intake: Intake, spec: Spec, model: Model) -> Iterator[Iterator[Scored]]:
    """Yield an iterator over a file's pieces with their scores, in the file's order.

    FileRefused where the file is damaged, Refused where the model fails.
    """
    with (
        ahead(checked(parquet, name, intake), DEPTH) as taken,
        ahead(_predicted(taken, spec, model), DEPTH) as found,
    ):
        yield found


def _predicted(taken: Iterator[tuple[pa.RecordBatch, Piece]], spec: Spec, model: Model) -> Generator[Scored]:
    """Predict each piece; the limits hold for the thread that this runs in.

    A forest's threads would add their trees up in the order in which they finish, and BLAS sums by their number: both
    have one. The threads of boosting share the rows, and change nothing.
    """
    with threadpool_limits({"openmp": model.threads, "blas": 1}), parallel_config(n_jobs=1):
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
            f"a model must predict every row that fulfils the spec; {model.name} raised "
            f"{type(error).__name__} from row {row:,} on: {error}. Mend the model, or choose another version."
        ) from error
    bad = ~np.isfinite(predicted if predicted.ndim == 1 else predicted.sum(axis=1))
    if bad.any():
        rows = ", ".join(f"{row:,}" for row in piece.row_numbers[bad][:SHOWN_ROWS])
        raise Refused(
            f"a prediction must be a finite number; {model.name} has none for {bad.sum():,} "
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
