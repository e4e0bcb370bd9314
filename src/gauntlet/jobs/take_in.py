"""A training file taken in: checked row by row, loaded into the mart, and written as a file to train on."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from gauntlet.domain.identity import in_ab_pool
from gauntlet.domain.intake import FileRefused, Intake, Piece
from gauntlet.domain.mart import rows_schema
from gauntlet.jobs.file_traffic import AB, TRAINING, ready_metadata
from gauntlet.jobs.inbox import CHUNK, Fetched, fetched, keep, opened_parquet, pieces, scratch_file, uri_of
from gauntlet.jobs.mart_port import BatchKind, InputFile, Loaded, Loading, Mart, NewBatch
from gauntlet.jobs.snapshot import LEFT_OUT_LIMIT

if TYPE_CHECKING:
    from pathlib import Path

    from gauntlet.domain.spec import Spec
    from gauntlet.jobs.upkeep import Files

READY = "ready"
"""The folder of rows that are ready to train on, named by their content."""
SHOWN_REASONS = 3


@dataclass(frozen=True)
class Taker:
    """Who takes files in: for which spec and run, from where, and how rows are parted into pools."""

    spec: Spec
    run_key: str
    code_version: str
    share: float
    files: Files
    mart: Mart
    scratch: Path

    def take_in(self, file: InputFile) -> None:
        """Load a file, or record why not; what has been loaded before, under whatever name, stays as it is."""
        name = self.spec.name
        with fetched(self.files, file, self.scratch) as found, self.mart.lock(f"batch {name} {found.sha256} None"):
            known = self.mart.done(name, BatchKind.TRAIN, found.sha256, None)
            if known is not None:
                if (known.uri, known.mark) != (found.file.uri, found.file.mark):
                    self.mart.also(known, found.file)
                return
            batch = self._batch(found)
            try:
                self._load(batch, found)
            except FileRefused as refused:
                self.mart.refuse(batch, str(refused))

    def _batch(self, found: Fetched) -> NewBatch:
        return NewBatch(
            spec=self.spec,
            kind=BatchKind.TRAIN,
            file=found.file,
            sha256=found.sha256,
            kept_uri=keep(self.files, self.spec.name, found),
            version=None,
            rule=None,
            run_key=self.run_key,
            code_version=self.code_version,
        )

    def _load(self, batch: NewBatch, found: Fetched) -> None:
        with (
            opened_parquet(found.data, batch.file.uri) as parquet,
            scratch_file(self.scratch) as ready,
            self.mart.load(batch) as loading,
        ):
            counts = self._fill(parquet, batch.file.uri, ready, loading)
            counts.require_usable(batch.file.uri)
            sha256 = _sha256(ready)
            key = f"{READY}/{self.spec.name}/{sha256}.parquet"
            self.files.write(key, ready)
            rejected = counts.read - counts.accepted
            uri = uri_of(self.files.root, key)
            loading.commit(Loaded(counts.read, counts.accepted, rejected, counts.accepted, uri, sha256))

    def _fill(self, parquet: pq.ParquetFile, name: str, ready: BinaryIO, loading: Loading) -> _Counts:
        """Pass every piece of the file on to the mart and to the ready file."""
        intake, counts = Intake(parquet.schema_arrow, self.spec, training=True), _Counts()
        schema = rows_schema(self.spec).with_metadata(ready_metadata(self.spec, self.share))
        with pq.ParquetWriter(ready, schema, compression="zstd") as writer:
            for batch in pieces(parquet, name):
                piece = intake.piece(batch, counts.read + 1)
                rows = self._rows(piece)
                loading.add(rows, None, piece.rejected)
                if len(rows):
                    writer.write_batch(rows.replace_schema_metadata(schema.metadata))
                counts.add(batch.num_rows, len(rows), piece.rejected)
        return counts

    def _rows(self, piece: Piece) -> pa.RecordBatch:
        in_ab = in_ab_pool(piece.contents or [], self.share)
        return piece.rows(self.spec, pa.array(np.where(in_ab, AB, TRAINING), pa.string()))


@dataclass
class _Counts:
    """What was read of a file so far, and why rows were rejected."""

    read: int = 0
    accepted: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    def add(self, read: int, accepted: int, rejected: pa.RecordBatch) -> None:
        self.read += read
        self.accepted += accepted
        self.reasons.update(rejected.column("reasons").to_pylist())

    def require_usable(self, name: str) -> None:
        """Refuse a file of which more than a fifth breaks the spec: what is left is no fair sample."""
        share = 1 - self.accepted / self.read if self.read else 0.0
        if share > LEFT_OUT_LIMIT:
            shown = "; ".join(f"{rule}: {count:,}" for rule, count in self.reasons.most_common(SHOWN_REASONS))
            raise FileRefused(
                f"at most {LEFT_OUT_LIMIT:.0%} of a training file's rows may break the spec; {share:.1%} of the "
                f"{self.read:,} in {name} do ({shown}). Mend the file, or widen the ranges in the spec."
            )


def _sha256(file: BinaryIO) -> str:
    """The SHA-256 of a file, which is at its beginning again afterwards."""
    sha256 = hashlib.sha256()
    file.seek(0)
    while chunk := file.read(CHUNK):
        sha256.update(chunk)
    file.seek(0)
    return sha256.hexdigest()
