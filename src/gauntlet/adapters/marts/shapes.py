"""The tables and views of one spec, made from it and brought up to it."""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg2.errors
from psycopg2 import sql

from gauntlet.adapters.ledger_rows import fetch
from gauntlet.adapters.marts.views import VIEWS, make_views
from gauntlet.domain.mart import (
    BATCH_ID,
    INPUT,
    LATEST,
    OUTPUT,
    PREDICTION,
    Kind,
    MartError,
    input_columns,
    output_columns,
    table,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gauntlet.adapters.postgres import Cursor
    from gauntlet.domain.mart import Column
    from gauntlet.domain.spec import Spec

log = logging.getLogger(__name__)

SQL_TYPES = {Kind.WHOLE: "bigint", Kind.NUMBER: "double precision", Kind.TEXT: "text"}
HOLDS = {
    INPUT: "{title}: the accepted rows of files to train on and to predict",
    OUTPUT: "{title}: what models predicted, a line for each row of mart.{spec}_input",
}

COLUMNS = """
select class.relname as relation, attribute.attname as name, format_type(attribute.atttypid, null) as type
from pg_class as class join pg_attribute as attribute on attribute.attrelid = class.oid
where class.relnamespace = to_regnamespace('mart') and class.relname = any(%s)
      and attribute.attnum > 0 and not attribute.attisdropped
order by class.relname, attribute.attnum
"""

KEEPING = """\
Give the spec another name, that of its file; or keep what was loaded under another one, and new tables are made:
  alter table mart.{spec}_input rename to {old}_input;
  alter table mart.{spec}_output rename to {old}_output;
{moves}
What lies in the folders is then read anew."""
MOVE = "  update mart.{name} set spec = '{old}' where spec = '{spec}';"
NAMED = ("batch", "model", "training", "arrival", "form")

# relation: its columns, each with its type
Found = dict[str, dict[str, str]]


@dataclass(frozen=True)
class Shape:
    """What a spec wants its tables to be."""

    spec: Spec
    tables: Mapping[str, tuple[Column, ...]]

    @classmethod
    def of(cls, spec: Spec) -> Shape:
        """Return the shape of a spec's tables."""
        both = {INPUT: input_columns(spec), OUTPUT: output_columns(spec)}
        return cls(spec, {suffix: (BATCH_ID, *columns) for suffix, columns in both.items()})

    @property
    def sha256(self) -> str:
        """Names the shape: the tables' columns with their descriptions, the key, and how views are made of them."""
        tables = {suffix: [(c.name, c.kind, c.comment) for c in columns] for suffix, columns in self.tables.items()}
        text = json.dumps([self.spec.title, self.spec.key, tables, VIEWS], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def name(self, suffix: str) -> str:
        """The name of a table or view."""
        return table(self.spec.name, suffix)

    def lacking(self, found: Found) -> Iterator[str]:
        """Yield what keeps the tables from being loaded; nothing where they fit."""
        for suffix, columns in self.tables.items():
            known = found.get(self.name(suffix), {})
            for column in columns:
                if known.get(column.name) != SQL_TYPES[column.kind]:
                    yield f"mart.{self.name(suffix)}.{column.name}"
        for suffix in (PREDICTION, LATEST):
            if self.name(suffix) not in found:
                yield f"mart.{self.name(suffix)}"


def fits(cursor: Cursor, shape: Shape) -> bool:
    """Say whether the tables and views are there as a spec wants them, in this form or in one that came after it."""
    cursor.execute("select from mart.form where (spec, sha256) = (%s, %s)", (shape.spec.name, shape.sha256))
    return cursor.rowcount == 1 and not list(shape.lacking(found_columns(cursor, shape)))


def bring_up(cursor: Cursor, shape: Shape) -> None:
    """Make what is missing, add columns that are new, and make the views anew, within the caller's transaction.

    Raises MartError when the spec changed in another way.
    """
    spec, found = shape.spec, require_followed(cursor, shape)
    for suffix in shape.tables:
        if shape.name(suffix) in found:
            _widen(cursor, shape, suffix, found)
        else:
            # forms of tables that are gone bind nobody
            cursor.execute("delete from mart.form where spec = %s", (spec.name,))
            _create(cursor, shape, suffix)
        _comment(cursor, shape, suffix)
    try:
        make_views(cursor, spec, _all_columns(cursor, shape))
    except psycopg2.errors.DependentObjectsStillExist as error:
        raise MartError(
            f"The views of spec {spec.name} must be made anew; others read them: {error.diag.message_detail}. Drop "
            "those, and make them again afterwards."
        ) from error
    cursor.execute(
        "insert into mart.form (spec, sha256, key) values (%s, %s, %s) on conflict do nothing",
        (spec.name, shape.sha256, spec.key),
    )


def found_columns(cursor: Cursor, shape: Shape) -> Found:
    """Return the columns of the spec's tables and views that are there."""
    names = [shape.name(suffix) for suffix in (*shape.tables, PREDICTION, LATEST)]
    found: Found = {}
    for row in fetch(cursor, COLUMNS, (names,)):
        found.setdefault(row.relation, {})[row.name] = row.type
    return found


def _all_columns(cursor: Cursor, shape: Shape) -> dict[str, list[str]]:
    """The columns of both tables as they are now: a spec of before lacks those that came later."""
    found = found_columns(cursor, shape)
    return {suffix: list(found[shape.name(suffix)]) for suffix in shape.tables}


def require_followed(cursor: Cursor, shape: Shape) -> Found:
    """Return the columns that are there; MartError when the tables cannot follow what the spec has become."""
    found = found_columns(cursor, shape)
    known = fetch(cursor, "select sha256, key from mart.form where spec = %s", (shape.spec.name,))
    forms = {row.sha256: row.key for row in known}
    changes = list(_changes(shape, found, known=shape.sha256 in forms))
    if shape.name(INPUT) in found and any(key != shape.spec.key for key in forms.values()):
        before = next(iter(forms.values()))
        changes.append(f"the key is {shape.spec.key or 'none'} in the spec, {before or 'none'} in the tables")
    if changes:
        spec, old = shape.spec.name, f"{shape.spec.name}_before"
        moves = "\n".join(MOVE.format(name=name, old=old, spec=spec) for name in NAMED)
        raise MartError(
            f"Of a changed spec, the marts can follow added columns; found of {spec}:\n  "
            + "\n  ".join(changes)
            + "\n"
            + KEEPING.format(spec=spec, old=old, moves=moves)
        )
    return found


def _changes(shape: Shape, found: Found, *, known: bool) -> Iterator[str]:
    """Yield each change that tables cannot follow; a form that is known may lack columns that came after it."""
    for suffix, columns in shape.tables.items():
        name = shape.name(suffix)
        wanted = {column.name: SQL_TYPES[column.kind] for column in columns}
        for column, kind in found.get(name, {}).items():
            if column not in wanted and not known:
                yield f"{column} is removed from the spec, and is a column of mart.{name}"
            elif wanted.get(column, kind) != kind:
                yield f"{column} is {wanted[column]} by the spec, {kind} in mart.{name}"


def _create(cursor: Cursor, shape: Shape, suffix: str) -> None:
    name = shape.name(suffix)
    log.info("making the table mart.%s", name)
    columns = [
        sql.SQL("{} {}{}").format(
            sql.Identifier(column.name),
            sql.SQL(SQL_TYPES[column.kind]),
            sql.SQL(" not null" if column.required else ""),
        )
        for column in shape.tables[suffix]
    ]
    cursor.execute(
        sql.SQL("create table {} ({}, primary key (batch_id, row_number))").format(
            sql.Identifier("mart", name), sql.SQL(", ").join(columns)
        )
    )
    if suffix == INPUT and shape.spec.key is not None:
        command = sql.SQL("create index on {} ({})")
        cursor.execute(command.format(sql.Identifier("mart", name), sql.Identifier(shape.spec.key)))


def _widen(cursor: Cursor, shape: Shape, suffix: str, found: Found) -> None:
    name = shape.name(suffix)
    for column in shape.tables[suffix]:
        if column.name not in found[name]:
            log.info("adding the column %s to mart.%s", column.name, name)
            added = sql.SQL("{} {}").format(sql.Identifier(column.name), sql.SQL(SQL_TYPES[column.kind]))
            cursor.execute(sql.SQL("alter table {} add column {}").format(sql.Identifier("mart", name), added))


def _comment(cursor: Cursor, shape: Shape, suffix: str) -> None:
    name = shape.name(suffix)
    holds = HOLDS[suffix].format(title=shape.spec.title, spec=shape.spec.name)
    command = sql.SQL("comment on table {} is {}")
    cursor.execute(command.format(sql.Identifier("mart", name), sql.Literal(holds)))
    for column in shape.tables[suffix]:
        command = sql.SQL("comment on column {} is {}")
        place = sql.Identifier("mart", name, column.name)
        cursor.execute(command.format(place, sql.Literal(column.comment)))
