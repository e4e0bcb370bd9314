"""A batch made again from its kept input and its model, and compared with the marts row by row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import pyarrow as pa

from gauntlet.domain.spec import Spec
from gauntlet.jobs.audit_port import AuditError, AuditPorts, kept_file, output_key, require_batch, require_predictor
from gauntlet.jobs.checked_pieces import checked, opened_for
from gauntlet.jobs.file_traffic import SHARE
from gauntlet.jobs.inbox import fetched, opened_parquet
from gauntlet.jobs.mart_port import BatchKind, InputFile
from gauntlet.jobs.run import Refused
from gauntlet.jobs.same_rows import RowTally, compared
from gauntlet.jobs.score_pieces import load_model, scored

if TYPE_CHECKING:
    from gauntlet.jobs.mart_port import Batch

EQUAL, GONE = "equal", "gone"


@dataclass(frozen=True)
class Reproduced:
    """What came of making a batch again.

    `rejected` are the rows rejected now; `output` says whether the file that was written then is EQUAL to what the
    batch says of it, GONE, or has another SHA-256, which it gives.
    """

    batch: Batch
    read: int
    rejected: int
    tally: RowTally
    output: str

    @property
    def equal(self) -> bool:
        """Say whether rows, counts and file are what they were; a file that is gone tells nothing."""
        counts = (self.read, self.rejected) == (self.batch.read, self.batch.rejected)
        return self.tally.equal and counts and self.output in (EQUAL, GONE)


@dataclass(frozen=True)
class Again:
    """How batches are made again: on so many threads, in a folder to work in, telling how many rows are compared.

    `share` is that of the A/B pool where a training batch does not say it itself. `trusted_types` are those of each
    spec's file: what the marts say of a spec does not decide which types of a model may be loaded.
    """

    ports: AuditPorts
    scratch: Path
    threads: int
    share: float
    trusted_types: Mapping[str, tuple[str, ...]]
    doing: Callable[[str], None]

    def reproduce(self, number: int) -> Reproduced:
        """Make a batch again; AuditError when it or its input is gone, StoreError when the model has changed."""
        batch = require_batch(self.ports.mart, number)
        self.doing(f"fetching {batch.output_uri}")
        output, share = self._output(batch)
        self.doing(f"fetching {batch.kept_uri}")
        counts, tally = Counter[str](), RowTally()
        with self._input(batch) as data, closing(self._made(batch, data, share, counts)) as made:
            for tally in compared(self.ports.mart.rows(batch), made):
                self.doing(f"{tally.compared:,} of {batch.accepted:,} rows compared")
        return Reproduced(batch, counts["read"], counts["rejected"], tally, output)

    def _output(self, batch: Batch) -> tuple[str, float]:
        """Return what became of the file that was written, and the A/B share that it says it was made with."""
        file = InputFile(batch.output_uri or "", output_key(batch), 0, "", batch.data_time)
        try:
            with fetched(self.ports.files, file, self.scratch) as found:
                if found.sha256 != batch.output_sha256:
                    return found.sha256, self.share
                with opened_parquet(found.data, file.uri) as parquet:
                    said = (parquet.schema_arrow.metadata or {}).get(SHARE)
                return EQUAL, self.share if said is None else float(said)
        except Refused:
            return GONE, self.share

    @contextmanager
    def _input(self, batch: Batch) -> Iterator[BinaryIO]:
        try:
            with fetched(self.ports.files, kept_file(batch), self.scratch) as found:
                if found.sha256 != batch.sha256:
                    raise AuditError(
                        f"what a batch was made of must be kept unchanged; {batch.kept_uri} has the SHA-256 "
                        f"{found.sha256}, batch {batch.id} was made of {batch.sha256}. Restore it from a backup."
                    )
                yield found.data
        except Refused:
            raise AuditError(
                f"what a batch was made of must be kept; {batch.kept_uri} of batch {batch.id} is gone. Restore it "
                "from a backup."
            ) from None

    def _made(self, batch: Batch, data: BinaryIO, share: float, counts: Counter[str]) -> Generator[pa.RecordBatch]:
        if batch.kind is BatchKind.TRAIN:
            return _taken(batch, data, share, counts)
        return self._scored(batch, data, counts)

    def _scored(self, batch: Batch, data: BinaryIO, counts: Counter[str]) -> Generator[pa.RecordBatch]:
        """Yield rows with their scores, by the code that scored the file."""
        spec = self._spec(batch)
        model = load_model(self.ports, require_predictor(self.ports.ledger, batch), spec, self.threads)
        with (
            opened_for(spec, data, str(batch.kept_uri), training=False) as (parquet, intake),
            scored(parquet, str(batch.kept_uri), intake, spec, model) as found,
        ):
            for each in found:
                counts.update(read=each.batch.num_rows, rejected=each.piece.rejected.num_rows)
                rows = each.piece.rows(spec)
                schema = pa.schema([*rows.schema, *each.scores.schema])
                yield pa.RecordBatch.from_arrays([*rows.columns, *each.scores.columns], schema=schema)

    def _spec(self, batch: Batch) -> Spec:
        trusted = self.trusted_types.get(batch.spec, ())
        return Spec.from_json(batch.spec_json).model_copy(update={"trusted_types": trusted})


def _taken(batch: Batch, data: BinaryIO, share: float, counts: Counter[str]) -> Generator[pa.RecordBatch]:
    """Yield the rows of a training file, by the code that took it in."""
    spec, name = Spec.from_json(batch.spec_json), str(batch.kept_uri)
    with opened_for(spec, data, name, training=True) as (parquet, intake):
        for part, piece in checked(parquet, name, intake):
            counts.update(read=part.num_rows, rejected=piece.rejected.num_rows)
            yield piece.rows(spec, share)
