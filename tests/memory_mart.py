"""The marts in memory."""

import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from gauntlet.domain.mart import REJECTED_SCHEMA, MartError, require_names, rows_schema, scores_schema
from gauntlet.domain.spec import Spec
from gauntlet.jobs.mart_port import Batch, BatchKind, BatchStatus, InputFile, Loaded, NewBatch, Predictor
from gauntlet.jobs.ports import StoreError

SHAPES = ("numeric", "categorical")


@dataclass
class Pieces:
    """What was loaded of one batch."""

    rows: list[pa.RecordBatch] = field(default_factory=list)
    scores: list[pa.RecordBatch | None] = field(default_factory=list)
    rejected: list[pa.RecordBatch] = field(default_factory=list)


class MemoryLoading:
    """A batch that is being loaded; its pieces are handed over by `commit`."""

    def __init__(self, mart: "MemoryMart", batch: NewBatch) -> None:
        self._mart, self._batch, self._pieces = mart, batch, Pieces()
        self._began = mart.now()

    def add(self, rows: pa.RecordBatch, scores: pa.RecordBatch | None, rejected: pa.RecordBatch) -> None:
        spec = self._batch.spec
        self._pieces.rows.append(_fitting(rows, rows_schema(spec)))
        self._pieces.scores.append(None if scores is None else _fitting(scores, scores_schema(spec)))
        self._pieces.rejected.append(_fitting(rejected, REJECTED_SCHEMA))
        if scores is not None and len(rows) != len(scores):
            raise ValueError(f"each row must have its score; found {len(rows)} rows and {len(scores)} scores.")
        known = [value for piece in self._pieces.rows for value in piece.column("row_number").to_pylist()]
        if len(known) != len(set(known)):
            raise StoreError("the marts must take a batch's rows; found a row_number twice.")

    def commit(self, loaded: Loaded) -> Batch:
        if loaded.read != loaded.accepted + loaded.rejected:
            raise StoreError("the marts must take a batch's line; found rows that were neither accepted nor rejected.")
        return self._mart.commit(self._batch, loaded, self._pieces, self._began)


class MemoryMart:
    """Batches and their pieces in collections; `now` may be replaced."""

    def __init__(self) -> None:
        self.known: list[Batch] = []
        self.pieces: dict[int, Pieces] = {}
        self.predictors: dict[tuple[str, int], Predictor] = {}
        self.trainings: list[tuple[str, int, int]] = []
        self.arrivals: dict[tuple[str, BatchKind, str, str], datetime] = {}
        self.others: list[tuple[int, str, str]] = []
        self.forms: dict[str, list[Spec]] = {}
        self._locks: dict[str, threading.Lock] = {}
        self._inside = threading.RLock()

    def now(self) -> datetime:
        return datetime.now(UTC)

    def prepare(self, spec: Spec) -> None:
        require_names(spec)
        forms = self.forms.setdefault(spec.name, [])
        if any(_columns(form) == _columns(spec) for form in forms):
            return
        for form in forms:
            lost = _columns(form).items() - _columns(spec).items()
            if lost:
                raise MartError(f"spec {spec.name}: the marts' tables cannot follow; found changed: {sorted(lost)}.")
        forms.append(spec)

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        with self._inside:
            lock = self._locks.setdefault(name, threading.Lock())
        with lock:
            yield

    def done(self, spec: str, kind: BatchKind, sha256: str, version: int | None) -> Batch | None:
        wanted = (spec, kind, sha256, version, BatchStatus.DONE)
        return next((one for one in self.known if (*_of(one), one.status) == wanted), None)

    def seen(self, spec: str, kind: BatchKind, version: int | None) -> Collection[tuple[str, str]]:
        of_kind = [one for one in self.known if (one.spec, one.kind) == (spec, kind)]
        known = [one for one in of_kind if version in (None, one.version)]
        numbers = {one.id for one in known}
        others = {(uri, mark) for number, uri, mark in self.others if number in numbers}
        return {(one.uri, one.mark) for one in known} | others

    def also(self, batch: Batch, file: InputFile) -> None:
        self.others.append((batch.id, file.uri, file.mark))

    def announce(self, spec: str, kind: BatchKind, files: Sequence[InputFile], now: datetime) -> Sequence[InputFile]:
        past = now - timedelta(minutes=10)
        with self._inside:
            new = [one for one in files if self.arrivals.get((spec, kind, one.uri, one.mark), past) <= past]
            self.arrivals |= {(spec, kind, one.uri, one.mark): now for one in new}
        return new

    @contextmanager
    def load(self, batch: NewBatch) -> Iterator[MemoryLoading]:
        yield MemoryLoading(self, batch)

    def commit(self, batch: NewBatch, loaded: Loaded, pieces: Pieces, began: datetime) -> Batch:
        with self._inside:
            known = self.done(batch.spec.name, batch.kind, batch.sha256, batch.version)
            if known is not None:
                return known
            made = self._made(batch, BatchStatus.DONE, began)
            made = replace(made, **vars(loaded))
            self.known.append(made)
            self.pieces[made.id] = pieces
        return made

    def refuse(self, batch: NewBatch, reason: str) -> Batch:
        with self._inside:
            made = replace(self._made(batch, BatchStatus.REFUSED, self.now()), reason=reason)
            same = [one for one in self.known if one.status == made.status and _place(one) == _place(made)]
            for one in same:
                made = replace(made, id=one.id)
                self.known.remove(one)
            self.known.append(made)
        return made

    def describe(self, predictor: Predictor) -> None:
        with self._inside:
            known = self.predictors.setdefault((predictor.spec, predictor.version), predictor)
            added = {name: value for name, value in vars(predictor).items() if getattr(known, name) is None}
            self.predictors[predictor.spec, predictor.version] = replace(known, **added)

    def batch(self, number: int) -> Batch | None:
        return next((one for one in self.known if one.id == number), None)

    def batches(self, spec: str | None, kind: BatchKind | None, limit: int | None) -> Sequence[Batch]:
        found = [one for one in self.known if spec in (None, one.spec) and kind in (None, one.kind)]
        return sorted(found, key=lambda one: -one.id)[:limit]

    def trained_on(self, spec: str, version: int) -> Sequence[Batch]:
        numbers = {number for of, made, number in self.trainings if (of, made) == (spec, version)}
        return sorted((one for one in self.known if one.id in numbers), key=_age)

    def untrained(self, spec: str) -> Sequence[Batch]:
        used = {number for of, _, number in self.trainings if of == spec}
        wanted = (spec, BatchKind.TRAIN, BatchStatus.DONE)
        new = [one for one in self.known if (one.spec, one.kind, one.status) == wanted and one.id not in used]
        return sorted(new, key=_age)

    def record_training(self, spec: str, version: int, batches: Sequence[int]) -> None:
        with self._inside:
            self.trainings += [each for number in batches if (each := (spec, version, number)) not in self.trainings]

    def rows(self, batch: Batch) -> Iterator[pa.RecordBatch]:
        pieces = self.pieces.get(batch.id, Pieces())
        for rows, scores in zip(pieces.rows, pieces.scores, strict=True):
            both = [rows] if scores is None else [rows, scores]
            columns = [column for each in both for column in each.columns]
            fields = [one for each in both for one in each.schema]
            yield pa.RecordBatch.from_arrays(columns, schema=pa.schema(fields))

    def trace(self, batch: int, row_id: int) -> Mapping[str, Any] | None:
        known = self.batch(batch)
        if known is None or known.version is None:
            return None
        for piece in self.rows(known):
            for row in piece.to_pylist():
                if row["row_id"] == row_id:
                    row.pop("pool")
                    return {"batch_id": batch, **row, **self._background(known)}
        return None

    def rejected(self, batch: int) -> list[dict[str, Any]]:
        """The rejected rows of a batch."""
        return [row for piece in self.pieces[batch].rejected for row in piece.to_pylist()]

    def _background(self, batch: Batch) -> dict[str, Any]:
        model = self.predictors.get((batch.spec, batch.version or 0))
        found = {
            "input_uri": batch.uri,
            "input_sha256": batch.sha256,
            "kept_uri": batch.kept_uri,
            "data_time": batch.data_time,
            "run_key": batch.run_key,
            "model_rule": batch.rule,
            "scored_at": batch.ended_at,
            "code_version": batch.code_version,
            "output_uri": batch.output_uri,
            "output_sha256": batch.output_sha256,
            "model_version": batch.version,
        }
        names = {"model_name": "model", "verdict_reason": "reason"}
        same = ("run_id", "recipe", "model_sha256", "snapshot_uri", "snapshot_sha256", "decision_id", "verdict")
        for name in ("model_name", *same, "verdict_reason", "decided_at"):
            found[name] = getattr(model, names.get(name, name), None)
        return found

    def _made(self, batch: NewBatch, status: BatchStatus, began: datetime) -> Batch:
        return Batch(
            id=1 + max((one.id for one in self.known), default=0),
            spec=batch.spec.name, kind=batch.kind, status=status, uri=batch.file.uri, mark=batch.file.mark,
            size=batch.file.size, sha256=batch.sha256, kept_uri=batch.kept_uri, version=batch.version, rule=batch.rule,
            reason=None, read=0, accepted=0, rejected=0, written=0, output_uri=None, output_sha256=None,
            run_key=batch.run_key, code_version=batch.code_version, spec_json=batch.spec.to_json(),
            data_time=batch.file.time, started_at=began, ended_at=self.now(),
        )  # fmt: skip


def _of(batch: Batch) -> tuple[str, BatchKind, str, int | None]:
    return batch.spec, batch.kind, batch.sha256, batch.version


def _place(batch: Batch) -> tuple[Any, ...]:
    return *_of(batch), batch.uri, batch.mark


def _age(batch: Batch) -> tuple[datetime, int]:
    return batch.data_time, batch.id


def _columns(spec: Spec) -> dict[str, str]:
    named = {name: kind for kind in SHAPES for name in getattr(spec, kind)}
    return named | {"(key)": spec.key or ""} | {f"class {name}": "" for name in spec.classes}


def _fitting(piece: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    if piece.schema.names != schema.names:
        raise ValueError(f"the columns must be {schema.names}; found {piece.schema.names}.")
    piece = piece.cast(schema)
    for column, named in zip(piece.columns, schema, strict=True):
        if pa.types.is_floating(named.type) and not pc.all(pc.is_finite(column), min_count=0).as_py():
            raise MartError(f"the marts hold finite numbers; found others in {named.name}.")
        if not named.nullable and column.null_count:
            raise StoreError(f"the marts must take a batch's rows; found none in {named.name}.")
    return piece
