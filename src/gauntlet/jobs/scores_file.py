"""The file of scores: every input column as it came, then the row's id, its scores, and what they follow from."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from gauntlet.domain.intake_values import rows_at
from gauntlet.domain.mart import scores_schema
from gauntlet.domain.output_filter import OutputFilter
from gauntlet.jobs.ahead import ahead
from gauntlet.jobs.checked_pieces import Tally, opened_for
from gauntlet.jobs.score_pieces import DEPTH, scored

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from gauntlet.domain.spec import Spec
    from gauntlet.jobs.inbox import Fetched
    from gauntlet.jobs.ports import Version
    from gauntlet.jobs.score_pieces import Model, Scored

Told = Callable[[int, int], None]
"""What is told how many rows of how many have been done."""

ROW_ID = "row_id"
REPEATED = pa.dictionary(pa.int32(), pa.string())
"""The type of a text that is the same on every row: pandas reads it as a category."""


@dataclass(frozen=True)
class Origin:
    """What the scores of a file follow from."""

    version: Version
    uri: str
    sha256: str

    @property
    def columns(self) -> dict[str, Any]:
        """What every row of the file says of it, by column."""
        return {
            "model_name": self.version.model,
            "model_version": self.version.version,
            "run_id": self.version.run_id,
            "input_uri": self.uri,
            "input_sha256": self.sha256,
        }


class ScoresFile:
    """Writes scores piece by piece; `written` counts the rows."""

    def __init__(self, writer: pq.ParquetWriter, output: OutputFilter, whole: pa.Schema, origin: Origin) -> None:
        self._writer, self._output, self._whole, self._origin = writer, output, whole, origin
        self.written = 0

    def add(self, scored: Scored) -> None:
        """Write the accepted rows of a piece, those that the spec's `where` keeps."""
        rows = self._output.apply(_whole_rows(scored, self._origin, self._whole))
        if rows.num_rows:
            self._writer.write_batch(rows)
            self.written += rows.num_rows


@contextmanager
def scores_file(sink: BinaryIO, given: pa.Schema, spec: Spec, origin: Origin) -> Iterator[ScoresFile]:
    """Write scores as parquet into `sink`; equal input, version, spec and URI give equal bytes.

    `given` is the input file's schema.
    """
    whole = _schema(given, spec, origin)
    output = OutputFilter(spec, whole)
    with pq.ParquetWriter(sink, output.schema, compression="zstd") as writer:
        yield ScoresFile(writer, output, whole, origin)


def write_scores(
    spec: Spec, found: Fetched, model: Model, sink: BinaryIO, take: Callable[[Scored], None], told: Told
) -> tuple[Tally, int]:
    """Write the scores of a file into `sink`, and give `take` each piece; returns what was read, and the rows written.

    Raises FileRefused for a file that cannot be scored, Refused when the model fails.
    """
    name, tally = found.file.uri, Tally()
    origin = Origin(model.version, name, found.sha256)
    with opened_for(spec, found.data, name, training=False) as (parquet, intake):
        total = parquet.metadata.num_rows
        with (
            scores_file(sink, parquet.schema_arrow, spec, origin) as file,
            scored(parquet, name, intake, spec, model) as pieces,
            ahead(_written(pieces, file), DEPTH) as written,
        ):
            for piece in written:
                take(piece)
                tally.add(piece.batch, piece.piece)
                told(tally.read, total)
    tally.require_rows(name)
    return tally, file.written


def _written(pieces: Iterator[Scored], file: ScoresFile) -> Generator[Scored]:
    """Pass pieces on once they are in the file of scores."""
    for piece in pieces:
        file.add(piece)
        yield piece


def _schema(given: pa.Schema, spec: Spec, origin: Origin) -> pa.Schema:
    """Return the schema before columns are chosen; a row id that the file has is told with the scores."""
    columns = [field for field in given if field.name != ROW_ID]
    scores = [pa.field(ROW_ID, pa.int64(), nullable=False), *scores_schema(spec)]
    behind = [
        pa.field(name, REPEATED if isinstance(value, str) else pa.int64(), nullable=False)
        for name, value in origin.columns.items()
    ]
    return pa.schema([*columns, *scores, *behind])


def _whole_rows(scored: Scored, origin: Origin, schema: pa.Schema) -> pa.RecordBatch:
    """Return the accepted rows of a piece with all that is told of them."""
    batch, piece, rows = scored.batch, scored.piece, scored.scores.num_rows
    given = batch.select([name for name in batch.schema.names if name != ROW_ID])
    if rows < batch.num_rows:
        given = rows_at(given, piece.positions)
    behind = [_repeated(value, rows) for value in origin.columns.values()]
    arrays = [*given.columns, pa.array(piece.row_ids), *scored.scores.columns, *behind]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _repeated(value: str | int, rows: int) -> pa.Array:
    if isinstance(value, int):
        return pa.array(np.full(rows, value, dtype=np.int64))
    return pa.DictionaryArray.from_arrays(np.zeros(rows, dtype=np.int32), pa.array([value]))
