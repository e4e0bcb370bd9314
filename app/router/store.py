"""The traffic configuration of every spec, kept in Postgres: one for all workers, read anew by every request."""

import logging
import queue
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg2
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from psycopg2.extras import Json

from router.errors import Refused

CONNECTIONS = 8
PATIENCE = 5
READ = "select config from router.traffic where spec = %s"
LOCK = "select pg_advisory_xact_lock(hashtext('router.traffic'), hashtext(%s))"
WRITE = """
    insert into router.traffic (spec, config, updated_at) values (%s, %s, now())
    on conflict (spec) do update set config = excluded.config, updated_at = excluded.updated_at
"""
Config = dict[str, Any]
Result = TypeVar("Result")
log = logging.getLogger(__name__)


class TrafficStore:
    """The table router.traffic, over a few kept connections that are opened when first needed (so, after a fork)."""

    def __init__(self, url: str, connections: int = CONNECTIONS) -> None:
        self._url = url
        # The last used comes first: what was found dead and closed is the first to be opened again.
        self._idle: queue.LifoQueue[Connection | None] = queue.LifoQueue()
        for _ in range(connections):
            self._idle.put(None)

    def read(self, spec: str) -> Config | None:
        """The stored configuration; None when nobody has changed it yet. Refused (503) when Postgres is away."""
        return self._run(lambda connection: _read(connection, spec))

    def update(self, spec: str, change: Callable[[Config | None], Config]) -> Config:
        """Replace the configuration by what `change` makes of it; concurrent updates come one after another."""

        def work(connection: Connection) -> Config:
            connection.autocommit = False
            try:
                with connection, connection.cursor() as cursor:
                    cursor.execute(LOCK, (spec,))
                    config = change(_read(connection, spec))
                    cursor.execute(WRITE, (spec, Json(config)))
            finally:
                if not connection.closed:
                    connection.autocommit = True
            return config

        return self._run(work)

    def _run(self, work: Callable[[Connection], Result]) -> Result:
        """Do `work`; once more on a new connection when the kept one proves dead (every work can be redone)."""
        try:
            try:
                with self._connection(fresh=False) as connection:
                    return work(connection)
            except (psycopg2.OperationalError, psycopg2.InterfaceError):
                with self._connection(fresh=True) as connection:
                    return work(connection)
        except psycopg2.Error as error:
            reason = str(error).strip().partition("\n")[0]
            log.warning("the database does not answer: %s", reason)
            remedy = "Start Postgres, bring its schema up to date (gauntlet up does both), and ask again."
            raise Refused(503, "The database must answer", type(error).__name__, remedy) from error

    @contextmanager
    def _connection(self, *, fresh: bool) -> Iterator[Connection]:
        try:
            connection = self._idle.get(timeout=PATIENCE)
        except queue.Empty:
            raise psycopg2.OperationalError(f"no free connection within {PATIENCE} s") from None
        try:
            if fresh and connection is not None:
                connection.close()
            if fresh or connection is None or connection.closed:
                connection = None
                connection = _connect(self._url)
            yield connection
        except psycopg2.Error:
            if connection is not None:
                connection.close()
            raise
        finally:
            self._idle.put(None if connection is None or connection.closed else connection)


def _connect(url: str) -> Connection:
    connection = psycopg2.connect(
        url,
        connect_timeout=PATIENCE,
        application_name="gauntlet-router",
        options=f"-c statement_timeout={PATIENCE}s -c idle_in_transaction_session_timeout={PATIENCE}s",
        tcp_user_timeout=PATIENCE * 1000,
    )
    connection.autocommit = True
    return connection


def _read(connection: Connection, spec: str) -> Config | None:
    with connection.cursor() as cursor:
        cursor.execute(READ, (spec,))
        row = cursor.fetchone()
    return row[0] if row else None
