"""A file of this machine scored into another one: the same rows and the same scores, without marts and store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Protocol

from gauntlet.jobs.inbox import Fetched
from gauntlet.jobs.score_pieces import Model, Tally, opened_for, scored
from gauntlet.jobs.scores_file import Origin, scores_file
from gauntlet.jobs.scoring import ModelPorts, scorer

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa

    from gauntlet.domain.spec import Spec
    from gauntlet.jobs.choice import Chosen


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
    told: Callable[[int, int], None]


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
    name, version, tally = found.file.uri, run.chosen.version, Tally()
    model = Model(version.version, scorer(ports, version, run.spec), run.threads)
    with opened_for(run.spec, found.data, name) as (parquet, intake):
        origin, total = Origin(version, name, found.sha256), parquet.metadata.num_rows
        with (
            scores_file(sink, parquet.schema_arrow, run.spec, origin) as file,
            scored(parquet, name, intake, run.spec, model) as pieces,
        ):
            for piece in pieces:
                file.add(piece)
                if rejected is not None:
                    rejected.write_batch(piece.piece.rejected)
                tally.add(piece)
                run.told(tally.read, total)
    tally.require_rows(name)
    return LocalScores(tally, file.written, run.chosen)
