"""Lines of mart.batch as the records that the jobs know, and how they are written."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from gauntlet.jobs.mart_port import Batch, BatchKind, BatchStatus

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gauntlet.jobs.mart_port import Loaded, NewBatch

COLUMNS = tuple(Batch.__dataclass_fields__)
BATCHES = f"select {', '.join(COLUMNS)} from mart.batch"  # noqa: S608 - the record's own names


def insert_batch(parameter: str) -> str:
    """Return the statement that writes a line, given as JSON; the transaction's start is when loading began."""
    times = "jsonb_build_object('started_at', now(), 'ended_at', clock_timestamp())"
    listed = ", ".join(COLUMNS)
    return (
        f"insert into mart.batch ({listed}) select {listed} "  # noqa: S608 - the record's own names
        f"from jsonb_populate_record(null::mart.batch, {parameter}::jsonb || {times})"
    )


def done_line(number: int, batch: NewBatch, loaded: Loaded) -> str:
    """Return the line of a batch that was loaded, as JSON."""
    return json.dumps({**_line(number, batch), "status": BatchStatus.DONE, **vars(loaded)})


def refused_line(number: int, batch: NewBatch, reason: str) -> str:
    """Return the line of a file that was refused, as JSON."""
    nothing = dict.fromkeys(("read", "accepted", "rejected", "written"), 0)
    # Postgres' text has no NUL, which a damaged file may bring into an error
    told = reason.replace("\0", "")
    return json.dumps({**_line(number, batch), "status": BatchStatus.REFUSED, "reason": told, **nothing})


def to_batch(row: Any) -> Batch:
    """Return the batch that a line holds."""
    found = {name: getattr(row, name) for name in COLUMNS}
    return Batch(**{**found, "kind": BatchKind(row.kind), "status": BatchStatus(row.status)})


def _line(number: int, batch: NewBatch) -> Mapping[str, Any]:
    return {
        "id": number,
        "spec": batch.spec.name,
        "kind": batch.kind,
        "uri": batch.file.uri,
        "mark": batch.file.mark,
        "size": batch.file.size,
        "sha256": batch.sha256,
        "kept_uri": batch.kept_uri,
        "version": batch.version,
        "rule": batch.rule,
        "run_key": batch.run_key,
        "code_version": batch.code_version,
        "spec_json": batch.spec.to_json(),
        "data_time": batch.file.time.isoformat(),
    }
