"""What moves production or holds it, each in one transaction under the spec's lock."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from gauntlet.adapters import ledger_reads as reads
from gauntlet.adapters.ledger_rows import as_json, decision_row, first, insert, to_entry
from gauntlet.adapters.postgres import Cursor
from gauntlet.domain.lineage import rolled_back
from gauntlet.domain.verdict import Verdict
from gauntlet.jobs.ledger_records import Rollback
from gauntlet.jobs.ports import Case, Entry
from gauntlet.jobs.settling import ruled, shown

# The wall clock and not the transaction's start, for one that waited for the lock comes later; and later than the
# spec's last line also when the clock was set back.
NOW = """
    select greatest(
        clock_timestamp(),
        (select max(at) from ledger.production_event where spec = %(spec)s) + interval '1 microsecond',
        (select at from ledger.decision where spec = %(spec)s order by id desc limit 1) + interval '1 microsecond',
        (select at from ledger.freeze where spec = %(spec)s order by id desc limit 1) + interval '1 microsecond'
    ) as at
"""
# As an event is shown in the history.
AS_ENTRY = """
    returning id, at, spec, run_key, null as verdict, reason, old_version as champion, new_version as challenger,
              null as effect, null as interval_low, null as rows, evidence, null as held, kind, decided_by
"""


def settle(cursor: Cursor, case: Case) -> Entry:
    """Record a verdict and, for a PROMOTE that nothing holds, move production."""
    at = _locked(cursor, case.spec)
    settled = reads.settled(cursor, case.spec, case.run_key)
    if settled is not None:
        return settled
    moves = reads.moves(cursor, case.spec)
    barred = reads.versions(cursor, case.spec, sorted(rolled_back(moves)))
    freeze = reads.freezes(cursor, case.spec).get(case.spec)
    verdict, reason, held = ruled(case, moves[-1].new if moves else None, barred.values(), freeze)
    row = {**decision_row(case, verdict, reason, held), "at": at}
    decision = insert(cursor, "decision", row, "returning *, 'verdict' as kind")
    if verdict is Verdict.PROMOTE and held is None:
        _insert_promotion(cursor, case, decision)
    return to_entry(decision)


def rollback(cursor: Cursor, move: Rollback) -> Entry | None:
    """Move production back if it still is where the caller saw it; a key's second call returns what the first did."""
    at = _locked(cursor, move.spec)
    done = reads.rolled_back(cursor, move.spec, move.key)
    if done is not None:
        return done
    if _production(cursor, move.spec) != move.old:
        return None
    event = {
        "at": at,
        "spec": move.spec,
        "model": move.model,
        "kind": "rollback",
        "old_version": move.old,
        "new_version": move.new.version,
        "run_id": move.new.run_id,
        "run_key": move.key,
        "reason": move.reason,
        "code_version": move.code_version,
        "evidence": as_json(move.evidence),
        "decided_by": move.decided_by,
    }
    return to_entry(insert(cursor, "production_event", event, AS_ENTRY))


def record_external(
    cursor: Cursor, spec: str, model: str, old: int | None, new: int | None, run_id: str | None
) -> None:
    """Record a move made outside, if production still is `old`."""
    at = _locked(cursor, spec)
    if old == new or _production(cursor, spec) != old:
        return
    event = {
        "at": at,
        "spec": spec,
        "model": model,
        "kind": "external",
        "old_version": old,
        "new_version": new,
        "run_id": run_id,
        "reason": f"production was moved outside: {shown(old)} → {shown(new)}",
        "decided_by": "outside",
    }
    insert(cursor, "production_event", event)


def freeze(cursor: Cursor, row: Mapping[str, Any]) -> bool:
    """Record a freeze or its end; False, and nothing recorded, when that was so already."""
    at = _locked(cursor, row["spec"])
    if (row["spec"] in reads.freezes(cursor, row["spec"])) == row["frozen"]:
        return False
    insert(cursor, "freeze", {**row, "at": at})
    return True


def _insert_promotion(cursor: Cursor, case: Case, decision: Any) -> None:
    event = {
        "at": decision.at,
        "spec": case.spec,
        "model": case.model,
        "kind": "promote" if case.champion else "first",
        "old_version": decision.champion,
        "new_version": decision.challenger,
        "run_id": decision.challenger_run_id,
        "decision_id": decision.id,
        "reason": decision.reason,
        "code_version": case.code_version,
        "decided_by": case.decided_by,
    }
    insert(cursor, "production_event", event)


def _locked(cursor: Cursor, spec: str) -> datetime:
    """Take the lock under which production moves, until the transaction ends, and return the time of the next line."""
    cursor.execute("select pg_advisory_xact_lock(hashtextextended(%s, 1))", (spec,))
    at: datetime = first(cursor, NOW, {"spec": spec}).at
    return at


def _production(cursor: Cursor, spec: str) -> int | None:
    production = reads.production(cursor, spec).get(spec)
    return production.version if production else None
