"""Files against their spec: refused as a whole, or taken in piece by piece, each row accepted or rejected."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from gauntlet.domain.errors import Final
from gauntlet.domain.identity import Ids, PredictIds, RowHash, TrainingIds, contents, in_ab_pool
from gauntlet.domain.intake_rejects import rejected
from gauntlet.domain.intake_rules import (
    ROW_ID,
    CategoryRule,
    KeyRule,
    Keys,
    NumberRule,
    Positions,
    RowIdRule,
    Rule,
)
from gauntlet.domain.mart import AB, REJECTED_SCHEMA, TRAINING, rows_schema
from gauntlet.domain.output_filter import added_columns
from gauntlet.domain.spec import Spec


class FileRefused(Final):
    """A file cannot be read by its spec at all."""


@dataclass(frozen=True)
class Piece:
    """The next rows of a file.

    `frame` has the accepted rows, typed, with the key (if any), the features, and in training the target; row_numbers,
    row_ids (int64) and positions in the batch are theirs, and in training their contents (digests of 16 bytes).
    `texts` holds the frame's columns of text in Arrow. `rejected` has REJECTED_SCHEMA.
    """

    frame: pd.DataFrame
    row_numbers: Ids
    row_ids: Ids
    positions: Positions
    contents: list[bytes] | None
    rejected: pa.RecordBatch
    texts: Mapping[str, pa.Array]

    def rows(self, spec: Spec, ab_share: float | None = None) -> pa.RecordBatch:
        """Return the accepted rows as `mart.rows_schema` has them; columns that the frame lacks are null.

        `ab_share` is the A/B pool's share of all rows, by which training rows are parted into pools; None: no pools.
        """
        pools = None
        if self.contents is not None and ab_share is not None:
            pools = np.where(in_ab_pool(self.contents, ab_share), AB, TRAINING)
        known = {"row_number": self.row_numbers, "row_id": self.row_ids, "pool": pools, **self.texts}
        schema, size = rows_schema(spec), len(self.frame)
        arrays = []
        for field in schema:
            values = known.get(field.name, self.frame.get(field.name))
            arrays.append(pa.nulls(size, field.type) if values is None else pa.array(values, type=field.type))
        return pa.RecordBatch.from_arrays(arrays, schema=schema)


class Intake:
    """Takes the pieces of one file, in order; what it keeps of each row for the next pieces is about ten bytes."""

    def __init__(self, schema: pa.Schema, spec: Spec, *, training: bool) -> None:
        """Raise FileRefused when the columns of the file are not what the spec needs."""
        names = list(schema.names)
        self._spec, self._training = spec, training
        self._rules = {rule.name: rule for rule in _rules(spec, names, training=training)}
        _require_file(schema, names, self._rules, spec, training=training)
        self._levels = {name: _Levels(values) for name, values in spec.categorical.items() if name in self._rules}
        self._hash, self._predict_ids, self._training_ids = RowHash(spec), PredictIds(), TrainingIds()

    def piece(self, batch: pa.RecordBatch, first: int) -> Piece:
        """Return what becomes of the next rows; `first` is the number of the first one, from 1 in a file."""
        cells = {name: rule.read(batch.column(name)) for name, rule in self._rules.items()}
        broken = [column.broken for column in cells.values() if column.broken is not None]
        if broken:
            wrong = np.logical_or.reduce(broken)
            positions = np.flatnonzero(~wrong)
            values = {name: column.values[positions] for name, column in cells.items()}
            left_out = rejected(batch, first, np.flatnonzero(wrong), cells)
        else:
            positions = np.arange(batch.num_rows)
            values = {name: column.values for name, column in cells.items()}
            left_out = pa.RecordBatch.from_pylist([], schema=REJECTED_SCHEMA)
        frame, texts = self._typed(values)
        digests = contents(frame, self._spec) if self._training else None
        ids = self._ids(values, digests)
        return Piece(frame, positions + first, ids, positions, digests, left_out, texts)

    def _typed(self, values: Mapping[str, Any]) -> tuple[pd.DataFrame, dict[str, pa.Array]]:
        columns: dict[str, Any] = {}
        texts: dict[str, pa.Array] = {}
        for name, own in values.items():
            if isinstance(own, Keys):
                texts[name] = own.texts
                columns[name] = pd.Series(own.texts, dtype="str")
            elif name in self._levels:
                columns[name], texts[name] = self._levels[name].texts(own)
            elif name != ROW_ID:
                columns[name] = own
        return pd.DataFrame(columns), texts

    def _ids(self, values: Mapping[str, Any], digests: list[bytes] | None) -> Ids:
        if ROW_ID in values:
            ids: Ids = values[ROW_ID]
            return ids
        if digests is not None:
            return self._training_ids.number(digests)
        key = values[self._spec.key].hashes if self._spec.key is not None else None
        return self._predict_ids.number(self._hash.rows(values, key))


class _Levels:
    """A column's categories, to be taken by position."""

    def __init__(self, categories: tuple[str, ...]) -> None:
        self._objects = np.array(categories, dtype=object)
        self._arrow = pa.array(categories, type=pa.string())

    def texts(self, codes: npt.NDArray[np.int32]) -> tuple[pd.Series, pa.Array]:
        """Return cells for pandas and for Arrow.

        In pandas they are Python's texts, few and shared: models look these up in a third of the time that it takes
        to make new ones of Arrow's.
        """
        dtype = pd.StringDtype("python", na_value=np.nan)
        return pd.Series(self._objects[codes], dtype=dtype), self._arrow.take(pa.array(codes))


def _rules(spec: Spec, names: list[str], *, training: bool) -> Iterator[Rule]:
    """Yield a rule for each column that is read, in the order of the frame."""
    if spec.key is not None:
        yield KeyRule(spec.key)
    if ROW_ID in names:
        yield RowIdRule()
    for column in (*spec.features, *((spec.target,) if training else ())):
        if column in spec.numeric:
            yield NumberRule(column, spec.numeric[column])
        else:
            yield CategoryRule(column, spec.categorical[column])


def _require_file(
    schema: pa.Schema, names: list[str], rules: Mapping[str, Rule], spec: Spec, *, training: bool
) -> None:
    """Raise FileRefused with every rule that the columns break."""
    wrong = [*_missing(names, rules), *_doubled(names), *([] if training else _reserved(names, spec))]
    for name, rule in rules.items():
        kinds = [schema.field(place).type for place in schema.get_all_field_indices(name)]
        holds = rule.refused(kinds[0]) if len(kinds) == 1 else None
        if holds:
            wrong.append(f"{name} must hold {holds}; found {str(kinds[0])[:100]}. Write the column with such a type.")
    if wrong:
        raise FileRefused(" ".join(wrong))


def _missing(names: list[str], rules: Mapping[str, Rule]) -> Iterator[str]:
    missing = [name for name in rules if name not in names]
    if missing:
        by_small = {name.lower().strip(): name for name in names}
        close = [by_small[name.lower()] for name in missing if name.lower() in by_small]
        remedy = f"Did you mean {', '.join(close)}? Names must match letter by letter." if close else "Add them."
        yield f"every column that the spec names must be there; missing: {', '.join(missing)}. {remedy}"


def _doubled(names: list[str]) -> Iterator[str]:
    doubled = [name for name, count in Counter(names).items() if count > 1]
    if doubled:
        yield f"names of columns must differ; doubled: {', '.join(doubled)}. Rename or drop the others."


def _reserved(names: list[str], spec: Spec) -> Iterator[str]:
    taken = [name for name in names if name in added_columns(spec) and name != ROW_ID]
    if taken:
        yield f"columns must not have the names that scores add; found {', '.join(taken)}. Rename or drop them."
