"""The marts of one spec: the names of its tables, their columns, and the Arrow schemas of what is loaded into them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import pyarrow as pa

from gauntlet.domain.errors import Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from gauntlet.domain.spec import Spec

NAME_BYTES = 63
"""Postgres cuts longer names, and does not say so."""

INPUT, OUTPUT, PREDICTION, LATEST = "input", "output", "prediction", "latest"
PROBABILITY = "probability_"

BACKGROUND = (
    "input_uri", "input_sha256", "kept_uri", "data_time", "run_key", "model_rule", "scored_at", "code_version",
    "output_uri", "output_sha256", "model_name", "model_version", "run_id", "recipe", "model_sha256", "snapshot_uri",
    "snapshot_sha256", "decision_id", "verdict", "verdict_reason", "decided_at",
)  # fmt: skip
"""What stands behind a prediction, as the views name it."""

OWN_COLUMNS = ("batch_id", "row_number", "row_id", "pool", "prediction", *BACKGROUND)
"""Names that no column of a spec may have."""

REJECTED_SCHEMA = pa.schema(
    [
        pa.field("row_number", pa.int64(), nullable=False),
        pa.field("reasons", pa.string(), nullable=False),
        pa.field("row", pa.string(), nullable=False),
    ]
)


class MartError(Final):
    """The marts cannot hold what a spec describes, or what they were given."""


class Kind(StrEnum):
    """What a column of the marts holds."""

    WHOLE = "whole number"
    NUMBER = "number"
    TEXT = "text"


@dataclass(frozen=True)
class Column:
    """A column of a mart table; `comment` says what it holds."""

    name: str
    kind: Kind
    required: bool
    comment: str


ARROW = {Kind.WHOLE: pa.int64(), Kind.NUMBER: pa.float64(), Kind.TEXT: pa.string()}

BATCH_ID = Column("batch_id", Kind.WHOLE, True, "the file that the row came with: mart.batch.id")
ROW_NUMBER = Column("row_number", Kind.WHOLE, True, "the row's place in the file, from 1")
ROW_ID = Column("row_id", Kind.WHOLE, True, "names the row: from the file, or a 53-bit hash of content and occurrence")
POOL = Column("pool", Kind.TEXT, False, "training or ab (kept for tests, never trained on); empty in files to predict")


AB, TRAINING = "ab", "training"
"""The pools, as the column says them."""


def table(spec: str, suffix: str) -> str:
    """Return the name of a table or view of a spec: SPEC_SUFFIX, in the schema mart."""
    return f"{spec}_{suffix}"


def input_columns(spec: Spec) -> tuple[Column, ...]:
    """Return the columns of mart.SPEC_input less the batch's number: row number, id, pool, key if any, the spec's."""
    return (ROW_NUMBER, ROW_ID, POOL, *_key(spec), *_variables(spec))


def output_columns(spec: Spec) -> tuple[Column, ...]:
    """Return the columns of mart.SPEC_output less the batch's number: row number, id, prediction, probabilities."""
    return (ROW_NUMBER, ROW_ID, *_scores(spec))


def rows_schema(spec: Spec) -> pa.Schema:
    """Return the schema of accepted rows: `input_columns`, whole numbers int64, numbers float64, text string."""
    return _schema(input_columns(spec))


def scores_schema(spec: Spec) -> pa.Schema:
    """Return the schema of scores: prediction (float64, of a classification string), probability_CLASS float64."""
    return _schema(_scores(spec))


def require_names(spec: Spec) -> None:
    """Raise MartError when Postgres cannot hold the spec's names, or when a column has a name of our own."""
    wrong = [*_taken(spec), *_too_long(spec)]
    if wrong:
        raise MartError(f"spec {spec.name} fits no marts:\n  " + "\n  ".join(wrong))


def _key(spec: Spec) -> Iterator[Column]:
    if spec.key is not None:
        yield Column(spec.key, Kind.TEXT, False, "the key: names the thing that the row describes")


def _variables(spec: Spec) -> Iterator[Column]:
    told = {spec.target: "; the target, empty where a file to predict lacks it"}
    for name, bounds in spec.numeric.items():
        comment = f"a number from {bounds.min:g} to {bounds.max:g}{told.get(name, '')}"
        yield Column(name, Kind.NUMBER, False, comment)
    for name, categories in spec.categorical.items():
        yield Column(name, Kind.TEXT, False, f"one of {', '.join(categories)}{told.get(name, '')}")


def _scores(spec: Spec) -> Iterator[Column]:
    kind = Kind.TEXT if spec.classes else Kind.NUMBER
    yield Column("prediction", kind, True, f"what the model says {spec.target} is")
    for name in spec.classes:
        yield Column(f"{PROBABILITY}{name}", Kind.NUMBER, False, f"probability that {spec.target} is {name}, 0 to 1")


def _schema(columns: Iterable[Column]) -> pa.Schema:
    return pa.schema([pa.field(column.name, ARROW[column.kind], nullable=not column.required) for column in columns])


def _taken(spec: Spec) -> Iterator[str]:
    ours = {*OWN_COLUMNS, *(f"{PROBABILITY}{name}" for name in spec.classes)}
    for name in spec.columns:
        if name in ours:
            yield f"a column must not have a name of the marts' own; found {name}. Rename it in the files and the spec."
        if not name.isprintable():
            yield f"a column's name must be printable; found {name!r}. Rename it in the files and the spec."


def _too_long(spec: Spec) -> Iterator[str]:
    room = NAME_BYTES - len(table("", PREDICTION))
    if len(spec.name) > room:
        yield f"a spec's name must have at most {room} letters; found {len(spec.name)}. Rename the spec's file."
    for column in (*input_columns(spec), *output_columns(spec)):
        size = len(column.name.encode())
        if size > NAME_BYTES:
            remedy = "Shorten it in the files and the spec."
            yield f"a column's name must have at most {NAME_BYTES} bytes; found {column.name}: {size}. {remedy}"
