"""The ledger in Postgres: versions, verdicts and moves of production, added to and never changed."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any

import psycopg2

from gauntlet.adapters import ledger_reads as reads
from gauntlet.adapters import ledger_writes as writes
from gauntlet.adapters.ledger_rows import as_json, first, insert, version_row
from gauntlet.adapters.postgres import Cursor, Database
from gauntlet.domain import lineage
from gauntlet.domain.lineage import Move
from gauntlet.jobs.ledger_records import Dossier, Freeze, Period, Rollback
from gauntlet.jobs.ports import Case, Entry, Production, Stored, StoreError, Version


class PostgresLedger:
    """The ledger, by a database URL of a role that may read and insert."""

    def __init__(self, database_url: str, patience: float = 5.0) -> None:
        self._database = Database(database_url, patience)

    def lock(self, spec: str, purpose: str) -> AbstractContextManager[None]:
        """Hold an advisory lock until the block or the process ends."""
        return self._database.lock(f"{purpose} of {spec}")

    def add_version(self, version: Version) -> Version:
        """Record a version, or return the one its run key has; raises StoreError when its number is taken."""

        def work(cursor: Cursor) -> Version | None:
            insert(cursor, "version", version_row(version), "on conflict do nothing")
            return reads.version(cursor, version.spec, "run_key", version.run_key)

        recorded = self._database.transact(work)
        if recorded is None:
            raise StoreError(
                f"a version's number must be new; {version.spec} has v{version.version} already, by another run. "
                "Was the model registry emptied under a ledger that was kept? Restore it, or start both afresh."
            )
        return recorded

    def version(self, spec: str, version: int) -> Version | None:
        """Return a recorded version by number."""
        return self._database.transact(lambda cursor: reads.version(cursor, spec, "version", version))

    def recorded(self, spec: str) -> Sequence[Version]:
        """Return every recorded version, oldest first."""
        return self._database.transact(lambda cursor: reads.recorded(cursor, spec))

    def moves(self, spec: str) -> Sequence[Move]:
        """Return every move of production, oldest first."""
        return self._database.transact(lambda cursor: reads.moves(cursor, spec))

    def version_of_run(self, spec: str, run_key: str) -> Version | None:
        """Return the version that a run recorded."""
        return self._database.transact(lambda cursor: reads.version(cursor, spec, "run_key", run_key))

    def production(self, spec: str) -> Production | None:
        """Return what is in production now."""
        return self._database.transact(lambda cursor: reads.production(cursor, spec)).get(spec)

    def previous(self, spec: str) -> int | None:
        """Return the champion before the present one."""
        return lineage.previous(self._database.transact(lambda cursor: reads.moves(cursor, spec)))

    def champions(self) -> Mapping[str, Production]:
        """Return every spec that has a version in production."""
        return self._database.transact(lambda cursor: reads.production(cursor, None))

    def periods(self, spec: str | None, at: datetime | None = None) -> Sequence[Period]:
        """Return the stays in production, or those that a time lies in, newest first."""
        return self._database.transact(lambda cursor: reads.periods(cursor, spec, at))

    def settle(self, case: Case) -> Entry:
        """Record a verdict and, for PROMOTE, move production; raises StoreError for a challenger not recorded."""
        try:
            return self._database.transact(lambda cursor: writes.settle(cursor, case))
        except psycopg2.errors.ForeignKeyViolation as error:
            found = f"{case.spec} v{case.challenger.version} is not"
            raise StoreError(f"a challenger must be in the ledger; {found}. Record the version first.") from error

    def settled(self, spec: str, run_key: str) -> Entry | None:
        """Return the verdict that a run settled."""
        return self._database.transact(lambda cursor: reads.settled(cursor, spec, run_key))

    def rollback(self, move: Rollback) -> Entry | None:
        """Move production back, once for a key; None when it no longer is where the caller saw it."""
        return self._database.transact(lambda cursor: writes.rollback(cursor, move))

    def rolled_back(self, spec: str, key: str) -> Entry | None:
        """Return the rollback that a key made."""
        return self._database.transact(lambda cursor: reads.rolled_back(cursor, spec, key))

    def record_external(self, spec: str, model: str, old: int | None, new: int | None, run_id: str | None) -> None:
        """Record that production was moved outside, if production still is `old`."""
        self._database.transact(lambda cursor: writes.record_external(cursor, spec, model, old, new, run_id))

    def freeze(self, spec: str, frozen: bool, reason: str, by: str) -> bool:
        """Hold promotions back, or let them go on; False when that was so already."""
        row = {"spec": spec, "frozen": frozen, "reason": reason, "decided_by": by}
        return self._database.transact(lambda cursor: writes.freeze(cursor, row))

    def frozen(self, spec: str) -> Freeze | None:
        """Return the freeze that holds a spec's promotions back."""
        return self._database.transact(lambda cursor: reads.freezes(cursor, spec)).get(spec)

    def freezes(self) -> Mapping[str, Freeze]:
        """Return every spec that is frozen."""
        return self._database.transact(lambda cursor: reads.freezes(cursor, None))

    def projected(self, spec: str) -> tuple[int | None] | None:
        """Return the version last written to the `production` alias, in a tuple; None when none ever was."""
        return self._database.transact(lambda cursor: reads.projected(cursor, spec))

    def mark_projected(self, spec: str, version: int | None) -> None:
        """Record that the aliases now show `version`."""

        def work(cursor: Cursor) -> None:
            if reads.projected(cursor, spec) != (version,):
                insert(cursor, "projection", {"spec": spec, "version": version})

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
            "report": as_json(report),
        }
        self._database.transact(lambda cursor: insert(cursor, "drift_report", row, "on conflict do nothing"))

    def drift_report(self, spec: str, run_key: str) -> Mapping[str, Any] | None:
        """Return the drift report of a run."""
        sql = "select report from ledger.drift_report where spec = %s and run_key = %s"
        row = self._database.transact(lambda cursor: first(cursor, sql, (spec, run_key)))
        return row.report if row else None

    def history(self, spec: str | None, limit: int) -> Sequence[Entry]:
        """Return entries, newest first."""
        return self._database.transact(lambda cursor: reads.history(cursor, spec, limit))

    def entry(self, number: int) -> Dossier | None:
        """Return a line with everything known of it; a promotion's event stands for its verdict."""
        return self._database.transact(lambda cursor: reads.dossier(cursor, number))
