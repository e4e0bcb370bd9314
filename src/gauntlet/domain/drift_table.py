"""A table of any kind: a pandas DataFrame, a pyarrow Table, a numpy structured array or arrays by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

AnyTable = Any
"""pandas.DataFrame, pyarrow.Table, a structured numpy.ndarray, or a mapping of names to arrays of one length."""


@dataclass(frozen=True)
class Table:
    """The names of a table's columns in order, doubled ones twice; how many rows it has; and the table."""

    names: tuple[str, ...]
    rows: int
    data: AnyTable

    @classmethod
    def of(cls, data: AnyTable) -> Table:
        """Look at a table; raises TypeError for anything else and ValueError for arrays of several lengths."""
        if isinstance(data, pd.DataFrame):
            return cls(tuple(str(name) for name in data.columns), len(data), data)
        if isinstance(data, pa.Table):
            return cls(tuple(data.column_names), data.num_rows, data)
        if isinstance(data, np.ndarray) and data.dtype.names is not None:
            return cls(tuple(data.dtype.names), len(data), data)
        if isinstance(data, Mapping):
            lengths = {len(values) for values in data.values()}
            if len(lengths) > 1:
                raise ValueError(f"columns must be of one length; got {', '.join(map(str, sorted(lengths)))} rows.")
            return cls(tuple(str(name) for name in data), max(lengths, default=0), data)
        raise TypeError(
            f"a table must be a pandas DataFrame, a pyarrow Table, a structured numpy array or a mapping of names to "
            f"arrays; got {type(data).__name__}."
        )

    def column(self, name: str) -> pd.Series[Any]:
        """Return a column that is there once, its values shared where its kind of table allows."""
        position = self.names.index(name)
        if isinstance(self.data, pd.DataFrame):
            return self.data.iloc[:, position]
        if isinstance(self.data, pa.Table):
            return _from_arrow(self.data.column(position))
        return _from_array(np.asarray(self.data[name]))

    def frame(self, names: tuple[str, ...]) -> pd.DataFrame:
        """Return some of the columns as a frame."""
        if isinstance(self.data, pd.DataFrame):
            part = self.data.iloc[:, [self.names.index(name) for name in names]]
            return part.set_axis(list(names), axis=1)
        return pd.DataFrame({name: self.column(name) for name in names}, index=pd.RangeIndex(self.rows), copy=False)


def _from_arrow(column: pa.ChunkedArray) -> pd.Series[Any]:
    """Return an Arrow column; whole numbers with gaps stay whole, which as floats they would not."""
    if pa.types.is_integer(column.type) and column.null_count:
        return pd.Series(pd.array(column, dtype=pd.ArrowDtype(column.type)))
    series: pd.Series[Any] = column.to_pandas()
    return series


def _from_array(array: Any) -> pd.Series[Any]:
    """Return a numpy column; bytes, as numpy reads text from files, are text."""
    if array.dtype.kind == "S":
        return pd.Series(np.char.decode(array, "utf-8", "replace"))
    return pd.Series(array, copy=False)
