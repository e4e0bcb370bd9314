"""Predictions as production makes them: in batches, with the time each takes, and without what a model cannot do."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from joblib import parallel_config
from threadpoolctl import threadpool_limits

from gauntlet.domain.scores import Floats
from gauntlet.jobs.scoring import Scorer

log = logging.getLogger(__name__)

BATCH = 100
"""Rows of a batch whose prediction is timed."""
TIMED = 50
"""How many batches are timed; the other rows are predicted in larger pieces."""
PIECE = 10_000


@dataclass(frozen=True)
class Measured:
    """A model's predictions, NaN where it failed, and the seconds of each timed batch, shape (batches,)."""

    predicted: Floats
    seconds: Floats


def measure(
    scorers: Sequence[Scorer], frame: pd.DataFrame, classes: int, clock: Callable[[], float]
) -> tuple[Measured, ...]:
    """Predict with each model in turns, batch by batch, so that a busy moment of the machine slows all of them down.

    All work is done on one thread: on a busy machine threads wait for each other many times longer than they work. A
    model that raises has no prediction (NaN) for the rows of that batch. `classes` is 0 for a regression.
    """
    with threadpool_limits(1), parallel_config(n_jobs=1):
        return _measured(scorers, frame, classes, clock)


def _measured(
    scorers: Sequence[Scorer], frame: pd.DataFrame, classes: int, clock: Callable[[], float]
) -> tuple[Measured, ...]:
    for each in scorers if len(frame) else ():  # whatever a first call loads belongs to no batch
        _predicted(each, frame.iloc[:BATCH], classes)
    pieces: list[list[Floats]] = [[] for _ in scorers]
    seconds: list[list[float]] = [[] for _ in scorers]
    for number, piece in enumerate(_pieces(frame)):
        turns = list(enumerate(scorers))
        for position, each in turns if number % 2 else reversed(turns):
            began = clock()
            predicted = _predicted(each, piece, classes)
            if number < TIMED:
                seconds[position].append(clock() - began)
            pieces[position].append(predicted)
    empty = _missing(0, classes)
    return tuple(
        Measured(np.concatenate([empty, *found]), np.array(took)) for found, took in zip(pieces, seconds, strict=True)
    )


def _pieces(frame: pd.DataFrame) -> Iterator[pd.DataFrame]:
    timed = min(len(frame), BATCH * TIMED)
    for start in range(0, timed, BATCH):
        yield frame.iloc[start : min(start + BATCH, timed)]
    for start in range(timed, len(frame), PIECE):
        yield frame.iloc[start : start + PIECE]


def _predicted(scorer: Scorer, frame: pd.DataFrame, classes: int) -> Floats:
    try:
        return scorer(frame)
    except MemoryError:
        raise  # the machine failed, not the model
    except Exception:  # whatever a model raises is a failure of the model
        if len(frame) > BATCH:
            parts = range(0, len(frame), BATCH)
            return np.concatenate([_predicted(scorer, frame.iloc[start : start + BATCH], classes) for start in parts])
        log.warning("a model could not predict %d rows; they count as failures", len(frame), exc_info=True)
        return _missing(len(frame), classes)


def _missing(rows: int, classes: int) -> Floats:
    return np.full((rows, classes) if classes else rows, np.nan)
