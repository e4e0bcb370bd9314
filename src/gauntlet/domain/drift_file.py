"""The drift profile as a file: parquet, one row, a column of distinct values and counts for each variable."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from io import BytesIO
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from gauntlet.domain.drift_samples import CategoricalSample, NumericReference, Reference
from gauntlet.domain.errors import Final
from gauntlet.domain.spec import Spec, SpecError

FORMAT = "gauntlet-drift-profile"
VERSION = 2
READABLE = (1, VERSION)
HOLDS = "every value of the reference's columns; keep this file as safe as the rows themselves"

Content = tuple[Spec, dict[str, Reference], int, float]


class DriftFileError(Final):
    """Bytes are no drift profile that this version can read."""


def write(spec: Spec, samples: Mapping[str, Reference], rows: int, left_out: float) -> bytes:
    """Return a profile's file; equal profiles give equal bytes."""
    about = {
        "version": VERSION,
        "holds": HOLDS,
        "spec": spec.to_json(),
        "rows": rows,
        "left_out": left_out,
        "columns": [
            {"name": column, "kind": _kind(sample), "missing": sample.missing, "misfits": sample.misfits}
            for column, sample in samples.items()
        ],
    }
    columns: dict[str, pa.Array] = {}
    splits: dict[str, str] = {}
    for number, sample in enumerate(samples.values()):
        levels, counts = _levels(sample)
        columns[f"values_{number}"] = pa.array([pa.array(levels)], type=pa.list_(_arrow_type(sample)))
        columns[f"counts_{number}"] = pa.array([pa.array(counts)], type=pa.list_(pa.int64()))
        # Neighbours in a sorted column share their leading bytes: splitting the bytes lets them be compressed.
        splits[f"values_{number}.list.element"] = (
            "PLAIN" if isinstance(sample, CategoricalSample) else "BYTE_STREAM_SPLIT"
        )
    table = pa.table(columns).replace_schema_metadata({FORMAT: json.dumps(about)})
    sink = BytesIO()
    dictionaries = [f"counts_{number}.list.element" for number in range(len(samples))]
    pq.write_table(table, sink, compression="zstd", use_dictionary=dictionaries, column_encoding=splits)
    return sink.getvalue()


def read(data: bytes) -> Content:
    """Return what `write` was given, or an earlier version of it; raise DriftFileError for anything else."""
    try:
        table = pq.read_table(BytesIO(data))
        about = json.loads((table.schema.metadata or {})[FORMAT.encode()])
        version = about["version"]
        if version in READABLE:
            return _content(table, about)
    except (pa.ArrowException, OSError, LookupError, ValueError, TypeError, SpecError) as error:
        raise DriftFileError(
            f"a drift profile must be a file that gauntlet wrote; got {len(data):,} bytes that are not ({error}). "
            "Train a new model."
        ) from None
    raise DriftFileError(
        f"a drift profile must have version {' or '.join(map(str, READABLE))}; got version {version}. "
        "Use the gauntlet that wrote it, or train a new model."
    )


def _content(table: pa.Table, about: Mapping[str, Any]) -> Content:
    spec = Spec.from_json(about["spec"])
    samples: dict[str, Reference] = {}
    for number, (column, kind, missing, misfits) in enumerate(_described(about, spec)):
        values, counts = (table[f"{part}_{number}"].combine_chunks().values for part in ("values", "counts"))
        samples[column] = (
            NumericReference(np.repeat(values.to_numpy(), counts.to_numpy()), missing, misfits)
            if kind == "numeric"
            else CategoricalSample(dict(zip(values.to_pylist(), counts.to_pylist(), strict=True)), missing, misfits)
        )
    return spec, samples, about["rows"], about["left_out"]


def _described(about: Mapping[str, Any], spec: Spec) -> Iterator[tuple[str, str, int, int]]:
    """Yield each column's name, kind and counts; version 1 left the kind to the spec."""
    for column in about["columns"]:
        if about["version"] == 1:
            name, missing, misfits = column
            yield name, "numeric" if name in spec.numeric else "categorical", missing, misfits
        else:
            yield column["name"], column["kind"], column["missing"], column["misfits"]


def _kind(sample: Reference) -> str:
    return "numeric" if isinstance(sample, NumericReference) else "categorical"


def _levels(sample: Reference) -> tuple[Any, Any]:
    if isinstance(sample, CategoricalSample):
        return list(sample.counts), list(sample.counts.values())
    return np.unique(sample.values, return_counts=True)


def _arrow_type(sample: Reference) -> Any:
    if isinstance(sample, CategoricalSample):
        return pa.string()
    return pa.int64() if sample.values.dtype == np.int64 else pa.float64()
