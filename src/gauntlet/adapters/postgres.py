"""One kept Postgres connection for each thread of each process, with reconnection and readable errors."""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar
from urllib.parse import urlsplit

import psycopg2
import psycopg2.extensions
import psycopg2.extras

from gauntlet.jobs.ports import ServiceAway, StoreError

log = logging.getLogger(__name__)

T = TypeVar("T")
Cursor = psycopg2.extensions.cursor
Connection = psycopg2.extensions.connection

# Of the server's error classes: connection failure, too many connections or disk full, shutdown or crash.
LOST_CLASSES = ("08", "53", "57P")
PAUSE = 0.1


def address(url: str) -> str:
    """Return HOST:PORT/DATABASE of a database URL: what may be shown of it."""
    parts = urlsplit(url)
    return f"{parts.hostname or 'localhost'}:{parts.port or 5432}{parts.path}"


def away(where: str, error: BaseException) -> ServiceAway:
    """Return the error that says Postgres did not answer, and what to do."""
    said = " ".join(str(error).split()) or type(error).__name__
    return ServiceAway(f'Postgres must answer at {where}; found "{said}". Start the stack, or correct its URL.')


class Database:
    """A Postgres database. Connections are opened when first needed, in the process and thread that needs them.

    A transaction that loses its connection is run again for up to `patience` seconds, so what it does must be
    idempotent; after that ServiceAway is raised.
    """

    def __init__(self, url: str, patience: float) -> None:
        # libpq does not know SQLAlchemy's names of drivers.
        self._url = url.replace("postgresql+psycopg2://", "postgresql://", 1)
        self._address = address(url)
        self._patience = patience
        self._local = threading.local()

    def transact(self, work: Callable[[Cursor], T]) -> T:
        """Return what `work` returns, run in one transaction that is committed after it."""
        return self._patiently(lambda: self._attempt(work))

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold the advisory lock of that name, on a connection of its own, until the block or the process ends."""
        connection = self._patiently(lambda: self._locked(name))
        try:
            yield
        finally:
            with suppress(psycopg2.Error):
                connection.close()

    def _patiently(self, attempt: Callable[[], T]) -> T:
        deadline = time.monotonic() + self._patience
        while True:
            try:
                return attempt()
            except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
                if not _lost(error):
                    raise
                self._drop()
                if time.monotonic() > deadline or "authentication failed" in str(error):
                    raise away(self._address, error) from error
                time.sleep(PAUSE)

    def _attempt(self, work: Callable[[Cursor], T]) -> T:
        connection = self._kept()
        try:
            with connection, connection.cursor() as cursor:
                return work(cursor)
        except (psycopg2.errors.UndefinedTable, psycopg2.errors.UndefinedColumn) as error:
            raise StoreError(
                f"The tables at {self._address} must be those that this code knows; found: "
                f"{error.diag.message_primary}. Bring them up to date: gauntlet up (containers: docker compose up -d)."
            ) from error

    def _kept(self) -> Connection:
        # A forked child must not speak on its parent's connection; psycopg2 leaves that one open when it is dropped.
        if getattr(self._local, "process", None) != os.getpid():
            self._local.connection = self._connect()
            self._local.process = os.getpid()
        kept: Connection = self._local.connection
        return kept

    def _drop(self) -> None:
        self._local.__dict__.clear()

    def _connect(self) -> Connection:
        return psycopg2.connect(
            self._url,
            cursor_factory=psycopg2.extras.NamedTupleCursor,
            connect_timeout=5,
            options="-c timezone=UTC",
            application_name="gauntlet",
            keepalives_idle=30,
        )

    def _locked(self, name: str) -> Connection:
        connection = self._connect()
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("select pg_try_advisory_lock(hashtextextended(%s, 0))", (name,))
            if cursor.fetchone() != (True,):
                log.info("waiting for the lock %s", name)
                cursor.execute("select pg_advisory_lock(hashtextextended(%s, 0))", (name,))
        return connection


def _lost(error: psycopg2.Error) -> bool:
    return error.pgcode is None or error.pgcode.startswith(LOST_CLASSES)
