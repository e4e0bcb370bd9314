"""A training file taken in: checked row by row, loaded into the mart, and written as a file to train on."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

import pyarrow.parquet as pq

from gauntlet.domain.intake import FileRefused
from gauntlet.domain.mart import rows_schema
from gauntlet.jobs.batch_maker import BatchMaker
from gauntlet.jobs.checked_pieces import Tally, checked, opened_for
from gauntlet.jobs.file_traffic import ready_metadata
from gauntlet.jobs.inbox import scratch_file, sha256_of, uri_of, writing
from gauntlet.jobs.keys import ready_key
from gauntlet.jobs.mart_port import BatchKind, Loaded
from gauntlet.jobs.snapshot import LEFT_OUT_LIMIT

if TYPE_CHECKING:
    from pathlib import Path

    from gauntlet.domain.spec import Spec
    from gauntlet.jobs.inbox import Fetched
    from gauntlet.jobs.mart_port import Batch, InputFile, Loading, Mart, NewBatch
    from gauntlet.jobs.upkeep import Files


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
        maker = BatchMaker(
            spec=self.spec,
            kind=BatchKind.TRAIN,
            version=None,
            rule=None,
            run_key=self.run_key,
            code_version=self.code_version,
            files=self.files,
            mart=self.mart,
            scratch=self.scratch,
        )
        with suppress(FileRefused):  # the marts say so, and other files may do
            maker.make(file, self._load)

    def _load(self, batch: NewBatch, found: Fetched) -> Batch:
        """Load the mart and write the ready file; that lies in the store before the mart says that it does."""
        with scratch_file(self.scratch) as ready, self.mart.load(batch) as loading:
            with writing(self.scratch, "the rows ready for training"):
                tally = self._fill(found, ready, loading)
                sha256 = sha256_of(ready)
            key = ready_key(self.spec.name, sha256)
            self.files.write(key, ready)
            uri = uri_of(self.files.root, key)
            return loading.commit(Loaded(tally.read, tally.accepted, tally.rejected, tally.accepted, uri, sha256))

    def _fill(self, found: Fetched, ready: BinaryIO, loading: Loading) -> Tally:
        """Pass every piece of the file on to the mart and to the ready file."""
        name, tally = found.file.uri, Tally()
        schema = rows_schema(self.spec).with_metadata(ready_metadata(self.spec, self.share))
        with (
            opened_for(self.spec, found.data, name, training=True) as (parquet, intake),
            pq.ParquetWriter(ready, schema, compression="zstd") as writer,
        ):
            for batch, piece in checked(parquet, name, intake):
                rows = piece.rows(self.spec, self.share)
                loading.add(rows, None, piece.rejected)
                if len(rows):
                    writer.write_batch(rows.replace_schema_metadata(schema.metadata))
                tally.add(batch, piece)
        _require_usable(tally, name)
        return tally


def _require_usable(tally: Tally, name: str) -> None:
    """Refuse a file of which more than a fifth breaks the spec: what is left is no fair sample."""
    share = tally.rejected / tally.read if tally.read else 0.0
    if share > LEFT_OUT_LIMIT:
        raise FileRefused(
            f"at most {LEFT_OUT_LIMIT:.0%} of a training file's rows may break the spec; {share:.1%} of the "
            f"{tally.read:,} in {name} do: {tally.why}. Mend the file, or widen the ranges in the spec."
        )
