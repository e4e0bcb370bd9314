"""A file of this machine scored into another one: the same rows and the same scores, without marts and store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Protocol

from gauntlet.jobs.score_pieces import Scored, load_model
from gauntlet.jobs.scores_file import Told, write_scores

if TYPE_CHECKING:
    import pyarrow as pa

    from gauntlet.domain.spec import Spec
    from gauntlet.jobs.checked_pieces import Tally
    from gauntlet.jobs.choice import Chosen
    from gauntlet.jobs.inbox import Fetched
    from gauntlet.jobs.scoring import ModelPorts


class Rows(Protocol):
    """What takes rows: pyarrow's writers of parquet and CSV."""

    def write_batch(self, batch: pa.RecordBatch) -> None:
        """Write rows."""
        ...


@dataclass(frozen=True)
class LocalRun:
    """How a file of this machine is scored: by which spec and version, on how many threads, and who is told of it."""

    spec: Spec
    chosen: Chosen
    threads: int
    told: Told


@dataclass(frozen=True)
class LocalScores:
    """What was read, how many rows of scores were written, and by whom they were predicted."""

    tally: Tally
    written: int
    chosen: Chosen


def score_local(run: LocalRun, ports: ModelPorts, found: Fetched, sink: BinaryIO, rejected: Rows | None) -> LocalScores:
    """Write the scores of a file into `sink`, and its rejected rows into `rejected`.

    Raises FileRefused for a file that cannot be scored, Refused when the model fails.
    """

    def write_rejected(piece: Scored) -> None:
        if rejected is not None:
            rejected.write_batch(piece.piece.rejected)

    model = load_model(ports, run.chosen.version, run.spec, run.threads)
    tally, written = write_scores(run.spec, found, model, sink, write_rejected, run.told)
    return LocalScores(tally, written, run.chosen)
