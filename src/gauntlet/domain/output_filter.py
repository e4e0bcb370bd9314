"""What a file of scores keeps: the rows that fulfil a spec's `where`, the columns that it lists."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import reduce
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gauntlet.domain.columns import Mask
from gauntlet.domain.errors import Final
from gauntlet.domain.intake_values import rows_at
from gauntlet.domain.mart import PROBABILITY
from gauntlet.domain.spec import Spec
from gauntlet.domain.spec_rules import did_you_mean

Condition = tuple[str, str, Any]

_COMPARE: Mapping[str, Callable[[pa.Array, pa.Scalar], pa.Array]] = {
    "==": pc.equal,
    "!=": pc.not_equal,
    "<": pc.less,
    "<=": pc.less_equal,
    ">": pc.greater,
    ">=": pc.greater_equal,
}


OFFSET = re.compile(r":.*([+-].+|Z)$")
"""A time that says how far it is from UTC."""


class FilterError(Final):
    """A spec's `where` or `columns` does not fit the file that is scored."""


def added_columns(spec: Spec) -> tuple[str, ...]:
    """Return the columns that scores add to those of a file, in their order."""
    probabilities = (f"{PROBABILITY}{name}" for name in spec.classes)
    origin = ("model_name", "model_version", "run_id", "input_uri", "input_sha256")
    return ("row_id", "prediction", *probabilities, *origin)


class OutputFilter:
    """Cuts scores down to what a spec keeps of them; `schema` is that of the rows that are left."""

    def __init__(self, spec: Spec, whole: pa.Schema) -> None:
        """Look at the whole schema, the file's columns and the added ones; raise FilterError when the spec misfits."""
        self._where = spec.predict.where
        added = [name for name in whole.names if name in added_columns(spec)]
        listed = spec.predict.columns
        given = [name for name in whole.names if name not in added] if listed is None else list(listed)
        _require_columns("columns", given, whole)
        self._names = [*(name for name in given if name not in added), *added]
        self.schema = pa.schema([whole.field(name) for name in self._names], metadata=whole.metadata)
        kept_rows(whole.empty_table(), self._where)

    def apply(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """Return what is left of rows with the whole schema."""
        chosen = rows.select(self._names)
        return rows_at(chosen, np.flatnonzero(kept_rows(rows, self._where))) if self._where else chosen


def kept_rows(rows: pa.RecordBatch | pa.Table, where: Iterable[Condition]) -> Mask:
    """Tell which rows fulfil every condition, shape (rows,); a cell that is missing fulfils none.

    Raises FilterError for a column that is not there, and for a value that a column's cells cannot be compared with.
    """
    kept = np.ones(rows.num_rows, dtype=bool)
    for column, comparison, value in where:
        _require_columns("where", [column], rows.schema)
        cells = _comparable(rows.column(column))
        # A column of the type null holds nothing at all.
        kept &= False if pa.types.is_null(cells.type) else _fulfilled(cells, column, comparison, value)
    return kept


def _fulfilled(cells: pa.Array, column: str, comparison: str, value: Any) -> Mask:
    values = value if comparison in ("in", "not in") else [value]
    scalars = [_scalar(cells.type, column, one) for one in values]
    if comparison in _COMPARE:
        result = _COMPARE[comparison](cells, scalars[0])
    else:
        result = reduce(pc.or_, (pc.equal(cells, scalar) for scalar in scalars))
        result = result if comparison == "in" else pc.invert(result)
    if pa.types.is_floating(cells.type):
        result = pc.and_(result, pc.invert(pc.is_nan(cells)))
    return np.asarray(result.fill_null(False), dtype=bool)


def _comparable(cells: Any) -> Any:
    """Return cells in a type that Arrow compares with a number or a text."""
    kind = cells.type
    if pa.types.is_dictionary(kind):
        return _comparable(cells.cast(kind.value_type))
    if pa.types.is_float16(kind) or pa.types.is_decimal(kind) or pa.types.is_uint64(kind):
        return cells.cast(pa.float64(), safe=False)
    return cells.cast(pa.string()) if pa.types.is_string_view(kind) else cells


def _scalar(kind: pa.DataType, column: str, value: Any) -> pa.Scalar:
    """Return a value of a condition as Arrow compares it with cells of a type."""
    if pa.types.is_boolean(kind):
        fits = isinstance(value, bool)
    elif pa.types.is_integer(kind) or pa.types.is_floating(kind):
        fits = isinstance(value, int | float) and not isinstance(value, bool)
        value = float(value) if fits and not -(2**63) <= value < 2**63 else value
    else:
        fits = isinstance(value, str)
    try:
        if fits and pa.types.is_temporal(kind):
            return _moment(kind, value)
        if fits and (not isinstance(value, str) or pa.types.is_string(kind) or pa.types.is_large_string(kind)):
            return pa.scalar(value)
    except pa.ArrowException:  # no date or time in a form that Arrow reads
        pass
    raise FilterError(
        f"a condition's value must be what its column holds; {column} holds {kind}, found {value!r}. "
        "Correct predict.where in the spec."
    )


def _moment(kind: pa.DataType, text: str) -> pa.Scalar:
    """Return a date or time; without an offset it counts as UTC where the column has time zones."""
    if pa.types.is_timestamp(kind) and kind.tz is not None and not OFFSET.search(text):
        return pa.scalar(text).cast(pa.timestamp(kind.unit)).cast(kind)
    return pa.scalar(text).cast(kind)


def _require_columns(key: str, wanted: Iterable[str], schema: pa.Schema) -> None:
    for name in wanted:
        if schema.names.count(name) != 1:
            raise FilterError(
                f"predict.{key} must name columns of the file or of its scores; found {name}. "
                f"{did_you_mean(name, schema.names)} Correct the spec, or the file."
            )
