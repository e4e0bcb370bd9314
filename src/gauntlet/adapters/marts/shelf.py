"""Old batches, as retention finds and removes them; and the objects that batches name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg2 import sql

from gauntlet.adapters.ledger_rows import fetch
from gauntlet.adapters.marts.records import COLUMNS, to_batch
from gauntlet.adapters.marts.tables import MartTables
from gauntlet.domain.mart import INPUT, OUTPUT, table
from gauntlet.jobs.prune import Named
from gauntlet.jobs.retention import OldBatch

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from gauntlet.adapters.postgres import Cursor
    from gauntlet.jobs.mart_port import Batch

OLD = f"""
select {", ".join(f"batch.{name}" for name in COLUMNS)},
       exists (select from mart.training where batch_id = batch.id) as is_trained_on,
       array(select array[uri, mark] from mart.batch_file where batch_id = batch.id) as others,
       (select version from mart.batch as newer where (newer.spec, newer.kind) = (batch.spec, 'predict')
        order by id desc limit 1) as last_version
from mart.batch as batch
where ended_at < %(before)s and (%(spec)s::text is null or spec = %(spec)s) order by id
"""  # noqa: S608 - the record's own names
NAMES = """
select kept_uri from mart.batch where kept_uri is not null
union select output_uri from mart.batch where output_uri is not null
"""


class PostgresShelf(MartTables):
    """The batches at the URL of the role that made them."""

    def old(self, before: datetime, spec: str | None) -> Sequence[OldBatch]:
        """Return the batches that ended before a time, oldest first."""

        def work(cursor: Cursor) -> list[OldBatch]:
            return [
                OldBatch(
                    to_batch(row),
                    frozenset([(row.uri, row.mark), *((uri, mark) for uri, mark in row.others)]),
                    is_trained_on=row.is_trained_on,
                    last_version=row.last_version,
                )
                for row in fetch(cursor, OLD, {"before": before, "spec": spec})
            ]

        return self.transact(work)

    def remove(self, batch: Batch) -> bool:
        """Remove a batch with its rows in one transaction; returns whether: not one that a version was trained on."""

        def work(cursor: Cursor) -> bool:
            # whoever records a training waits for this lock, and finds no batch then
            cursor.execute("select from mart.batch where id = %s for update", (batch.id,))
            cursor.execute("select from mart.training where batch_id = %s", (batch.id,))
            if cursor.rowcount:
                return False
            for name in (table(batch.spec, INPUT), table(batch.spec, OUTPUT), "rejected_row"):
                cursor.execute(
                    "select from pg_class where relnamespace = to_regnamespace('mart') and relname = %s", (name,)
                )
                if cursor.rowcount:
                    command = sql.SQL("delete from {} where batch_id = %s")
                    cursor.execute(command.format(sql.Identifier("mart", name)), (batch.id,))
            cursor.execute("delete from mart.batch where id = %s", (batch.id,))
            return True

        return self.transact(work)


class MartNames(MartTables):
    """The objects that batches name, for pruning; no marts name none, and none are made."""

    def named(self) -> Named:
        """Return the names of the objects."""

        def work(cursor: Cursor) -> Named:
            cursor.execute("select to_regclass('mart.batch') is not null")
            if cursor.fetchone() != (True,):
                return Named(frozenset(), frozenset(), frozenset())
            cursor.execute(NAMES)
            objects = frozenset(uri.rpartition("/")[2] for (uri,) in cursor.fetchall())
            return Named(objects, frozenset(), frozenset())

        return self.look(work)
