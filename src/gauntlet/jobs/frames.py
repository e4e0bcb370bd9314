"""Frames as parquet bytes."""

from io import BytesIO

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

ROW_ID = "row_id"


def to_parquet(frame: pd.DataFrame) -> bytes:
    """Return a frame as parquet bytes, its index `row_id` as the first column; equal frames give equal bytes."""
    table = pa.Table.from_pandas(frame.reset_index(), preserve_index=False).replace_schema_metadata(None)
    sink = BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()


def from_parquet(data: bytes) -> pd.DataFrame:
    """Return the frame that `to_parquet` wrote."""
    frame: pd.DataFrame = pq.read_table(BytesIO(data)).to_pandas()
    return frame.set_index(ROW_ID)


def row_ids(data: bytes) -> npt.NDArray[np.int64]:
    """Return only the row ids of a frame's parquet bytes, shape (rows,)."""
    return np.asarray(pq.read_table(BytesIO(data), columns=[ROW_ID])[ROW_ID], dtype=np.int64)
