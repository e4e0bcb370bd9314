"""The watch over production: rows that it and the version before it have scored, and what each look at them said."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# `event_id` is the promotion that brought the champion; each row counts once for it. NaN is greater than infinity.
ROWS = """
create table ledger.watched_row (
    event_id        bigint not null references ledger.production_event (id),
    row_id          bigint not null,
    champion_loss   double precision not null check (champion_loss >= 0 and champion_loss < 'Infinity'),
    previous_loss   double precision not null check (previous_loss >= 0 and previous_loss < 'Infinity'),
    run_key         text not null,
    at              timestamptz not null default clock_timestamp(),
    primary key (event_id, row_id)
);
create index watched_row_run on ledger.watched_row (event_id, run_key)
"""

# `at` is the run's own time, by which automatic rollbacks keep their distance.
LOOKS = """
create table ledger.watch_look (
    id          bigint primary key generated always as identity,
    at          timestamptz not null,
    spec        text not null,
    run_key     text not null,
    event_id    bigint not null references ledger.production_event (id),
    champion    integer not null,
    previous    integer not null,
    rows        bigint not null,
    effect      double precision,
    lower_bound double precision,
    upper_bound double precision,
    outcome     text not null check (outcome in ('TOO_FEW_ROWS', 'NOT_WORSE', 'WORSE', 'PROPOSE', 'ROLL_BACK')),
    reason      text not null,
    unique (spec, run_key)
);
create unique index watch_look_acts_once on ledger.watch_look (event_id) where outcome in ('PROPOSE', 'ROLL_BACK');
create index watch_look_newest on ledger.watch_look (spec, id desc)
"""

GRANTS = "grant select, insert on ledger.watched_row, ledger.watch_look to gauntlet_app"


def upgrade() -> None:
    """Make the two tables; the pipeline may add to them and read them, and no more."""
    for step in (ROWS, LOOKS, GRANTS):
        op.execute(step)
