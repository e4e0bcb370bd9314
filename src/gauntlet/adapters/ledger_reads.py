"""What is asked of the ledger, each in one transaction that changes nothing."""

from collections.abc import Sequence
from datetime import datetime

from gauntlet.adapters.ledger_rows import fetch, first, to_entry, to_freeze, to_period, to_version
from gauntlet.adapters.postgres import Cursor
from gauntlet.domain.lineage import Move
from gauntlet.jobs.ledger_records import Dossier, Freeze, Period
from gauntlet.jobs.ports import Entry, Production, Version

PRODUCTION = """
    select distinct on (spec) spec, model, new_version, coalesce(run_id, '') as run_id, at
    from ledger.production_event where %(spec)s is null or spec = %(spec)s order by spec, id desc
"""
MOVES = """
    select old_version, new_version, kind = 'rollback' as back
    from ledger.production_event where spec = %s order by id
"""
PERIODS = """
    select period.*, coalesce(event.decision_id, event.id) as line
    from ledger.production_period as period join ledger.production_event as event on event.id = period.event_id
    where (%(spec)s is null or period.spec = %(spec)s)
      and (%(at)s::timestamptz is null or (since <= %(at)s and (until is null or %(at)s < until)))
    order by event_id desc
"""
FREEZES = """
    select * from (
        select distinct on (spec) * from ledger.freeze where %(spec)s is null or spec = %(spec)s order by spec, id desc
    ) as newest where frozen
"""
# A promotion's event is shown by its decision; other moves have none.
ENTRIES = """
    select id, at, spec, run_key, verdict, reason, champion, challenger, effect, interval_low, interval_high, rows,
           evidence, held, 'verdict' as kind, decided_by
    from ledger.decision
    union all
    select id, at, spec, run_key, null, reason, old_version, new_version, null, null, null, null, evidence, null, kind,
           decided_by
    from ledger.production_event where decision_id is null
    union all
    select id, at, spec, null, null, reason, null, null, null, null, null, null, '{}', null,
           case when frozen then 'freeze' else 'unfreeze' end, decided_by
    from ledger.freeze
"""
HISTORY = (
    f"select * from ({ENTRIES}) as entry where %(spec)s is null or spec = %(spec)s order by id desc limit %(limit)s"  # noqa: S608 - written above
)
ENTRY = f"""
    select * from ({ENTRIES}) as entry
    where id = coalesce((select decision_id from ledger.production_event where id = %(id)s), %(id)s)
"""  # noqa: S608 - ENTRIES is written above
ROLLBACK = f"select * from ({ENTRIES}) as entry where spec = %s and run_key = %s and kind = 'rollback'"  # noqa: S608
# of an entry: its decision, the event that it caused or is, and the drift report of its run
DETAILS = """
    select coalesce(decision.model, event.model) as model, policy, policy_sha256,
           coalesce(decision.code_version, event.code_version) as code_version, event.id as event_id,
           (select report from ledger.drift_report where spec = decision.spec and run_key = decision.run_key) as report
    from (select %(id)s::bigint as id) as entry
    left join ledger.decision on decision.id = entry.id
    left join ledger.production_event as event on event.id = entry.id or event.decision_id = entry.id
"""


def production(cursor: Cursor, spec: str | None) -> dict[str, Production]:
    """Return what is in production, of one spec or of all."""
    return {
        row.spec: Production(row.spec, row.model, row.new_version, row.run_id, row.at)
        for row in fetch(cursor, PRODUCTION, {"spec": spec})
        if row.new_version is not None
    }


def moves(cursor: Cursor, spec: str) -> list[Move]:
    """Return every move of a spec's production, oldest first."""
    return [Move(row.old_version, row.new_version, row.back) for row in fetch(cursor, MOVES, (spec,))]


def periods(cursor: Cursor, spec: str | None, at: datetime | None) -> Sequence[Period]:
    """Return the stays in production, or those that a time lies in, newest first."""
    return [to_period(row) for row in fetch(cursor, PERIODS, {"spec": spec, "at": at})]


def freezes(cursor: Cursor, spec: str | None) -> dict[str, Freeze]:
    """Return the freezes that hold now, of one spec or of all."""
    return {row.spec: to_freeze(row) for row in fetch(cursor, FREEZES, {"spec": spec})}


def settled(cursor: Cursor, spec: str, run_key: str) -> Entry | None:
    """Return the verdict that a run settled."""
    sql = "select *, 'verdict' as kind from ledger.decision where spec = %s and run_key = %s"
    row = first(cursor, sql, (spec, run_key))
    return to_entry(row) if row else None


def rolled_back(cursor: Cursor, spec: str, key: str) -> Entry | None:
    """Return the rollback that a key made."""
    row = first(cursor, ROLLBACK, (spec, key))
    return to_entry(row) if row else None


def projected(cursor: Cursor, spec: str) -> tuple[int | None] | None:
    """Return the version last written to the alias, in a tuple; None when none ever was."""
    row = first(cursor, "select version from ledger.projection where spec = %s order by id desc limit 1", (spec,))
    return (row.version,) if row else None


def version(cursor: Cursor, spec: str, column: str, value: str | int) -> Version | None:
    """Return the version of a spec with this value in a column of the table."""
    sql = f"select * from ledger.version where spec = %s and {column} = %s"  # noqa: S608 - a column named here
    row = first(cursor, sql, (spec, value))
    return to_version(row) if row else None


def versions(cursor: Cursor, spec: str, numbers: Sequence[int]) -> dict[int, Version]:
    """Return the recorded versions among these numbers."""
    sql = "select * from ledger.version where spec = %s and version = any(%s) order by version"
    return {row.version: to_version(row) for row in fetch(cursor, sql, (spec, list(numbers)))}


def recorded(cursor: Cursor, spec: str) -> list[Version]:
    """Return every recorded version, oldest first."""
    sql = "select * from ledger.version where spec = %s order by version"
    return [to_version(row) for row in fetch(cursor, sql, (spec,))]


def history(cursor: Cursor, spec: str | None, limit: int) -> Sequence[Entry]:
    """Return entries, newest first."""
    return [to_entry(row) for row in fetch(cursor, HISTORY, {"spec": spec, "limit": limit})]


def dossier(cursor: Cursor, number: int) -> Dossier | None:
    """Return a line with everything known of it."""
    row = first(cursor, ENTRY, {"id": number})
    if row is None:
        return None
    entry = to_entry(row)
    details = first(cursor, DETAILS, {"id": entry.id})
    named = versions(cursor, entry.spec, [each for each in (entry.champion, entry.challenger) if each is not None])
    began = [period for period in periods(cursor, entry.spec, None) if period.event_id == details.event_id]
    return Dossier(
        entry=entry,
        model=details.model,
        champion=named.get(entry.champion or 0),
        challenger=named.get(entry.challenger or 0),
        policy=details.policy,
        policy_sha256=details.policy_sha256,
        code_version=details.code_version,
        drift=details.report,
        period=began[0] if began else None,
    )
