"""Rows of the ledger's tables as the records that the jobs know, and how rows are read and inserted."""

import json
from collections.abc import Mapping
from typing import Any

from psycopg2.extras import Json
from psycopg2.sql import Composable

from gauntlet.adapters.postgres import Cursor
from gauntlet.domain.verdict import Verdict
from gauntlet.jobs.ledger_records import Freeze, Period
from gauntlet.jobs.ports import Case, Entry, Kind, Stored, Version


def insert(cursor: Cursor, table: str, row: Mapping[str, Any], ending: str = "") -> Any:
    """Insert a row, and return what `ending` asks to be returned."""
    values = ", ".join(f"%({column})s" for column in row)
    # names of tables and columns are written in this package; only values come from outside
    cursor.execute(f"insert into ledger.{table} ({', '.join(row)}) values ({values}) {ending}", row)  # noqa: S608
    return cursor.fetchone() if "returning" in ending else None


def fetch(cursor: Cursor, sql: str | Composable, arguments: Any) -> list[Any]:
    """Return the rows of a query."""
    cursor.execute(sql, arguments)
    return cursor.fetchall()


def first(cursor: Cursor, sql: str | Composable, arguments: Any) -> Any:
    """Return the first row of a query; None when it has none."""
    rows = fetch(cursor, sql, arguments)
    return rows[0] if rows else None


def as_json(value: Mapping[str, Any]) -> Json:
    """Return a value for a jsonb column; raises ValueError for one that JSON has no word for."""
    return Json(dict(value), dumps=lambda what: json.dumps(what, allow_nan=False))


def version_row(version: Version) -> dict[str, Any]:
    """Return the row of a version."""
    return {
        "spec": version.spec,
        "version": version.version,
        "model": version.model,
        "run_id": version.run_id,
        "run_key": version.run_key,
        "spec_json": version.spec_json,
        "recipe": version.recipe,
        "seed": version.seed,
        "snapshot_uri": version.snapshot.uri,
        "snapshot_sha256": version.snapshot.sha256,
        "profile_uri": version.profile.uri,
        "profile_sha256": version.profile.sha256,
        "model_sha256": version.model_sha256,
    }


def to_version(row: Any) -> Version:
    """Return the version that a row holds."""
    return Version(
        spec=row.spec,
        model=row.model,
        version=row.version,
        run_id=row.run_id,
        run_key=row.run_key,
        spec_json=row.spec_json,
        recipe=row.recipe,
        seed=row.seed,
        snapshot=Stored(row.snapshot_uri, row.snapshot_sha256),
        profile=Stored(row.profile_uri, row.profile_sha256),
        model_sha256=row.model_sha256,
    )


def decision_row(case: Case, verdict: Verdict, reason: str, held: str | None) -> dict[str, Any]:
    """Return the row of a verdict, without its time."""
    decision, champion, challenger = case.decision, case.champion, case.challenger
    low, high = decision.interval or (None, None)
    return {
        "spec": case.spec,
        "run_key": case.run_key,
        "model": case.model,
        "verdict": verdict.value,
        "reason": reason,
        "held": held,
        "champion": champion.version if champion else None,
        "champion_run_id": champion.run_id if champion else None,
        "champion_snapshot_sha256": champion.snapshot.sha256 if champion else None,
        "challenger": challenger.version,
        "challenger_run_id": challenger.run_id,
        "challenger_snapshot_sha256": challenger.snapshot.sha256,
        "effect": _number(decision.effect),
        "interval_low": _number(low),
        "interval_high": _number(high),
        "rows": None if decision.rows is None else int(decision.rows),
        "evidence": as_json(case.evidence),
        "policy": as_json(case.policy),
        "policy_sha256": case.policy_sha256,
        "code_version": case.code_version,
        "decided_by": case.decided_by,
    }


def to_entry(row: Any) -> Entry:
    """Return the line that a row of `ledger_reads.ENTRIES` holds."""
    return Entry(
        id=row.id,
        at=row.at,
        spec=row.spec,
        run_key=row.run_key,
        verdict=Verdict(row.verdict) if row.verdict else None,
        reason=row.reason,
        champion=row.champion,
        challenger=row.challenger,
        effect=row.effect,
        interval=None if row.interval_low is None else (row.interval_low, row.interval_high),
        rows=row.rows,
        evidence=row.evidence,
        held=row.held,
        kind=Kind(row.kind),
        decided_by=row.decided_by,
    )


def to_period(row: Any) -> Period:
    """Return the stay in production that a row of the view holds."""
    return Period(
        spec=row.spec,
        model=row.model,
        version=row.version,
        run_id=row.run_id or "",
        since=row.since,
        until=row.until,
        event_id=row.event_id,
        line=row.line,
        kind=row.kind,
        reason=row.reason,
        decided_by=row.decided_by,
    )


def to_freeze(row: Any) -> Freeze:
    """Return the freeze that a row holds."""
    return Freeze(row.spec, row.at, row.reason, row.decided_by)


def _number(value: float | None) -> float | None:
    # A numpy float is written as "np.float64(...)" otherwise.
    return None if value is None else float(value)
