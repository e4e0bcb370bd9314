"""What the jobs need of the marts: batches, their rows, and who predicted them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime

    import pyarrow as pa

    from gauntlet.domain.spec import Spec


class BatchKind(StrEnum):
    """What a file was read for."""

    TRAIN = "train"
    PREDICT = "predict"


class BatchStatus(StrEnum):
    """What became of a file."""

    DONE = "done"
    REFUSED = "refused"


@dataclass(frozen=True)
class InputFile:
    """A file as its folder lists it: `mark` changes whenever it is written; `time` is what data intervals go by."""

    uri: str
    key: str
    size: int
    mark: str
    time: datetime


@dataclass(frozen=True)
class NewBatch:
    """What is known of a batch before its first row is loaded.

    `kept_uri` is an unchangeable copy of the file, named by its content; `version` and `rule` say which model scores,
    and how it was chosen (None for training).
    """

    spec: Spec
    kind: BatchKind
    file: InputFile
    sha256: str
    kept_uri: str
    version: int | None
    rule: str | None
    run_key: str
    code_version: str


@dataclass(frozen=True)
class Loaded:
    """What is known of a batch when its last row is loaded.

    `output_*` is the file that was written of it: the scores, or the rows ready for training; `written` its rows.
    """

    read: int
    accepted: int
    rejected: int
    written: int
    output_uri: str
    output_sha256: str


@dataclass(frozen=True)
class Batch:
    """A file that was taken in, as mart.batch has it; of one that was refused only `reason` is known."""

    id: int
    spec: str
    kind: BatchKind
    status: BatchStatus
    uri: str
    mark: str
    size: int
    sha256: str
    kept_uri: str | None
    version: int | None
    rule: str | None
    reason: str | None
    read: int
    accepted: int
    rejected: int
    written: int
    output_uri: str | None
    output_sha256: str | None
    run_key: str
    code_version: str
    spec_json: str
    data_time: datetime
    started_at: datetime
    ended_at: datetime


@dataclass(frozen=True)
class Predictor:
    """A version that predicts, and what the ledger knows of it: so that the marts tell all of it by themselves."""

    spec: str
    version: int
    model: str
    run_id: str
    recipe: str
    model_sha256: str
    snapshot_uri: str
    snapshot_sha256: str
    decision_id: int | None
    verdict: str | None
    reason: str | None
    decided_at: datetime | None


class Loading(Protocol):
    """A batch that is being loaded, in one transaction; nothing of it is seen before `commit`."""

    def add(self, rows: pa.RecordBatch, scores: pa.RecordBatch | None, rejected: pa.RecordBatch) -> None:
        """Add a piece: accepted rows, their scores in the same order (none for training), and rejected rows.

        The columns are those that `domain.mart` names, all but the batch's number, which is filled in here.
        """
        ...

    def commit(self, loaded: Loaded) -> Batch:
        """End the transaction; from now on the batch is done."""
        ...


class Mart(Protocol):
    """The marts (Postgres, schema mart)."""

    def prepare(self, spec: Spec) -> None:
        """Bring the tables and views up to date; MartError when the spec changed in a way that tables cannot follow."""
        ...

    def lock(self, name: str) -> AbstractContextManager[None]:
        """Hold an advisory lock of the marts' database until the block or the process ends."""
        ...

    def done(self, spec: str, kind: BatchKind, sha256: str, version: int | None) -> Batch | None:
        """The batch that was made of a content by a version (None: for training)."""
        ...

    def seen(self, spec: str, kind: BatchKind, version: int | None) -> Collection[tuple[str, str]]:
        """The (uri, mark) of every file that was done or refused before; by this version only, unless it is None."""
        ...

    def also(self, batch: Batch, file: InputFile) -> None:
        """Record that a file, or the same one written again, has the content of a batch that is done: it is `seen`."""
        ...

    def announce(self, spec: str, kind: BatchKind, files: Sequence[InputFile], now: datetime) -> Sequence[InputFile]:
        """Those of the files that nobody has announced, or more than ten minutes ago; they count as announced now."""
        ...

    def load(self, batch: NewBatch) -> AbstractContextManager[Loading]:
        """Begin to load a batch; what is not committed in the block is undone."""
        ...

    def refuse(self, batch: NewBatch, reason: str) -> Batch:
        """Record that a file cannot be taken in, and why."""
        ...

    def describe(self, predictor: Predictor) -> None:
        """Record who predicts; a second time only what was not known before changes."""
        ...

    def batch(self, number: int) -> Batch | None:
        """A batch by its number."""
        ...

    def batches(self, spec: str | None, kind: BatchKind | None, limit: int | None) -> Sequence[Batch]:
        """Batches, newest first."""
        ...

    def trained_on(self, spec: str, version: int) -> Sequence[Batch]:
        """The training batches that went into a version."""
        ...

    def untrained(self, spec: str) -> Sequence[Batch]:
        """The training batches (done) that no version has been trained on, oldest data first."""
        ...

    def record_training(self, spec: str, version: int, batches: Sequence[int]) -> None:
        """Record which batches went into a version; a second time nothing happens."""
        ...

    def rows(self, batch: Batch) -> Iterator[pa.RecordBatch]:
        """The batch's rows with their scores in the file's order: row_number, row_id, the input, the output."""
        ...

    def trace(self, batch: int, row_id: int) -> Mapping[str, Any] | None:
        """One row of the view that joins a prediction to everything behind it."""
        ...
