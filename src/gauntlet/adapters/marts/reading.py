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
    """Return the query of a batch's rows, in the columns of the spec it was read by; COPY takes no parameters.

    A score whose input row is gone is among them, with nothing but its number and id.
    """
    spec = Spec.from_json(batch.spec_json)
    number, row_id, *rest = rows_schema(spec).names
    inputs = f"mart.{_quoted(table(batch.spec, INPUT))} as input"
    if batch.kind is BatchKind.TRAIN:
        return _rows(batch, "input", _listed("input", [number, row_id, *rest]), inputs)
    own = f"output.{number}, coalesce(input.{row_id}, output.{row_id}) as {row_id}"
    listed = f"{own}, {_listed('input', rest)}, {_listed('output', scores_schema(spec).names)}"
    outputs = f"mart.{_quoted(table(batch.spec, OUTPUT))} as output"
    both = f"{outputs} left join {inputs} using (batch_id, row_number)"
    return _rows(batch, "output", listed, both)


def _rows(batch: Batch, relation: str, listed: str, tables: str) -> str:
    of = f"{relation}.batch_id"
    return f"select {listed} from {tables} where {of} = {int(batch.id)} order by {of}, {relation}.row_number"  # noqa: S608 - names quoted


def _listed(relation: str, names: Iterable[str]) -> str:
    return ", ".join(f"{relation}.{_quoted(name)}" for name in names)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
