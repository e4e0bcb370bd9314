"""The drift profile as a file: parquet, one row, a column of distinct values and counts for each variable."""

from __future__ import annotations

import json
from collections.abc import Mapping
from io import BytesIO
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from gauntlet.domain.drift_samples import CategoricalSample, NumericSample
from gauntlet.domain.errors import Final
from gauntlet.domain.spec import Spec

FORMAT = "gauntlet-drift-profile"
VERSION = 1

Sample = NumericSample | CategoricalSample
Content = tuple[Spec, dict[str, Sample], int, float]


class DriftFileError(Final):
    """Bytes are no drift profile that this version can read."""


def write(spec: Spec, samples: Mapping[str, Sample], rows: int, left_out: float) -> bytes:
    """Return a profile's file; equal profiles give equal bytes."""
    about = {
        "version": VERSION,
        "spec": spec.to_json(),
        "rows": rows,
        "left_out": left_out,
        "columns": [[column, sample.missing, sample.misfits] for column, sample in samples.items()],
    }
    columns: dict[str, pa.Array] = {}
    splits: dict[str, str] = {}
    for number, sample in enumerate(samples.values()):
        levels, counts = (
            (sample.values, sample.counts)
            if isinstance(sample, NumericSample)
            else (list(sample.counts), list(sample.counts.values()))
        )
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
    """Return what `write` was given; raise DriftFileError for anything else."""
    try:
        table = pq.read_table(BytesIO(data))
        about = json.loads((table.schema.metadata or {})[FORMAT.encode()])
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        raise DriftFileError(
            f"a drift profile must be a file that gauntlet wrote; got {len(data):,} bytes that are not ({error}). "
            "Train a new model."
        ) from None
    if about["version"] != VERSION:
        raise DriftFileError(
            f"a drift profile must have version {VERSION}; got version {about['version']}. "
            "Use the gauntlet that wrote it, or train a new model."
        )
    spec = Spec.from_json(about["spec"])
    samples: dict[str, Sample] = {}
    for number, (column, missing, misfits) in enumerate(about["columns"]):
        values, counts = (table[f"{kind}_{number}"].combine_chunks().values for kind in ("values", "counts"))
        samples[column] = (
            NumericSample(values.to_numpy(), counts.to_numpy(), missing, misfits)
            if column in spec.numeric
            else CategoricalSample(dict(zip(values.to_pylist(), counts.to_pylist(), strict=True)), missing, misfits)
        )
    return spec, samples, about["rows"], about["left_out"]


def _arrow_type(sample: Sample) -> Any:
    if isinstance(sample, CategoricalSample):
        return pa.string()
    return pa.int64() if sample.values.dtype == np.int64 else pa.float64()
