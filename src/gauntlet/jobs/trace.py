"""The chain behind one row: its values, the file, the batch, the model, what that was trained on, and the verdict."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from gauntlet.domain.intake import Intake
from gauntlet.domain.mart import AB
from gauntlet.domain.spec import Spec
from gauntlet.jobs.audit_port import AuditError, AuditPorts, Check, kept_file, require_batch, require_predictor
from gauntlet.jobs.frames import row_ids
from gauntlet.jobs.inbox import fetched, opened_parquet
from gauntlet.jobs.mart_port import BatchKind
from gauntlet.jobs.ports import StoreError
from gauntlet.jobs.run import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import BinaryIO

    from gauntlet.jobs.mart_port import Batch
    from gauntlet.jobs.ports import Entry, Version

ENTRIES = 1_000
"""How many lines of the ledger are looked through for the verdict on a version."""

STEP = 16_384
"""So many rows of the kept file are in memory at once."""

RESTORE = "Restore it from a backup."


@dataclass(frozen=True)
class Traced:
    """The chain (JSON values, from the row to the verdict) and what was checked on the way."""

    chain: Mapping[str, Any]
    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """Say whether every check came out right."""
        return all(check.ok for check in self.checks)


@dataclass(frozen=True)
class RowName:
    """A row of a batch, by its id or by its number in the file."""

    row_id: int | None = None
    row_number: int | None = None


def trace(ports: AuditPorts, number: int, name: RowName, scratch: Path) -> Traced:
    """Return everything behind a row of a batch; AuditError when there is no such batch or row."""
    batch = require_batch(ports.mart, number)
    row = _row(ports, batch, name)
    found, checks = _in_kept_file(ports, batch, row, scratch)
    chain: dict[str, Any] = {
        "row": {key: row[key] for key in ("row_number", "row_id", "pool") if row.get(key) is not None},
        "input": {"mart": _values(row, batch), "file": found},
        "file": _file(batch),
        "batch": _batch(batch),
    }
    if batch.kind is BatchKind.TRAIN:
        chain["trained"], more = _trained(ports, batch, row)
    else:
        more = _scored(ports, batch, row, chain)
    return Traced(_plain(chain), (*checks, *more))


def _row(ports: AuditPorts, batch: Batch, name: RowName) -> Mapping[str, Any]:
    row = ports.audit.input_row(batch, name.row_id, name.row_number)
    if row is not None:
        return row
    if name.row_number is None:
        raise AuditError(
            f"a row must be in its batch; batch {batch.id} has no accepted row with the id {name.row_id}. Its ids "
            f"stand in mart.{batch.spec}_input; --row-number takes the place in the file, 1 to {batch.read}."
        )
    reasons = ports.audit.rejected_row(batch, name.row_number)
    if reasons is not None:
        raise AuditError(
            f"a row must have been accepted to be traced; row {name.row_number} of batch {batch.id} was rejected: "
            f"{reasons}. It stands in mart.rejected_row, and nothing was made of it."
        )
    if name.row_number <= batch.read:
        raise AuditError(
            f"a row that was read must be in the marts; row {name.row_number} of batch {batch.id} is neither among the "
            "accepted nor among the rejected. Somebody has deleted it: gauntlet verify tells what else is missing."
        )
    raise AuditError(
        f"a row must be in its batch; batch {batch.id} has the rows 1 to {batch.read}, and none at {name.row_number}. "
        "Correct the number."
    )


def _in_kept_file(
    ports: AuditPorts, batch: Batch, row: Mapping[str, Any], scratch: Path
) -> tuple[Mapping[str, Any] | None, list[Check]]:
    """Return the row as it stands in the kept copy of the file, and whether copy and row are what the marts say."""
    kept, same = "the kept file has its SHA-256", "the row has the same values in the kept file"
    try:
        with fetched(ports.files, kept_file(batch), scratch) as copy:
            if copy.sha256 != batch.sha256:
                return None, [Check(kept, (f"{batch.kept_uri} has {copy.sha256}",), RESTORE)]
            values, wrong = _compared(copy.data, batch, row)
    except Refused:
        return None, [Check(kept, (f"{batch.kept_uri} is gone",), RESTORE)]
    remedy = f"Compare all of it: gauntlet reproduce {batch.id}."
    return values, [Check(kept), Check(same, tuple(wrong), remedy if wrong else "")]


def _compared(data: BinaryIO, batch: Batch, row: Mapping[str, Any]) -> tuple[Mapping[str, Any] | None, list[str]]:
    """Return the values in the file, as they came, and where they differ from the mart's when read by the spec."""
    raw = _record(data, row["row_number"], str(batch.kept_uri))
    if raw is None:
        return None, [f"there is no row {row['row_number']}"]
    spec = Spec.from_json(batch.spec_json)
    piece = Intake(raw.schema, spec, training=batch.kind is BatchKind.TRAIN).piece(raw, row["row_number"])
    if not len(piece.frame):
        return raw.to_pylist()[0], [f"it breaks the spec: {piece.rejected['reasons'][0]}"]
    read: Any = piece.frame.to_dict("records")[0]  # as Python's own values
    wrong = [
        f"{name} is {value!r}, in the mart {row[name]!r}" for name, value in read.items() if _differ(value, row[name])
    ]
    return raw.to_pylist()[0], wrong


def _record(data: BinaryIO, number: int, name: str) -> pa.RecordBatch | None:
    """Return a file's row by its number, counted from 1, reading only the group of rows that it lies in."""
    parquet = opened_parquet(data, name)
    first = 1
    for group in range(parquet.metadata.num_row_groups):
        size = parquet.metadata.row_group(group).num_rows
        if number < first + size:
            for part in parquet.iter_batches(STEP, row_groups=[group]):
                if number < first + len(part):
                    return part.slice(number - first, 1)
                first += len(part)
        first += size
    return None


def _differ(value: Any, other: Any) -> bool:
    missing = value is None or value != value
    return other is not None if missing else value != other


def _values(row: Mapping[str, Any], batch: Batch) -> dict[str, Any]:
    columns = Spec.from_json(batch.spec_json).columns
    return {name: row[name] for name in columns if name in row}


def _file(batch: Batch) -> dict[str, Any]:
    names = ("uri", "sha256", "size", "data_time", "kept_uri")
    return {name: getattr(batch, name) for name in names}


def _batch(batch: Batch) -> dict[str, Any]:
    names = (
        "id", "spec", "kind", "run_key", "rule", "started_at", "ended_at", "code_version", "read", "accepted",
        "rejected", "output_uri", "output_sha256",
    )  # fmt: skip
    return {name: getattr(batch, name) for name in names}


def _scored(ports: AuditPorts, batch: Batch, row: Mapping[str, Any], chain: dict[str, Any]) -> list[Check]:
    """Add prediction, model, training and verdict to the chain; return whether each is what the marts say."""
    seen = ports.mart.trace(batch.id, row["row_id"])
    if seen is None:
        raise AuditError(
            f"an accepted row must have a prediction; row {row['row_number']} of batch {batch.id} has none in "
            f"mart.{batch.spec}_prediction. See what else is missing: gauntlet verify --spec {batch.spec}."
        )
    own = [name for name in seen if name == "prediction" or name.startswith("probability_")]
    chain["prediction"] = {name: seen[name] for name in own}
    version = require_predictor(ports.ledger, batch)
    chain["model"] = {
        "name": version.model,
        "version": version.version,
        "run_id": version.run_id,
        "recipe": version.recipe,
        "sha256": version.model_sha256,
    }
    chain["training"], trained = _training(ports, version)
    entry = _verdict(ports, batch, seen.get("decision_id"))
    chain["verdict"] = None if entry is None else _entry(entry)
    return [_as_recorded(seen, version), _model_file(ports, version), trained]


def _as_recorded(seen: Mapping[str, Any], version: Version) -> Check:
    pairs = {
        "model_name": version.model,
        "model_version": version.version,
        "run_id": version.run_id,
        "model_sha256": version.model_sha256,
        "snapshot_sha256": version.snapshot.sha256,
    }
    wrong = [f"{name} is {seen.get(name)}, in the ledger {own}" for name, own in pairs.items() if seen.get(name) != own]
    remedy = f"See all versions: gauntlet verify --spec {version.spec}." if wrong else ""
    return Check("the marts name the model as the ledger does", tuple(wrong), remedy)


def _model_file(ports: AuditPorts, version: Version) -> Check:
    name = "the model's file has the SHA-256 kept at registration"
    try:
        ports.registry.model_bytes(version)
    except StoreError as error:
        return Check(name, (str(error),), RESTORE)
    return Check(name)


def _training(ports: AuditPorts, version: Version) -> tuple[dict[str, Any], Check]:
    name = "the training snapshot has its SHA-256"
    files = [
        {"batch": one.id, "uri": one.uri, "sha256": one.sha256, "accepted": one.accepted, "data_time": one.data_time}
        for one in ports.mart.trained_on(version.spec, version.version)
    ]
    known = {"snapshot_uri": version.snapshot.uri, "snapshot_sha256": version.snapshot.sha256, "files": files}
    try:
        rows = len(row_ids(ports.store.get(version.snapshot)))
    except StoreError as error:
        return {**known, "rows": None}, Check(name, (str(error),), RESTORE)
    return {**known, "rows": rows}, Check(name)


def _verdict(ports: AuditPorts, batch: Batch, decision: int | None) -> Entry | None:
    """Return the verdict that put the version in production, else the newest one on it."""
    dossier = ports.ledger.entry(decision) if decision is not None else None
    if dossier is not None:
        return dossier.entry
    lines = ports.ledger.history(batch.spec, ENTRIES)
    return next((line for line in lines if line.verdict is not None and line.challenger == batch.version), None)


def _entry(entry: Entry) -> dict[str, Any]:
    names = (
        "id",
        "at",
        "verdict",
        "reason",
        "held",
        "champion",
        "challenger",
        "effect",
        "interval",
        "rows",
        "decided_by",
    )
    return {name: getattr(entry, name) for name in names}


def _trained(ports: AuditPorts, batch: Batch, row: Mapping[str, Any]) -> tuple[list[dict[str, Any]], list[Check]]:
    """Return the versions that the batch went into, each with whether the row is among those it was trained on."""
    versions: list[dict[str, Any]] = []
    checks: list[Check] = []
    for number in ports.audit.trainings(batch):
        version = ports.ledger.version(batch.spec, number)
        if version is None:
            checks.append(Check(f"v{number} is in the ledger", (f"{batch.spec} has no v{number}",), RESTORE))
            continue
        inside, snapshot = _in_snapshot(ports, version, row["row_id"])
        checks.append(snapshot)
        versions.append(
            {
                "version": number,
                "recipe": version.recipe,
                "snapshot": asdict(version.snapshot),
                "in_snapshot": inside,
            }
        )
    if row["pool"] == AB:
        wrong = tuple(f"v{one['version']} was trained on it" for one in versions if one["in_snapshot"])
        remedy = "Do not trust the tests of these versions: train anew." if wrong else ""
        checks.append(Check("a row that is kept for tests was never trained on", wrong, remedy))
    return versions, checks


def _in_snapshot(ports: AuditPorts, version: Version, row_id: int) -> tuple[bool | None, Check]:
    name = f"the snapshot of v{version.version} has its SHA-256"
    try:
        return bool(np.isin(row_id, row_ids(ports.store.get(version.snapshot)))), Check(name)
    except StoreError as error:
        return None, Check(name, (str(error),), RESTORE)


def _plain(value: Any) -> Any:
    """Return a value as JSON has it: times by ISO 8601, what JSON has no word for as text."""
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, float) and not np.isfinite(value):
        return str(value)
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
