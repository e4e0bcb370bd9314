"""The rows of one spec, with their ids, their pools, and the JSON and Arrow forms they are served in."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa

from router.columns import NULL, Column, Positions, Slots, arrow, slots
from router.files import read_columns
from router.specs import DataError, ServedSpec

ID_BITS = 53


@dataclass(frozen=True)
class Dataset:
    """What is served of one spec.

    Attributes:
        row_ids: (rows,) the id of each row.
        training, ab: positions of the rows of each pool; every row is in exactly one.
    """

    spec: ServedSpec
    columns: tuple[Column, ...]
    row_ids: npt.NDArray[np.int64]
    training: Positions
    ab: Positions

    @property
    def names(self) -> list[str]:
        """The columns in the order they are served."""
        return [column.name for column in self.columns]

    @cached_property
    def driftable(self) -> dict[str, Column]:
        """The columns that can drift: all but the key."""
        return {column.name: column for column in self.columns if column.name != self.spec.key}

    @property
    def smaller_pool(self) -> int:
        """How many rows one request can ask for."""
        return min(len(self.training), len(self.ab))

    @cached_property
    def rows(self) -> "RowTable":
        """Every row as JSON."""
        return RowTable.build(self.columns)

    @cached_property
    def ids(self) -> npt.NDArray[np.void]:
        """Every row id as JSON, a comma after each."""
        return as_lines(slots(Column("row_id", self.row_ids.astype(np.float64), None, whole=True), b"", b","))

    @cached_property
    def arrays(self) -> dict[str, pa.Array]:
        """Every column as Arrow."""
        return {column.name: arrow(column) for column in self.columns}

    @cached_property
    def columns_json(self) -> bytes:
        """The names of the columns as JSON."""
        return orjson.dumps(self.names)

    def prepare(self) -> "Dataset":
        """Build everything that answers are made of."""
        _ = self.rows.lines, self.ids, self.arrays, self.columns_json, self.driftable
        return self


@dataclass(frozen=True)
class RowTable:
    """Rows as JSON, padded with spaces so that answering is copying.

    Attributes:
        matrix: bytes (rows, width); each row reads `[cell,cell,...],`, each cell padded to the width of its column.
        spans: where each column's slot begins and ends in `matrix`.
    """

    matrix: Slots
    spans: tuple[tuple[int, int], ...]

    @classmethod
    def build(cls, columns: tuple[Column, ...]) -> "RowTable":
        """The table of `columns`."""
        parts = [slots(column, *around(place, len(columns))) for place, column in enumerate(columns)]
        ends = np.cumsum([part.shape[1] for part in parts]).tolist()
        return cls(np.concatenate(parts, axis=1), tuple(zip([0, *ends], ends, strict=False)))

    @cached_property
    def lines(self) -> npt.NDArray[np.void]:
        """(rows,) the rows as one item each: gathering those is several times as fast as gathering bytes."""
        return as_lines(self.matrix)


def as_lines(matrix: Slots) -> npt.NDArray[np.void]:
    """A matrix of bytes (rows, width) as (rows,) items, without copying."""
    return np.ascontiguousarray(matrix).view(f"V{matrix.shape[1]}")[:, 0]


def around(place: int, columns: int) -> tuple[bytes, bytes]:
    """What stands before and after the slot of the column at `place`."""
    return b"[" if place == 0 else b"", b"]," if place == columns - 1 else b","


def load(spec: ServedSpec, path: Path, ab_pool_share: float) -> Dataset:
    """Read the rows at `path`, name them, and part them into pools.

    Raises:
        DataError: when the file cannot be served.
    """
    columns = tuple(read_columns(path, spec))
    contents = [hashlib.blake2b(row, digest_size=16).digest() for row in _canonical(columns, spec)]
    in_ab = np.array([int.from_bytes(digest[:8], "big") / 2**64 < ab_pool_share for digest in contents])
    training, ab = np.flatnonzero(~in_ab), np.flatnonzero(in_ab)
    if not len(training) or not len(ab):
        raise DataError(f"Both pools need rows; {path} gives {len(training)} for training and {len(ab)} for A/B")
    return Dataset(spec, columns, _row_ids(contents), training, ab).prepare()


def _row_ids(contents: list[bytes]) -> npt.NDArray[np.int64]:
    """A 53-bit hash of each row's content and its occurrence number; should two rows meet, the later one moves on."""
    seen: Counter[bytes] = Counter()
    taken: set[int] = set()
    ids = []
    for content in contents:
        row_id = _row_id(content, seen[content])
        while row_id in taken:
            row_id = (row_id + 1) % 2**ID_BITS
        seen[content] += 1
        taken.add(row_id)
        ids.append(row_id)
    return np.array(ids, dtype=np.int64)


def _row_id(content: bytes, occurrence: int) -> int:
    digest = hashlib.blake2b(content + occurrence.to_bytes(8, "big"), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> (64 - ID_BITS)


def _canonical(columns: tuple[Column, ...], spec: ServedSpec) -> Iterable[bytes]:
    """Each row's content as bytes: independent of the order of columns, of the key, and of how a number was written."""
    features = sorted((column for column in columns if column.name != spec.key), key=lambda column: column.name)
    return map(b"".join, zip(*(_tokens(column) for column in features), strict=True))


def _tokens(column: Column) -> Iterator[bytes]:
    """Each cell as bytes that no other cell has; one after another, since a list of all of them would take 25 MB."""
    # The code -1 finds the last token: the null.
    texts = [b"t" + len(text := value.encode()).to_bytes(4, "big") + text for value in column.texts] + [b"0"]
    if column.numbers is None:
        assert column.codes is not None  # noqa: S101
        return map(texts.__getitem__, column.codes.tolist())
    packed = (column.numbers + 0.0).astype("<f8").tobytes()  # -0.0 + 0.0 = 0.0
    other = np.isnan(column.numbers).tolist()
    codes = [NULL] * len(other) if column.codes is None else column.codes.tolist()
    return (
        texts[code] if no_number else b"n" + packed[8 * place : 8 * place + 8]
        for place, (no_number, code) in enumerate(zip(other, codes, strict=True))
    )
