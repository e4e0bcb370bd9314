"""The ledger in Postgres: versions, verdicts and moves of production, added to and never changed."""

import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import psycopg2
from psycopg2.extras import Json

from gauntlet.adapters.postgres import Cursor, Database
from gauntlet.domain.verdict import Verdict
from gauntlet.jobs.ports import Case, Entry, Production, Stored, StoreError, Version

PRODUCTION = """
    select distinct on (spec) spec, model, new_version, coalesce(run_id, '') as run_id, at
    from ledger.production_event where %(spec)s is null or spec = %(spec)s order by spec, id desc
"""

PREVIOUS = """
    with newest as (select new_version from ledger.production_event where spec = %(spec)s order by id desc limit 1)
    select old_version from ledger.production_event
    where spec = %(spec)s and old_version is distinct from (select new_version from newest) and old_version is not null
    order by id desc limit 1
"""

# A promotion's event is shown by its decision; one made outside has none.
ENTRIES = """
    select id, at, spec, run_key, verdict, reason, champion, challenger, effect, interval_low, interval_high, rows,
           evidence
    from ledger.decision
    union all
    select id, at, spec, null, null, reason, old_version, new_version, null, null, null, null, '{}'
    from ledger.production_event where kind = 'external'
"""


class PostgresLedger:
    """The ledger, by a database URL of a role that may read and insert."""

    def __init__(self, database_url: str, patience: float = 5.0) -> None:
        self._database = Database(database_url, patience)

    def lock(self, spec: str, purpose: str) -> AbstractContextManager[None]:
        """Hold an advisory lock until the block or the process ends."""
        return self._database.lock(f"{purpose} of {spec}")

    def add_version(self, version: Version) -> Version:
        """Record a version, or return the one its run key has; raises StoreError when its number is taken."""
        row = {
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

        def work(cursor: Cursor) -> Version | None:
            _insert(cursor, "version", row, "on conflict do nothing")
            return _version(cursor, version.spec, "run_key", version.run_key)

        recorded = self._database.transact(work)
        if recorded is None:
            raise StoreError(
                f"a version's number must be new; {version.spec} has v{version.version} already, by another run. "
                "Was the model registry emptied under a ledger that was kept? Restore it, or start both afresh."
            )
        return recorded

    def version(self, spec: str, version: int) -> Version | None:
        """Return a recorded version by number."""
        return self._database.transact(lambda cursor: _version(cursor, spec, "version", version))

    def version_of_run(self, spec: str, run_key: str) -> Version | None:
        """Return the version that a run recorded."""
        return self._database.transact(lambda cursor: _version(cursor, spec, "run_key", run_key))

    def production(self, spec: str) -> Production | None:
        """Return what is in production now."""
        return self._database.transact(lambda cursor: _production(cursor, spec)).get(spec)

    def previous(self, spec: str) -> int | None:
        """Return the version that was in production before the present one."""
        row = self._database.transact(lambda cursor: _first(cursor, PREVIOUS, {"spec": spec}))
        return row.old_version if row else None

    def champions(self) -> Mapping[str, Production]:
        """Return every spec that has a version in production."""
        return self._database.transact(lambda cursor: _production(cursor, None))

    def settle(self, case: Case) -> Entry:
        """Record a verdict and, for PROMOTE, move production; raises StoreError for a challenger not recorded."""
        try:
            return self._database.transact(lambda cursor: _settle(cursor, case))
        except psycopg2.errors.ForeignKeyViolation as error:
            found = f"{case.spec} v{case.challenger.version} is not"
            raise StoreError(f"a challenger must be in the ledger; {found}. Record the version first.") from error

    def settled(self, spec: str, run_key: str) -> Entry | None:
        """Return the verdict that a run settled."""
        return self._database.transact(lambda cursor: _settled(cursor, spec, run_key))

    def record_external(self, spec: str, model: str, old: int | None, new: int | None, run_id: str | None) -> None:
        """Record that production was moved outside, if production still is `old`."""
        row = {
            "spec": spec,
            "model": model,
            "kind": "external",
            "old_version": old,
            "new_version": new,
            "run_id": run_id,
            "reason": f"production was moved outside: {_named(old)} → {_named(new)}",
            "decided_by": "outside",
        }

        def work(cursor: Cursor) -> None:
            if _locked_production(cursor, spec) == old and old != new:
                _insert(cursor, "production_event", row)

        self._database.transact(work)

    def projected(self, spec: str) -> tuple[int | None] | None:
        """Return the version last written to the `production` alias, in a tuple; None when none ever was."""
        return self._database.transact(lambda cursor: _projected(cursor, spec))

    def mark_projected(self, spec: str, version: int | None) -> None:
        """Record that the aliases now show `version`."""

        def work(cursor: Cursor) -> None:
            if _projected(cursor, spec) != (version,):
                _insert(cursor, "projection", {"spec": spec, "version": version})

        self._database.transact(work)

    def add_drift_report(
        self, spec: str, run_key: str, champion: int, snapshot: Stored, report: Mapping[str, Any]
    ) -> None:
        """Keep a drift report; a second one of the same run is ignored."""
        row = {
            "spec": spec,
            "run_key": run_key,
            "champion": champion,
            "snapshot_uri": snapshot.uri,
            "snapshot_sha256": snapshot.sha256,
            "report": _json(report),
        }
        self._database.transact(lambda cursor: _insert(cursor, "drift_report", row, "on conflict do nothing"))

    def drift_report(self, spec: str, run_key: str) -> Mapping[str, Any] | None:
        """Return the drift report of a run."""
        sql = "select report from ledger.drift_report where spec = %s and run_key = %s"
        row = self._database.transact(lambda cursor: _first(cursor, sql, (spec, run_key)))
        return row.report if row else None

    def history(self, spec: str | None, limit: int) -> Sequence[Entry]:
        """Return entries, newest first."""
        sql = f"select * from ({ENTRIES}) as entry where %s is null or spec = %s order by id desc limit %s"  # noqa: S608
        return self._database.transact(lambda cursor: [_entry(row) for row in _all(cursor, sql, (spec, spec, limit))])


def _settle(cursor: Cursor, case: Case) -> Entry:
    now = _locked_production(cursor, case.spec)
    settled = _settled(cursor, case.spec, case.run_key)
    if settled is not None:
        return settled
    named = case.champion.version if case.champion else None
    verdict, reason = case.decision.verdict, case.decision.reason
    if now != named:
        test = f"the test named {_named(named)} as champion"
        verdict, reason = Verdict.INVALID, f"champion changed: {test}, production is {_named(now)} now"
    decision = _insert(cursor, "decision", _decision_row(case, verdict, reason), "returning *")
    if verdict is Verdict.PROMOTE:
        event = {
            "spec": case.spec,
            "model": case.model,
            "kind": "first" if named is None else "promote",
            "old_version": named,
            "new_version": case.challenger.version,
            "run_id": case.challenger.run_id,
            "decision_id": decision.id,
            "reason": reason,
            "decided_by": case.decided_by,
        }
        _insert(cursor, "production_event", event)
    return _entry(decision)


def _decision_row(case: Case, verdict: Verdict, reason: str) -> dict[str, Any]:
    decision, champion, challenger = case.decision, case.champion, case.challenger
    low, high = decision.interval or (None, None)
    return {
        "spec": case.spec,
        "run_key": case.run_key,
        "model": case.model,
        "verdict": verdict.value,
        "reason": reason,
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
        "evidence": _json(case.evidence),
        "policy": _json(case.policy),
        "policy_sha256": case.policy_sha256,
        "code_version": case.code_version,
        "decided_by": case.decided_by,
    }


def _locked_production(cursor: Cursor, spec: str) -> int | None:
    """Take the lock under which production moves, until the transaction ends, and return what is in production."""
    cursor.execute("select pg_advisory_xact_lock(hashtextextended(%s, 1))", (spec,))
    production = _production(cursor, spec).get(spec)
    return production.version if production else None


def _production(cursor: Cursor, spec: str | None) -> dict[str, Production]:
    rows = _all(cursor, PRODUCTION, {"spec": spec})
    return {
        row.spec: Production(row.spec, row.model, row.new_version, row.run_id, row.at)
        for row in rows
        if row.new_version is not None
    }


def _settled(cursor: Cursor, spec: str, run_key: str) -> Entry | None:
    row = _first(cursor, "select * from ledger.decision where spec = %s and run_key = %s", (spec, run_key))
    return _entry(row) if row else None


def _projected(cursor: Cursor, spec: str) -> tuple[int | None] | None:
    sql = "select version from ledger.projection where spec = %s order by id desc limit 1"
    row = _first(cursor, sql, (spec,))
    return (row.version,) if row else None


def _version(cursor: Cursor, spec: str, column: str, value: str | int) -> Version | None:
    sql = f"select * from ledger.version where spec = %s and {column} = %s"  # noqa: S608 - a column named here
    row = _first(cursor, sql, (spec, value))
    if row is None:
        return None
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


def _entry(row: Any) -> Entry:
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
    )


def _insert(cursor: Cursor, table: str, row: Mapping[str, Any], ending: str = "") -> Any:
    """Insert a row, and return what `ending` asks to be returned."""
    values = ", ".join(f"%({column})s" for column in row)
    cursor.execute(f"insert into ledger.{table} ({', '.join(row)}) values ({values}) {ending}", row)  # noqa: S608
    return cursor.fetchone() if "returning" in ending else None


def _all(cursor: Cursor, sql: str, arguments: Any) -> list[Any]:
    cursor.execute(sql, arguments)
    return cursor.fetchall()


def _first(cursor: Cursor, sql: str, arguments: Any) -> Any:
    rows = _all(cursor, sql, arguments)
    return rows[0] if rows else None


def _named(version: int | None) -> str:
    return "none" if version is None else f"v{version}"


def _number(value: float | None) -> float | None:
    # A numpy float is written as "np.float64(...)" otherwise.
    return None if value is None else float(value)


def _json(value: Mapping[str, Any]) -> Json:
    return Json(dict(value), dumps=lambda what: json.dumps(what, allow_nan=False))
