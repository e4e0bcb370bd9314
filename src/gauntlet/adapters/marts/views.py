"""The views of one spec: each prediction with everything behind it, and the newest score of each key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg2 import sql

from gauntlet.domain.mart import INPUT, LATEST, OUTPUT, PREDICTION, table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gauntlet.adapters.postgres import Cursor
    from gauntlet.domain.spec import Spec

VIEWS = 1
"""To be raised with every change of the views, so that they are made anew."""

PLACE = ("batch_id", "row_number", "row_id")

# in the order of domain.mart.BACKGROUND
PREDICTIONS = """
create view {view} as
select output.batch_id, output.row_number, output.row_id, {inputs}, {outputs},
       batch.uri as input_uri, batch.sha256 as input_sha256, batch.kept_uri, batch.data_time, batch.run_key,
       batch.rule as model_rule, batch.ended_at as scored_at, batch.code_version,
       batch.output_uri, batch.output_sha256,
       model.model as model_name, batch.version as model_version, model.run_id, model.recipe, model.model_sha256,
       model.snapshot_uri, model.snapshot_sha256,
       model.decision_id, model.verdict, model.reason as verdict_reason, model.decided_at
from {output} as output
join {input} as input using (batch_id, row_number)
join mart.batch as batch on batch.id = output.batch_id
left join mart.model as model on (model.spec, model.version) = (batch.spec, batch.version)
"""

LATEST_SCORES = """
create view {view} as
select distinct on ({by}) {shown}, {outputs},
       batch.version as model_version, output.batch_id, output.row_number, batch.data_time, batch.ended_at as scored_at
from {output} as output
join {input} as input using (batch_id, row_number)
join mart.batch as batch on batch.id = output.batch_id
where batch.status = 'done'
order by {by}, batch.data_time desc, batch.ended_at desc, output.batch_id desc
"""


def make_views(cursor: Cursor, spec: Spec, columns: Mapping[str, Sequence[str]]) -> None:
    """Make both views of tables that have these columns, in place of those that are there."""
    for suffix in (LATEST, PREDICTION):
        view = sql.Identifier("mart", table(spec.name, suffix))
        cursor.execute(sql.SQL("drop view if exists {}").format(view))
    by = sql.Identifier("input", spec.key) if spec.key else sql.Identifier("output", "row_id")
    parts = {
        "input": sql.Identifier("mart", table(spec.name, INPUT)),
        "output": sql.Identifier("mart", table(spec.name, OUTPUT)),
        "inputs": _listed("input", [name for name in columns[INPUT] if name not in (*PLACE, "pool")]),
        "outputs": _listed("output", [name for name in columns[OUTPUT] if name not in PLACE]),
        "by": by,
        "shown": sql.SQL(", ").join([by, *([sql.Identifier("output", "row_id")] if spec.key else [])]),
    }
    told = {
        PREDICTION: (PREDICTIONS, "each prediction with its input row, file, model, training rows and verdict"),
        LATEST: (LATEST_SCORES, f"the newest score of each {spec.key or 'row_id'}: by the data's time"),
    }
    for suffix, (query, holds) in told.items():
        view = sql.Identifier("mart", table(spec.name, suffix))
        cursor.execute(sql.SQL(query).format(view=view, **parts))
        comment = sql.SQL("comment on view {} is {}")
        cursor.execute(comment.format(view, sql.Literal(f"{spec.title}: {holds}")))


def _listed(relation: str, names: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(relation, name) for name in names)
