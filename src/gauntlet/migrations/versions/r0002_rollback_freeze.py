"""Rollbacks, freezes, verdicts that were held back, and the version in production at any time."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# A rollback has no verdict, like a move made outside; its key lets a second try find the first.
EVENTS = """
alter table ledger.production_event
    drop constraint production_event_kind_check,
    drop constraint production_event_check1,
    add constraint production_event_kind_check check (kind in ('first', 'promote', 'external', 'rollback')),
    add constraint production_event_decision_check
        check ((kind in ('external', 'rollback')) = (decision_id is null)),
    add column run_key text,
    add column code_version text,
    add column evidence jsonb not null default '{}',
    add constraint production_event_run_key_check check ((kind = 'rollback') = (run_key is not null)),
    add constraint production_event_run_key_key unique (spec, run_key)
"""

HELD = """
alter table ledger.decision
    add column held text,
    add constraint decision_held_check check (held is null or verdict = 'PROMOTE')
"""

# The last row of a spec counts.
FREEZES = """
create table ledger.freeze (
    id         bigint primary key default nextval('ledger.entry_id'),
    at         timestamptz not null default clock_timestamp(),
    spec       text not null,
    frozen     boolean not null,
    reason     text not null,
    decided_by text not null
);
create index freeze_newest on ledger.freeze (spec, id desc)
"""

# Whoever moves production takes a time after the last one. Rows of before may have been written by a clock that had
# been set back: the highest time so far keeps the periods in order.
PERIODS = """
create view ledger.production_period as
with moved as (
    select *, max(at) over (partition by spec order by id) as since from ledger.production_event
),
followed as (
    select *, lead(since) over (partition by spec order by id) as until from moved
)
select spec, model, new_version as version, run_id, since, until, id as event_id, kind, reason, decided_by
from followed where new_version is not null
"""

GRANTS = """
grant select, insert on ledger.freeze to gauntlet_app;
grant select on ledger.production_period to gauntlet_app
"""


def upgrade() -> None:
    """Widen the events, and add freezes, held verdicts and the periods."""
    for step in (EVENTS, HELD, FREEZES, PERIODS, GRANTS):
        op.execute(step)
