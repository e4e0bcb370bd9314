"""Loading by ADBC: binary COPY of Arrow batches, on one connection, in one transaction with the batch's own line."""

from __future__ import annotations

import logging
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from adbc_driver_manager import AdbcStatusCode, Error
from adbc_driver_postgresql import dbapi

from gauntlet.adapters.marts.records import done_line, insert_batch
from gauntlet.adapters.postgres import LOST_CLASSES, PAUSE, away
from gauntlet.domain.mart import INPUT, OUTPUT, REJECTED_SCHEMA, MartError, rows_schema, scores_schema, table
from gauntlet.jobs.ports import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gauntlet.domain.errors import Mendable
    from gauntlet.jobs.mart_port import Batch, Loaded, NewBatch

log = logging.getLogger(__name__)

DISK_FULL, UNIQUE_VIOLATION, ALTERED = "53100", "23505", ("42P01", "42703", "42804")
REJECTED_TABLE = "rejected_row"
# what Postgres says besides the error itself; the rows in it may be a person's
BESIDES = ("\nLINE ", "\nDETAIL", "\nHINT", "\nCONTEXT", "\n\nQuery was", ". SQLSTATE")
BATCH_LINE = insert_batch("$1")


class Doubled(StoreError):
    """A line that may be there once is there already."""


class Server:
    """The marts' database, as ADBC reaches it; `where` may be shown to people."""

    def __init__(self, dsn: str, where: str, patience: float) -> None:
        self._dsn = dsn
        self.where = where
        self._patience = patience

    @contextmanager
    def connected(self) -> Iterator[dbapi.Connection]:
        """Open a connection; what is not committed in the block is undone. Its errors are told as ours."""
        connection = self._connect()
        try:
            with self.told():
                yield connection
        finally:
            with suppress(Error):
                connection.rollback()
            with suppress(Error):
                connection.close()

    @contextmanager
    def told(self) -> Iterator[None]:
        """Turn ADBC's errors into ours: ServiceAway for a server that is gone, else StoreError."""
        try:
            yield
        except Error as error:
            raise _told(self.where, error) from None  # ADBC's own text may hold rows

    def _connect(self) -> dbapi.Connection:
        deadline = time.monotonic() + self._patience
        while True:
            try:
                return dbapi.connect(self._dsn)
            except Error as error:
                if time.monotonic() > deadline or "authentication failed" in str(error):
                    raise _told(self.where, error) from None
                time.sleep(PAUSE)


class PostgresLoading:
    """A batch that is being loaded; every piece carries the number that was drawn for it."""

    def __init__(
        self, server: Server, cursor: dbapi.Cursor, batch: NewBatch, known: Callable[[NewBatch], Batch | None]
    ) -> None:
        self._server, self._cursor, self._batch, self._known = server, cursor, batch, known
        cursor.execute("select nextval('mart.batch_id')")
        (self._id,) = cursor.fetchone()

    def add(self, rows: pa.RecordBatch, scores: pa.RecordBatch | None, rejected: pa.RecordBatch) -> None:
        """Add a piece; MartError where a number is not finite, StoreError where the tables do not take it."""
        spec = self._batch.spec
        rows = _fitting(rows, rows_schema(spec))
        if scores is not None:
            scores = _fitting(scores, scores_schema(spec))
            if len(scores) != len(rows):
                raise ValueError(f"each row must have its score; found {len(rows)} rows and {len(scores)} scores.")
        with self._server.told():
            self._copy(table(spec.name, INPUT), rows)
            if scores is not None:
                names = ["row_number", "row_id", *scores.schema.names]
                columns = [rows.column("row_number"), rows.column("row_id"), *scores.columns]
                self._copy(table(spec.name, OUTPUT), pa.RecordBatch.from_arrays(columns, names=names))
            self._copy(REJECTED_TABLE, _fitting(rejected, REJECTED_SCHEMA))

    def commit(self, loaded: Loaded) -> Batch:
        """Write the batch's line and end the transaction; where somebody was quicker, what that one made counts."""
        try:
            with self._server.told():
                self._cursor.execute(BATCH_LINE, (done_line(self._id, self._batch, loaded),))
                self._cursor.connection.commit()
        except Doubled:
            log.info("the batch was loaded by somebody else meanwhile")
        batch = self._known(self._batch)
        if batch is None:
            raise StoreError(f"A batch that was loaded must be in mart.batch at {self._server.where}; it is gone.")
        return batch

    def _copy(self, name: str, rows: pa.RecordBatch) -> None:
        if not len(rows):
            return
        numbers = pa.array(np.full(len(rows), self._id, dtype=np.int64))
        piece = pa.RecordBatch.from_arrays([numbers, *rows.columns], names=["batch_id", *rows.schema.names])
        self._cursor.adbc_ingest(name, piece, mode="append", db_schema_name="mart")


def _fitting(piece: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    if piece.schema.names != schema.names:
        raise ValueError(f"the columns must be {schema.names}; found {piece.schema.names}.")
    piece = piece.cast(schema)
    for column, field in zip(piece.columns, schema, strict=True):
        if pa.types.is_floating(field.type) and not pc.all(pc.is_finite(column), min_count=0).as_py():
            raise MartError(
                f"The marts hold finite numbers; found others in {field.name}. Correct the model or the file."
            )
    return piece


def _told(where: str, error: Error) -> Mendable:
    """Return the error that people are told: what Postgres said, without rows, statements and addresses."""
    state = error.sqlstate
    said = _said(error)
    if state == DISK_FULL:
        return StoreError(f"Postgres at {where} must have room for the rows; found: {said}. Make room there.")
    if state.startswith(LOST_CLASSES) if state else error.status_code is AdbcStatusCode.IO:
        return away(where, RuntimeError(said))
    if state == UNIQUE_VIOLATION:
        return Doubled(f"Rows of a batch must be there once in the marts at {where}; found: {said}. Load it again.")
    if state is None or state in ALTERED:  # the driver compares the columns itself
        return StoreError(
            f"The tables at {where} must be those that were made from the spec; found: {said}. Try again: a run puts "
            "back what is missing."
        )
    return StoreError(f"The marts at {where} must take the rows; found: {said}. Correct that, then try again.")


def _said(error: Error) -> str:
    text = str(error)
    for mark in ("ERROR:  ", "FATAL:  "):
        text = text.rpartition(mark)[2]
    for mark in BESIDES:
        text = text.partition(mark)[0]
    return " ".join(text.split()).rstrip(".")
