"""Reading a batch's rows back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gauntlet.domain.mart import INPUT, OUTPUT, rows_schema, scores_schema, table
from gauntlet.domain.spec import Spec
from gauntlet.jobs.mart_port import BatchKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gauntlet.jobs.mart_port import Batch


def rows_query(batch: Batch) -> str:
    """Return the query of a batch's rows, in the columns of the spec it was read by; COPY takes no parameters."""
    spec = Spec.from_json(batch.spec_json)
    listed = _listed("input", rows_schema(spec).names)
    query = f"from mart.{_quoted(table(batch.spec, INPUT))} as input"
    if batch.kind is BatchKind.PREDICT:
        listed += ", " + _listed("output", scores_schema(spec).names)
        query += f" join mart.{_quoted(table(batch.spec, OUTPUT))} as output using (batch_id, row_number)"
    return f"select {listed} {query} where input.batch_id = {int(batch.id)} order by input.batch_id, input.row_number"


def _listed(relation: str, names: Iterable[str]) -> str:
    return ", ".join(f"{relation}.{_quoted(name)}" for name in names)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
