"""The marts in Postgres, as they are read to be checked: whole tables at once, never row by row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psycopg2 import sql

from gauntlet.adapters.ledger_rows import fetch, first
from gauntlet.adapters.marts.tables import MartTables
from gauntlet.domain.mart import INPUT, OUTPUT, table
from gauntlet.jobs.audit_port import RowCounts
from gauntlet.jobs.mart_port import Predictor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gauntlet.adapters.postgres import Cursor
    from gauntlet.jobs.mart_port import Batch

SPECS = "select spec from mart.batch union select spec from mart.model order by spec"
MATCHED = """
select batch_id, count(input.row_id) as inputs, count(output.row_id) as outputs,
       count(*) filter (where output.row_id is null) as bare_inputs,
       count(*) filter (where input.row_id is null) as bare_outputs,
       count(*) filter (where input.row_id <> output.row_id) as other_ids
from {input} as input full join {output} as output using (batch_id, row_number)
group by batch_id
"""
DOUBLED = """
select batch_id, sum(copies)::bigint as doubled
from (select batch_id, count(*) as copies from {input} group by batch_id, row_id having count(*) > 1) as same
group by batch_id
"""
# what belongs to no batch at all is shown with every spec
REJECTED = """
select batch_id, count(*) as rejected
from mart.rejected_row left join mart.batch on batch.id = batch_id
where batch.spec = %(spec)s or batch.id is null
group by batch_id
"""
PREDICTORS = """
select spec, version, model, run_id, recipe, model_sha256, snapshot_uri, snapshot_sha256, decision_id, verdict, reason,
       decided_at
from mart.model where spec = %s order by version
"""
INPUT_ROW = "select * from {input} where batch_id = %s and {column} = %s order by row_number limit 1"
REASONS = "select reasons from mart.rejected_row where batch_id = %s and row_number = %s"
TRAININGS = "select version from mart.training where spec = %s and batch_id = %s order by version"


class PostgresAudit(MartTables):
    """The marts, read by whoever checks them."""

    def specs(self) -> Sequence[str]:
        """Return every spec that the marts know."""
        return [row.spec for row in self.transact(lambda cursor: fetch(cursor, SPECS, ()))]

    def counts(self, spec: str) -> Sequence[RowCounts]:
        """Return how many rows the tables hold, by batch number."""

        def work(cursor: Cursor) -> list[RowCounts]:
            queries = [_filled(REJECTED, spec)]
            if _is_there(cursor, table(spec, INPUT)) and _is_there(cursor, table(spec, OUTPUT)):
                queries += [_filled(MATCHED, spec), _filled(DOUBLED, spec)]
            found: dict[int, dict[str, int]] = {}
            for query in queries:
                for row in fetch(cursor, query, {"spec": spec}):
                    figures = row._asdict()
                    found.setdefault(figures.pop("batch_id"), {}).update(figures)
            return [RowCounts(number, **figures) for number, figures in sorted(found.items())]

        return self.transact(work)

    def predictors(self, spec: str) -> Sequence[Predictor]:
        """Return every version that predicts, oldest first."""
        rows = self.transact(lambda cursor: fetch(cursor, PREDICTORS, (spec,)))
        return [Predictor(**row._asdict()) for row in rows]

    def input_row(self, batch: Batch, row_id: int | None, row_number: int | None) -> Mapping[str, Any] | None:
        """Return an accepted row by its number, else by its id."""
        column, value = ("row_id", row_id) if row_number is None else ("row_number", row_number)
        query = _filled(INPUT_ROW, batch.spec, column=sql.Identifier(column))

        def work(cursor: Cursor) -> dict[str, Any] | None:
            row = first(cursor, query, (batch.id, value))
            # a column's own name: a named tuple would change those that are no names in Python
            names = [column.name for column in cursor.description or ()]
            return None if row is None else dict(zip(names, row, strict=True))

        return self.transact(work)

    def rejected_row(self, batch: Batch, row_number: int) -> str | None:
        """Return why a row was rejected; None when it was not."""
        row = self.transact(lambda cursor: first(cursor, REASONS, (batch.id, row_number)))
        return None if row is None else str(row.reasons)

    def trainings(self, batch: Batch) -> Sequence[int]:
        """Return the versions that a training batch went into, oldest first."""
        rows = self.transact(lambda cursor: fetch(cursor, TRAININGS, (batch.spec, batch.id)))
        return [row.version for row in rows]


def _is_there(cursor: Cursor, name: str) -> bool:
    return bool(first(cursor, "select to_regclass(%s) is not null as is_there", (f"mart.{name}",)).is_there)


def _filled(query: str, spec: str, **more: sql.Composable) -> sql.Composed:
    names = {suffix: sql.Identifier("mart", table(spec, suffix)) for suffix in (INPUT, OUTPUT)}
    return sql.SQL(query).format(**names, **more)
