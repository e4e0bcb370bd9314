"""Specs, batches and pieces that the tests load into marts."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from gauntlet.domain.mart import REJECTED_SCHEMA, rows_schema, scores_schema
from gauntlet.domain.spec import Spec
from gauntlet.jobs.mart_port import Batch, BatchKind, InputFile, Loaded, Mart, NewBatch, Predictor

DAY = datetime(2026, 11, 20, tzinfo=UTC)
REJECTED = pa.RecordBatch.from_pydict(
    {"row_number": [3], "reasons": ["size must lie in 0..10"], "row": ['{"size": 11}']}, schema=REJECTED_SCHEMA
)


def make_spec(name: str, *, target: str = "price", extra: bool = False, **changes: Any) -> Spec:
    """A spec with a key, numbers and a category; a column may be left out (None) or be of another kind."""
    key = changes.get("key", "item")
    numeric = {"price": (0, 100), "size": (0, 10)} | ({"extra": (0, 9)} if extra else {})
    categorical = {"kind": ["good", "bad"]}
    if "kind" in changes:
        del categorical["kind"]
    if "size" in changes:
        del numeric["size"]
        categorical["size"] = ["S", "L"]
    lines = [
        'title = "Price of a thing"',
        'data = "things.csv"',
        f'target = "{target}"',
        f'task = "{"regression" if target == "price" else "classification"}"',
        f'metric = "{"mae" if target == "price" else "log_loss"}"',
        'candidates = ["hist_gradient_boosting"]',
        *([f'key = "{key}"'] if key else []),
        "[numeric]",
        *(f"{column} = {{ min = {low}, max = {high} }}" for column, (low, high) in numeric.items()),
        "[categorical]",
        *(f"{column} = {values}" for column, values in categorical.items()),
    ]
    return Spec.parse(name, "\n".join(lines))


def input_file(name: str, time: datetime = DAY) -> InputFile:
    return InputFile(f"s3://data/data/things/predict/{name}.parquet", f"data/things/predict/{name}.parquet", 10,
                     f"mark {name}", time)  # fmt: skip


def new_batch(spec: Spec, kind: BatchKind, name: str, *, version: int | None = None, time: datetime = DAY) -> NewBatch:
    sha256 = hashlib.sha256(name.encode()).hexdigest()
    rule = None if version is None else "production"
    kept = f"s3://data/inputs/{spec.name}/{sha256}.parquet"
    return NewBatch(spec, kind, input_file(name, time), sha256, kept, version, rule, "run", "0.1.0")


def columns(spec: Spec, numbers: Sequence[int]) -> list[dict[str, Any]]:
    """Rows by their numbers; ids from 1001."""
    return [{name: _value(spec, name, number) for name in rows_schema(spec).names} for number in numbers]


def piece(spec: Spec, first: int, count: int, pool: str | None = None) -> pa.RecordBatch:
    rows = [{**row, "pool": pool} for row in columns(spec, range(first, first + count))]
    return pa.RecordBatch.from_pylist(rows, schema=rows_schema(spec))


def scores(spec: Spec, count: int, first: float = 0.0) -> pa.RecordBatch:
    """Predictions: the first as it is given, then 0.5, 1.0 and so on."""
    return pa.RecordBatch.from_pydict(
        {"prediction": [first, *(0.5 * place for place in range(1, count))][:count]}, schema=scores_schema(spec)
    )


def done(accepted: int, rejected: int = 0) -> Loaded:
    return Loaded(
        accepted + rejected, accepted, rejected, accepted, "s3://data/data/things/scores/v1/a.parquet", "b" * 64
    )


def load(mart: Mart, batch: NewBatch, count: int) -> Batch:
    """Load a batch of so many rows."""
    with mart.load(batch) as loading:
        found = None if batch.kind is BatchKind.TRAIN else scores(batch.spec, count)
        loading.add(piece(batch.spec, 1, count), found, REJECTED.slice(0, 0))
        return loading.commit(done(count))


def as_rows(mart: Mart, batch: Batch) -> list[dict[str, Any]]:
    return [row for each in mart.rows(batch) for row in each.to_pylist()]


def predictor(spec: Spec, version: int, **decided: Any) -> Predictor:
    nothing = dict.fromkeys(("decision_id", "verdict", "reason", "decided_at"))
    return Predictor(
        spec.name, version, f"Model-{spec.name}", f"run{version}", "ridge", "m" * 64, "s3://data/snapshots/a.parquet",
        "s" * 64, **{**nothing, **decided},
    )  # fmt: skip


def _value(spec: Spec, name: str, number: int) -> Any:
    if name in ("row_number", "row_id"):
        return number if name == "row_number" else 1000 + number
    if name in (spec.target, "pool"):
        return None
    if name == spec.key:
        return f"thing {number}"
    return float(number) if name in spec.numeric else spec.categorical[name][0]
