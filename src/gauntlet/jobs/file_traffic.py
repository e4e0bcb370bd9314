"""Rows to train on and to test on, from the ready files of training batches instead of the router.

No row of any batch's A/B share is trained on, neither by its id nor by its content.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow.parquet as pq

from gauntlet.domain.columns import Mask
from gauntlet.domain.identity import contents, in_ab_pool, mixed
from gauntlet.domain.mart import AB
from gauntlet.domain.spec import Spec
from gauntlet.jobs.frames import ROW_ID
from gauntlet.jobs.mart_port import Batch
from gauntlet.jobs.ports import ArmSample, ObjectStore, Sample, Stored

POOL = "pool"
SHARE = b"ab_pool_share"
COLUMNS = b"columns"
LISTED = 40
"""How many batches a sample names, the newest: MLflow takes 6,000 letters."""

Hashes = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class ReadyFile:
    """A training batch: its number, the content it was made of, and the file of its rows."""

    batch: int
    input_sha256: str
    uri: str
    sha256: str

    @classmethod
    def of(cls, batch: Batch) -> "ReadyFile":
        """Return what a batch that is done wrote."""
        return cls(batch.id, batch.sha256, batch.output_uri or "", batch.output_sha256 or "")

    def to_dict(self) -> dict[str, Any]:
        """Return the record as JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class _Rows:
    """The rows of one ready file: `in_ab` is what was decided when it was made, for the share `share`."""

    frame: pd.DataFrame
    in_ab: Mask
    share: float
    alike: bool
    """Whether the contents were hashed over the columns that the spec has now."""


class FileTraffic:
    """Traffic from ready files, oldest first; `share` is that of the A/B pool now."""

    def __init__(self, store: ObjectStore, spec: Spec, files: Sequence[ReadyFile], share: float) -> None:
        self._store, self._spec, self._files, self._share = store, spec, tuple(files), share

    def training_rows(self, spec: str, drift_cols: Sequence[str]) -> Sample:  # noqa: ARG002 - files do not drift
        """Rows of the training pool of every file, each id once: the newest file has it right."""
        return Sample(self._training(self._files), json.dumps(_made_of(self._files)))

    def test_rows(self, spec: str, drift_cols: Sequence[str]) -> ArmSample:  # noqa: ARG002 - the same
        """Rows of the newest file's A/B pool, half of them in each arm."""
        newest = self._files[-1]
        rows = self._read(newest)
        chosen = rows.in_ab if rows.alike else rows.in_ab & self._hashed(rows.frame, max(self._share, rows.share))
        in_b = _second_half(rows.frame.index[chosen].to_numpy(dtype=np.int64))
        frame = rows.frame[chosen]
        return ArmSample(frame[~in_b], frame[in_b], json.dumps({"a": 0.5, "b": 0.5, **_made_of([newest])}))

    def new_rows(self, known: Sequence[ReadyFile]) -> int:
        """How many rows would be trained on that `known`, a part of the files, would not have given."""
        if len(known) == len(self._files):
            return 0
        return len(np.setdiff1d(_hashes(self._training(self._files)), _hashes(self._training(known))))

    def _training(self, files: Sequence[ReadyFile]) -> pd.DataFrame:
        kept: list[_Rows] = []
        tested: list[npt.NDArray[np.int64]] = []
        for rows in map(self._read, files):
            tested.append(rows.frame.index[rows.in_ab].to_numpy(dtype=np.int64))
            kept.append(_Rows(rows.frame[~rows.in_ab], rows.in_ab[~rows.in_ab], rows.share, rows.alike))
        widest = max([self._share, *(rows.share for rows in kept)])
        frames = [self._outside(rows, widest) for rows in kept]
        if not frames:
            return _empty(self._spec)
        frame = pd.concat(frames)
        frame = frame[~frame.index.duplicated(keep="last")]
        return frame[~frame.index.isin(np.concatenate(tested))]

    def _outside(self, rows: _Rows, widest: float) -> pd.DataFrame:
        """The rows whose content lies outside the widest A/B share that any file was parted by."""
        if rows.alike and rows.share == widest:
            return rows.frame
        return rows.frame[~self._hashed(rows.frame, widest)]

    def _hashed(self, frame: pd.DataFrame, share: float) -> Mask:
        """Which contents lie in an A/B share; a row with a category that the spec no longer has lies in none."""
        known = [frame[name].isin(list(levels)).to_numpy(dtype=bool) for name, levels in self._spec.categorical.items()]
        found: Mask = np.logical_and.reduce([np.ones(len(frame), dtype=bool), *known])
        found[found] = in_ab_pool(contents(frame[found], self._spec), share)
        return found

    def _read(self, file: ReadyFile) -> _Rows:
        with pq.ParquetFile(BytesIO(self._store.get(Stored(file.uri, file.sha256)))) as parquet:
            metadata: Mapping[bytes, bytes] = parquet.schema_arrow.metadata or {}
            table = parquet.read(columns=[ROW_ID, POOL, *self._spec.columns])
        frame: pd.DataFrame = table.to_pandas().set_index(ROW_ID)
        alike = json.loads(metadata[COLUMNS]) == hashed_columns(self._spec)
        in_ab = (frame.pop(POOL) == AB).to_numpy(dtype=bool)
        return _Rows(frame[list(self._spec.columns)], in_ab, float(metadata[SHARE]), alike)


def ready_metadata(spec: Spec, share: float) -> dict[bytes, bytes]:
    """What a ready file says of itself: how its rows were parted."""
    return {SHARE: repr(share).encode(), COLUMNS: json.dumps(hashed_columns(spec)).encode()}


def hashed_columns(spec: Spec) -> list[list[str]]:
    """Return what a row's content is made of."""
    return [sorted(spec.numeric), sorted(spec.categorical)]


def usable(batch: Batch, spec: Spec) -> bool:
    """Say whether a batch, taken in by the spec as it was, has every column that the spec has now."""
    was = Spec.from_json(batch.spec_json)
    kept = spec.numeric.keys() <= was.numeric.keys() and spec.categorical.keys() <= was.categorical.keys()
    return kept and spec.key in (None, was.key)


def _made_of(files: Sequence[ReadyFile]) -> dict[str, Any]:
    """What rows were made of: how many batches, the newest of them by number and content, and a hash of all."""
    lines = [f"{file.batch} {file.input_sha256} {file.sha256}" for file in files]
    newest = {str(file.batch): file.input_sha256 for file in files[-LISTED:]}
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    return {"kind": "files", "batches": len(files), "input_sha256": newest, "sha256": digest}


def _second_half(row_ids: npt.NDArray[np.int64]) -> Mask:
    """The half of the rows whose mixed ids are the greater ones: no pattern of the ids is one of the arms."""
    order = np.argsort(mixed(row_ids.astype(np.uint64)), kind="stable")
    in_b = np.zeros(len(row_ids), dtype=bool)
    in_b[order[len(order) // 2 :]] = True
    return in_b


def _hashes(frame: pd.DataFrame) -> Hashes:
    """A hash of each row, its id included."""
    return np.asarray(pd.util.hash_pandas_object(frame, index=True, categorize=True), dtype=np.uint64)


def _empty(spec: Spec) -> pd.DataFrame:
    values = {name: pd.Series([], dtype="float64" if name in spec.numeric else "str") for name in spec.columns}
    return pd.DataFrame(values, index=pd.Index([], dtype="int64", name=ROW_ID))


def ready_files(given: Sequence[Mapping[str, Any]]) -> Iterator[ReadyFile]:
    """Return the records that `to_dict` wrote."""
    return (ReadyFile(**each) for each in given)
