"""Sampling rows and writing them down: pandas "split" JSON, or an Arrow stream."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from router import drift
from router.columns import Column, Positions, Slots, arrow, rewritten
from router.dataset import Dataset, around
from router.traffic import TrafficConfig

ARROW = "application/vnd.apache.arrow.stream"


@dataclass(frozen=True)
class Sample:
    """Rows of one data set, and those of their columns that have drifted.

    Attributes:
        positions: (n,) which rows, in the order they are answered.
        drifted: by place, the columns that differ from the data set's.
    """

    dataset: Dataset
    positions: Positions
    drifted: dict[int, Column]


def sample(dataset: Dataset, pool: Positions, config: TrafficConfig, rng: np.random.Generator) -> Sample:
    """`config.data_size` rows of `pool` without replacement, drifted as `config` says.

    The rows are drawn first and the columns drift in their own order: with one seed the rows are the same, whatever
    drifts.
    """
    positions = pool[rng.choice(len(pool), config.data_size, replace=False)]
    changed = {}
    for place, whole in enumerate(dataset.columns):
        if whole.name in config.drift_cols or whole.name in config.drift:
            column = whole.take(positions)
            if whole.name in config.drift_cols:
                column = drift.standard(column, whole, rng)
            if whole.name in config.drift:
                column = drift.drifted(config.drift[whole.name], column, whole, rng)
            changed[place] = column
    return Sample(dataset, positions, changed)


def split_json(sampled: Sample, start: int, stop: int) -> bytes:
    """The rows from `start` to `stop` as {"index", "columns", "data"}."""
    dataset, positions = sampled.dataset, sampled.positions[start:stop]
    ids = dataset.ids.take(positions).view(np.uint8)
    if sampled.drifted and stop > start:
        rows = np.concatenate(_row_parts(sampled, start, stop), axis=1).ravel()
    else:
        rows = dataset.rows.lines.take(positions).view(np.uint8)
    # Joined as they are, so that the rows are copied once; a comma stands after the last of them, too.
    between = b'],"columns":' + dataset.columns_json + b',"data":['
    return b"".join((b'{"index":[', ids[:-1].data, between, rows[:-1].data, b"]}"))


def _row_parts(sampled: Sample, start: int, stop: int) -> list[Slots]:
    """The rows in pieces side by side, bytes (rows, width): drifted columns anew, what lies between as it is."""
    dataset, table, positions = sampled.dataset, sampled.dataset.rows, sampled.positions[start:stop]
    matrix = table.lines.take(positions).view(np.uint8).reshape(stop - start, -1)
    parts, begin = [], 0
    for place, column in sorted(sampled.drifted.items()):
        left, right = table.spans[place]
        part = column if len(column) == stop - start else column.take(np.arange(start, stop))
        changed = _changed(part, dataset.columns[place].take(positions))
        ends = around(place, len(dataset.columns))
        parts += [matrix[:, begin:left], rewritten(matrix[:, left:right], part, changed, *ends)]
        begin = right
    return [*parts, matrix[:, begin:]]


def _changed(part: Column, original: Column) -> Positions | None:
    """Which cells are written otherwise than before; None when all may be."""
    if part.numbers is None or original.numbers is None or part.codes is not None or part.whole != original.whole:
        return None
    return np.flatnonzero(part.numbers != original.numbers)


def arrow_stream(sampled: Sample, config: TrafficConfig, arms: pa.Array | None = None) -> bytes:
    """The rows as one Arrow stream: row_id, then (with `arms`) arm, then the columns; the traffic in its metadata."""
    dataset = sampled.dataset
    arrays = [pa.array(dataset.row_ids[sampled.positions])] + ([] if arms is None else [arms])
    for place, column in enumerate(dataset.columns):
        changed = sampled.drifted.get(place)
        arrays.append(arrow(changed) if changed else dataset.arrays[column.name].take(pa.array(sampled.positions)))
    names = ["row_id", *([] if arms is None else ["arm"]), *dataset.names]
    table = pa.RecordBatch.from_arrays(arrays, names)
    table = table.replace_schema_metadata({"traffic": config.to_json()})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_batch(table)
    return bytes(sink.getvalue())


def arms_of(rows: int, first: int) -> pa.Array:
    """The arm of each row: "a" for the `first` rows, "b" for the others."""
    return pa.array(np.where(np.arange(rows) < first, "a", "b"))
