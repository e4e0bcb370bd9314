"""The ledger of production, the router's traffic, and an empty schema for the marts.

Roles are the stack's business and exist before: gauntlet (owner), gauntlet_app (the pipeline), router.
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

VERSIONS = """
create table ledger.version (
    spec            text not null,
    version         integer not null check (version > 0),
    model           text not null,
    run_id          text not null,
    run_key         text not null,
    spec_json       text not null,
    recipe          text not null,
    seed            bigint not null,
    snapshot_uri    text not null,
    snapshot_sha256 text not null,
    profile_uri     text not null,
    profile_sha256  text not null,
    model_sha256    text not null,
    created_at      timestamptz not null default clock_timestamp(),
    primary key (spec, version),
    unique (spec, run_key)
)
"""

# Times are of the wall clock, not of the transaction's start: a transaction that waited for the lock comes later.
DECISIONS = """
create sequence ledger.entry_id;
create table ledger.decision (
    id                         bigint primary key default nextval('ledger.entry_id'),
    at                         timestamptz not null default clock_timestamp(),
    spec                       text not null,
    run_key                    text not null,
    model                      text not null,
    verdict                    text not null check (verdict in ('PROMOTE', 'KEEP', 'INCONCLUSIVE', 'INVALID')),
    reason                     text not null,
    champion                   integer,
    champion_run_id            text,
    champion_snapshot_sha256   text,
    challenger                 integer not null,
    challenger_run_id          text not null,
    challenger_snapshot_sha256 text not null,
    effect                     double precision,
    interval_low               double precision,
    interval_high              double precision,
    rows                       integer,
    evidence                   jsonb not null,
    policy                     jsonb not null,
    policy_sha256              text not null,
    code_version               text not null,
    decided_by                 text not null,
    unique (spec, run_key),
    foreign key (spec, challenger) references ledger.version (spec, version)
);
create index decision_newest on ledger.decision (spec, id desc)
"""

EVENTS = """
create table ledger.production_event (
    id          bigint primary key default nextval('ledger.entry_id'),
    at          timestamptz not null default clock_timestamp(),
    spec        text not null,
    model       text not null,
    kind        text not null check (kind in ('first', 'promote', 'external')),
    old_version integer,
    new_version integer,
    run_id      text,
    decision_id bigint unique references ledger.decision (id),
    reason      text not null,
    decided_by  text not null,
    check (old_version is distinct from new_version),
    check ((kind = 'external') = (decision_id is null))
);
create index production_event_newest on ledger.production_event (spec, id desc);
create table ledger.projection (
    id      bigint primary key generated always as identity,
    at      timestamptz not null default clock_timestamp(),
    spec    text not null,
    version integer
);
create index projection_newest on ledger.projection (spec, id desc)
"""

DRIFT_REPORTS = """
create table ledger.drift_report (
    spec            text not null,
    run_key         text not null,
    at              timestamptz not null default clock_timestamp(),
    champion        integer not null,
    snapshot_uri    text not null,
    snapshot_sha256 text not null,
    report          jsonb not null,
    primary key (spec, run_key)
)
"""

TRAFFIC = """
create table router.traffic (
    spec       text primary key,
    config     jsonb not null,
    updated_at timestamptz not null default now()
)
"""

# The pipeline may add to the ledger and read it; no role but the owner may change or remove a line.
GRANTS = """
grant usage on schema ledger, router, mart to gauntlet_app;
grant select, insert on all tables in schema ledger to gauntlet_app;
grant usage on sequence ledger.entry_id to gauntlet_app;
grant select on all tables in schema router to gauntlet_app;
grant usage on schema router to router;
grant select, insert, update on router.traffic to router
"""


def upgrade() -> None:
    """Make the schemas, their tables and what each role may do with them."""
    for schema in ("ledger", "router", "mart"):
        op.execute(f"create schema {schema}")
    for step in (VERSIONS, DECISIONS, EVENTS, DRIFT_REPORTS, TRAFFIC, GRANTS):
        op.execute(step)
