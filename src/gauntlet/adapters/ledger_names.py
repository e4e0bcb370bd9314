"""What the ledger names and pruning must leave: objects by their file names, and MLflow's runs."""

from gauntlet.adapters.postgres import Cursor, Database
from gauntlet.jobs.prune import Named

# evidence and reports may name an object anywhere inside
OBJECTS = """
    select snapshot_uri from ledger.version union select profile_uri from ledger.version
    union select snapshot_uri from ledger.drift_report
    union select text #>> '{}' from ledger.decision, jsonb_path_query(evidence, '$.**') as text
          where jsonb_typeof(text) = 'string'
    union select text #>> '{}' from ledger.production_event, jsonb_path_query(evidence, '$.**') as text
          where jsonb_typeof(text) = 'string'
    union select text #>> '{}' from ledger.drift_report, jsonb_path_query(report, '$.**') as text
          where jsonb_typeof(text) = 'string'
"""
RUNS = """
    select run_id from ledger.version union select champion_run_id from ledger.decision
    union select challenger_run_id from ledger.decision union select run_id from ledger.production_event
"""


class LedgerNames:
    """The ledger at the URL of a role that may read it."""

    def __init__(self, database_url: str, patience: float = 5.0) -> None:
        self._database = Database(database_url, patience)

    def named(self) -> Named:
        """Return every object and run that the ledger names."""

        def work(cursor: Cursor) -> Named:
            texts = _column(cursor, OBJECTS)
            files = frozenset(text.rpartition("/")[2] for text in texts if text.startswith(("file:", "s3:")))
            return Named(files, frozenset(_column(cursor, RUNS)), frozenset())

        return self._database.transact(work)


def _column(cursor: Cursor, query: str) -> list[str]:
    cursor.execute(query)
    return [value for (value,) in cursor.fetchall() if value]
