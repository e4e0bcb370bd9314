"""Rejected rows as they are kept: why, and what came, as JSON that any database can hold."""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from gauntlet.domain.intake_rules import Cells, Positions
from gauntlet.domain.intake_values import cut, is_number
from gauntlet.domain.mart import REJECTED_SCHEMA

LONGEST_TEXT = 200
"""So many characters of a cell are kept."""
STEP = 4096
"""So many rows are in Python's hands at a time."""
UNREADABLE = "(unreadable)"


def rejected(batch: pa.RecordBatch, first: int, broken: Positions, cells: Mapping[str, Cells]) -> pa.RecordBatch:
    """Return the rows at the places `broken` with all their reasons; `first` is the number of the batch's first row."""
    steps = np.split(broken, range(STEP, len(broken), STEP))
    return pa.concat_batches([_rejected(batch, first, step, cells) for step in steps])


def _rejected(batch: pa.RecordBatch, first: int, broken: Positions, cells: Mapping[str, Cells]) -> pa.RecordBatch:
    raw = {name: raw_cells(column, broken) for name, column in zip(batch.schema.names, batch.columns, strict=True)}
    reasons: list[list[str]] = [[] for _ in broken]
    places = broken.tolist()
    for name, column in cells.items():
        if column.broken is not None:
            for row in np.flatnonzero(column.broken[broken]).tolist():
                reasons[row].append(column.reason(places[row], raw[name][row]))
    columns = [broken + first, ["; ".join(one) for one in reasons], _json(raw)]
    arrays = [pa.array(column, type=field.type) for column, field in zip(columns, REJECTED_SCHEMA, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=REJECTED_SCHEMA)


def _json(columns: Mapping[str, list[Any]]) -> list[str]:
    """Return rows as JSON, which has no NaN, no infinity and no decimals: these become texts."""
    names = [storable(name) for name in columns]
    written = (_finite(cells) for cells in columns.values())
    return [
        orjson.dumps(dict(zip(names, row, strict=True)), default=str).decode() for row in zip(*written, strict=True)
    ]


def _finite(cells: list[Any]) -> list[Any]:
    return [str(cell) if isinstance(cell, float) and not math.isfinite(cell) else cell for cell in cells]


def raw_cells(column: pa.Array, places: Positions) -> list[Any]:
    """Return cells as they came: None, booleans, numbers, and anything else as at most LONGEST_TEXT characters."""
    column = cut(column, 4 * LONGEST_TEXT)  # a character has up to four bytes
    try:
        cells = column.take(pa.array(places)).to_pylist()
    except (pa.ArrowException, ValueError, OverflowError):  # a type that cannot be taken, a date that Python has not
        cells = [_cell(column, place) for place in places.tolist()]
    return cells if is_number(column.type) else [_readable(cell) for cell in cells]


def _cell(column: pa.Array, place: int) -> Any:
    try:
        return column[place].as_py()
    except (pa.ArrowException, ValueError, OverflowError):
        return UNREADABLE


def _readable(cell: Any) -> Any:
    if cell is None or isinstance(cell, bool | int | float | Decimal):
        return cell
    text = cell.decode(errors="backslashreplace") if isinstance(cell, bytes) else str(cell)
    return storable(text[:LONGEST_TEXT])


def storable(text: str) -> str:
    """Return a text with its zero characters, which Postgres cannot hold, spelled out."""
    return text.replace("\0", "\\x00")
