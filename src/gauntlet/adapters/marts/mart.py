"""The marts in Postgres: batches by psycopg2, rows by ADBC."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from psycopg2 import sql
from psycopg2.extras import RealDictCursor, execute_values

from gauntlet.adapters.ledger_rows import fetch, first
from gauntlet.adapters.marts import chain, shapes
from gauntlet.adapters.marts.loading import PostgresLoading, Server
from gauntlet.adapters.marts.reading import rows_query
from gauntlet.adapters.marts.records import BATCHES, insert_batch, refused_line, to_batch
from gauntlet.adapters.marts.tables import MartTables
from gauntlet.domain.mart import PREDICTION, require_names, table
from gauntlet.jobs.mart_port import BatchKind

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime

    import pyarrow as pa

    from gauntlet.adapters.postgres import Cursor
    from gauntlet.domain.spec import Spec
    from gauntlet.jobs.mart_port import Batch, InputFile, NewBatch, Predictor

AGAIN = timedelta(minutes=10)
"""What was announced so long ago is announced once more: whoever should have heard of it may have been away."""

DONE = f"""
{BATCHES} where spec = %s and kind = %s and sha256 = %s and coalesce(version, 0) = coalesce(%s, 0) and status = 'done'
"""
SEEN = """
with known as (
    select id, uri, mark from mart.batch
    where spec = %s and kind = %s and coalesce(version, 0) = coalesce(%s, version, 0)
)
select uri, mark from known union select file.uri, file.mark from mart.batch_file as file join known on id = batch_id
"""
ANNOUNCE = """
insert into mart.arrival (spec, kind, uri, mark, announced_at) values %s
on conflict (spec, kind, uri, mark) do update set announced_at = excluded.announced_at
where arrival.announced_at <= excluded.announced_at - %s::interval
returning uri, mark
"""
REFUSED_BEFORE = """
delete from mart.batch where spec = %s and kind = %s and uri = %s and mark = %s
    and coalesce(version, 0) = coalesce(%s, 0) and status = 'refused' returning id
"""
NEXT = "select nextval('mart.batch_id') as id"
DESCRIBE = """
insert into mart.model values (%(spec)s, %(version)s, %(model)s, %(run_id)s, %(recipe)s, %(model_sha256)s,
    %(snapshot_uri)s, %(snapshot_sha256)s, %(decision_id)s, %(verdict)s, %(reason)s, %(decided_at)s)
on conflict (spec, version) do update set
    decision_id = coalesce(model.decision_id, excluded.decision_id),
    verdict = coalesce(model.verdict, excluded.verdict),
    reason = coalesce(model.reason, excluded.reason),
    decided_at = coalesce(model.decided_at, excluded.decided_at)
"""
LISTED = f"""
{BATCHES} where (%(spec)s::text is null or spec = %(spec)s) and (%(kind)s::text is null or kind = %(kind)s)
order by id desc limit %(limit)s
"""
TRAINED_ON = f"""
{BATCHES} where exists (select from mart.training where batch_id = batch.id and (spec, version) = (%s, %s))
order by data_time, id
"""
UNTRAINED = f"""
{BATCHES} where spec = %s and kind = 'train' and status = 'done'
    and not exists (select from mart.training where batch_id = batch.id)
order by data_time, id
"""
RECORD = "insert into mart.training (spec, version, batch_id) values (%s, %s, %s) on conflict do nothing"


class PostgresMart(MartTables):
    """The marts as the jobs know them."""

    def __init__(self, url: str, patience: float = 5.0) -> None:
        super().__init__(url, patience)
        self._server = Server(self._dsn, self._where, patience)

    def prepare(self, spec: Spec) -> None:
        """Bring the tables and views up to date; a look and no more where they are.

        Raises MartError when the spec changed in a way that tables cannot follow, StoreError where the role may not
        make tables.
        """
        require_names(spec)
        shape = shapes.Shape.of(spec)
        if not self.transact(lambda cursor: shapes.fits(cursor, shape)):
            self.transact(lambda cursor: self._bring_up(cursor, shape))

    def require_fit(self, spec: Spec) -> None:
        """Look whether the tables, as far as they are there, can be brought up to a spec; raises MartError."""
        require_names(spec)
        shape = shapes.Shape.of(spec)
        self.look(lambda cursor: chain.is_newest(cursor) and shapes.require_followed(cursor, shape))

    def lock(self, name: str) -> AbstractContextManager[None]:
        """Hold an advisory lock until the block or the process ends."""
        return self._database.lock(name)

    def done(self, spec: str, kind: BatchKind, sha256: str, version: int | None) -> Batch | None:
        """The batch that was made of a content by a version."""
        return self._one(DONE, (spec, kind, sha256, version))

    def seen(self, spec: str, kind: BatchKind, version: int | None) -> Collection[tuple[str, str]]:
        """The (uri, mark) of every file that was done or refused before; by one version, or for None by any."""

        def work(cursor: Cursor) -> set[tuple[str, str]]:
            return {(row.uri, row.mark) for row in fetch(cursor, SEEN, (spec, kind, version))}

        return self.transact(work)

    def also(self, batch: Batch, file: InputFile) -> None:
        """Record that a file has the content of a batch."""
        values = (batch.id, file.uri, file.mark)
        self.transact(
            lambda cursor: cursor.execute(
                "insert into mart.batch_file (batch_id, uri, mark) values (%s, %s, %s) on conflict do nothing", values
            )
        )

    def announce(self, spec: str, kind: BatchKind, files: Sequence[InputFile], now: datetime) -> Sequence[InputFile]:
        """Those of the files that nobody has announced in the last ten minutes."""
        if not files:
            return []

        def work(cursor: Cursor) -> set[tuple[str, str]]:
            values = [(spec, kind, uri, mark, now) for uri, mark in sorted({(file.uri, file.mark) for file in files})]
            command = cursor.mogrify(ANNOUNCE.replace("values %s", "values %%s"), (AGAIN,)).decode()
            announced: list[Any] = execute_values(cursor, command, values, fetch=True)
            return {(row.uri, row.mark) for row in announced}

        new = self.transact(work)
        return [file for file in files if (file.uri, file.mark) in new]

    @contextmanager
    def load(self, batch: NewBatch) -> Iterator[PostgresLoading]:
        """Begin to load a batch, on a connection of its own."""

        def known(made: NewBatch) -> Batch | None:
            return self.done(made.spec.name, made.kind, made.sha256, made.version)

        with self._server.connected() as connection, connection.cursor() as cursor:
            yield PostgresLoading(self._server, cursor, batch, known)

    def refuse(self, batch: NewBatch, reason: str) -> Batch:
        """Record that a file cannot be taken in; in the place of an earlier refusal."""

        def work(cursor: Cursor) -> int:
            file = batch.file
            told = (batch.spec.name, batch.kind, file.uri, file.mark, batch.version)
            before = first(cursor, REFUSED_BEFORE, told) or first(cursor, NEXT, None)
            number: int = before.id
            cursor.execute(insert_batch("%s"), (refused_line(number, batch, reason),))
            return number

        made = self.batch(self.transact(work))
        assert made is not None  # noqa: S101 - it was written just now
        return made

    def describe(self, predictor: Predictor) -> None:
        """Record who predicts; what was not known before is added."""
        self.transact(lambda cursor: cursor.execute(DESCRIBE, asdict(predictor)))

    def batch(self, number: int) -> Batch | None:
        """A batch by its number."""
        return self._one(f"{BATCHES} where id = %s", (number,))

    def batches(self, spec: str | None, kind: BatchKind | None, limit: int | None) -> Sequence[Batch]:
        """Batches, newest first."""
        return self._many(LISTED, {"spec": spec, "kind": kind, "limit": limit})

    def trained_on(self, spec: str, version: int) -> Sequence[Batch]:
        """The training batches that went into a version, oldest data first."""
        return self._many(TRAINED_ON, (spec, version))

    def untrained(self, spec: str) -> Sequence[Batch]:
        """The training batches that no version has been trained on, oldest data first."""
        return self._many(UNTRAINED, (spec,))

    def record_training(self, spec: str, version: int, batches: Sequence[int]) -> None:
        """Record which batches went into a version."""
        rows = [(spec, version, number) for number in batches]
        self.transact(lambda cursor: cursor.executemany(RECORD, rows))

    def rows(self, batch: Batch) -> Iterator[pa.RecordBatch]:
        """The batch's rows with their scores in the file's order, as a stream in bounded memory."""
        with self._server.connected() as connection, connection.cursor() as cursor:
            # the two keys are in one order; the planner does not know how many rows were loaded a moment ago
            for other in ("nestloop", "hashjoin"):
                cursor.execute(f"set local enable_{other} = off")
            cursor.execute(rows_query(batch))
            yield from cursor.fetch_record_batch()

    def trace(self, batch: int, row_id: int) -> Mapping[str, Any] | None:
        """One row of the view that joins a prediction to everything behind it."""
        known = self.batch(batch)
        if known is None or known.kind is not BatchKind.PREDICT:
            return None
        view = sql.Identifier("mart", table(known.spec, PREDICTION))
        query = sql.SQL("select * from {} where batch_id = %s and row_id = %s order by row_number limit 1").format(view)

        def work(cursor: Cursor) -> dict[str, Any] | None:
            # a spec's columns need not be names that Python knows
            with cursor.connection.cursor(cursor_factory=RealDictCursor) as named:
                named.execute(query, (batch, row_id))
                row = named.fetchone()
            return None if row is None else dict(row)

        return self.transact(work)

    def _bring_up(self, cursor: Cursor, shape: shapes.Shape) -> None:
        cursor.execute("select pg_advisory_xact_lock(%s)", (chain.LOCK,))
        if not shapes.fits(cursor, shape):
            shapes.bring_up(cursor, shape)

    def _one(self, query: str, arguments: Any) -> Batch | None:
        return next(iter(self._many(query, arguments)), None)

    def _many(self, query: str, arguments: Any) -> list[Batch]:
        def work(cursor: Cursor) -> list[Batch]:
            return [to_batch(row) for row in fetch(cursor, query, arguments)]

        return self.transact(work)
