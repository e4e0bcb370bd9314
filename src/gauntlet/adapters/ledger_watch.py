"""The watch's part of the ledger in Postgres: rows scored twice, and looks at them."""

from collections.abc import Sequence
from typing import Any

import psycopg2
from psycopg2.extras import execute_values

from gauntlet.adapters.ledger_rows import fetch
from gauntlet.adapters.postgres import Database
from gauntlet.domain.confidence_sequence import PairedSums
from gauntlet.jobs.ports import StoreError
from gauntlet.jobs.watch_ports import Look, WatchedRow, WatchOutcome

# Postgres sums squares and products about the running means (Youngs and Cramer), so that nothing cancels.
SUMS = """
    select count(*) as rows, avg(previous_loss) as mean_previous, avg(champion_loss) as mean_production,
           regr_sxx(champion_loss, previous_loss) as square_previous,
           regr_syy(champion_loss, previous_loss) as square_production,
           regr_sxy(champion_loss, previous_loss) as product
    from ledger.watched_row where event_id = %s
"""

ADD_ROWS = """
    insert into ledger.watched_row (event_id, row_id, champion_loss, previous_loss, run_key) values %s
    on conflict do nothing
"""

ADD_LOOK = """
    insert into ledger.watch_look
        (at, spec, run_key, event_id, champion, previous, rows, effect, lower_bound, upper_bound, outcome, reason)
    values (%(at)s, %(spec)s, %(run_key)s, %(event)s, %(champion)s, %(previous)s, %(rows)s, %(effect)s, %(lower)s,
            %(upper)s, %(outcome)s, %(reason)s)
    on conflict (spec, run_key) do nothing
"""


class PostgresWatch:
    """The watch's tables, by a database URL of a role that may read and insert."""

    def __init__(self, database_url: str, patience: float = 5.0) -> None:
        self._database = Database(database_url, patience)

    def seen(self, event: int, row_ids: Sequence[int]) -> set[int]:
        """Return which of these rows count for a promotion already."""
        sql = "select row_id from ledger.watched_row where event_id = %s and row_id = any(%s)"
        return {row.row_id for row in self._all(sql, (event, [int(row_id) for row_id in row_ids]))}

    def add_rows(self, event: int, run_key: str, rows: Sequence[WatchedRow]) -> None:
        """Add rows, all or none; one that counts already is left as it is."""
        ordered = sorted(rows)  # two runs that add the same rows in another order would wait for each other for ever
        values = [(event, int(row.row_id), *(float(loss) for loss in row[1:]), run_key) for row in ordered]
        self._database.transact(lambda cursor: execute_values(cursor, ADD_ROWS, values, page_size=1000))

    def rows_of_run(self, event: int, run_key: str) -> int:
        """Return how many rows a run has added."""
        sql = "select count(*) as rows from ledger.watched_row where event_id = %s and run_key = %s"
        return int(self._all(sql, (event, run_key))[0].rows)

    def sums(self, event: int) -> PairedSums | None:
        """Return means, squares and products of the losses of a promotion's rows; None when it has none."""
        found = self._all(SUMS, (event,))[0]
        return PairedSums(**found._asdict()) if found.rows else None

    def add_look(self, look: Look) -> Look:
        """Record a look, or return the one its run key has; raises StoreError for a second one that acts."""
        row = {**vars(look), "outcome": look.outcome.value}
        try:
            self._database.transact(lambda cursor: cursor.execute(ADD_LOOK, row))
        except psycopg2.errors.UniqueViolation as error:
            raise StoreError(
                f"a promotion must be acted on once; another run has done so for {look.spec} v{look.champion}. "
                "Look again: gauntlet watch."
            ) from error
        return self._looks("spec = %s and run_key = %s", (look.spec, look.run_key))[0]

    def look(self, spec: str, run_key: str) -> Look | None:
        """Return the look of a run."""
        found = self._looks("spec = %s and run_key = %s", (spec, run_key))
        return found[0] if found else None

    def looks(self, event: int) -> Sequence[Look]:
        """Return every look at a promotion, oldest first."""
        return self._looks("event_id = %s", (event,))

    def last_rollback(self, spec: str) -> Look | None:
        """Return the newest look that ordered a rollback, of any promotion."""
        found = self._looks("spec = %s and outcome = %s", (spec, WatchOutcome.ROLL_BACK.value))
        return found[-1] if found else None

    def _all(self, sql: str, arguments: Any) -> list[Any]:
        return self._database.transact(lambda cursor: fetch(cursor, sql, arguments))

    def _looks(self, condition: str, arguments: tuple[Any, ...]) -> list[Look]:
        sql = f"select * from ledger.watch_look where {condition} order by id"  # noqa: S608 - a condition written here
        return [_to_look(row) for row in self._all(sql, arguments)]


def _to_look(row: Any) -> Look:
    return Look(
        at=row.at,
        spec=row.spec,
        run_key=row.run_key,
        event=row.event_id,
        champion=row.champion,
        previous=row.previous,
        rows=row.rows,
        effect=row.effect,
        lower=row.lower_bound,
        upper=row.upper_bound,
        outcome=WatchOutcome(row.outcome),
        reason=row.reason,
    )
