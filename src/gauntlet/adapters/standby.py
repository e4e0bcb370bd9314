"""Databases that are restored beside the stack's own and take their place in one transaction."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from urllib.parse import urlsplit

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection

from gauntlet.adapters.databases import GUESTS, OWNERS
from gauntlet.adapters.postgres import address, away
from gauntlet.jobs.backup import State
from gauntlet.jobs.manifest import BackupError
from gauntlet.jobs.stack import SUPERUSER

STANDBY, REPLACED = "restored", "replaced"
# Any number that no other program uses: the first eight letters of "restoring" as bytes.
LOCK = int.from_bytes(b"restorin", "big", signed=True)
TRIES = 20
# the columns in which rows name objects by their whole address
TEXTS = {
    "gauntlet": (("ledger", "version", "snapshot_uri"), ("ledger", "version", "profile_uri"),
                 ("ledger", "drift_report", "snapshot_uri"), ("mart", "batch", "uri"), ("mart", "batch", "kept_uri"),
                 ("mart", "batch", "output_uri"), ("mart", "batch_file", "uri"), ("mart", "arrival", "uri"),
                 ("mart", "model", "snapshot_uri")),
    "mlflow": (("public", "model_version_tags", "value"), ("public", "params", "value"), ("public", "tags", "value")),
}  # fmt: skip
JSONS = {
    "gauntlet": (
        ("ledger", "drift_report", "report"),
        ("ledger", "decision", "evidence"),
        ("ledger", "production_event", "evidence"),
    ),
    "airflow": (("public", "xcom", "value"),),  # what a run that was under way hands on to its next tasks
}

MOVE_TEXT = """
    update {table} set {column} = %(new)s || substr({column}, length(%(old)s) + 1) where starts_with({column}, %(old)s)
"""
MOVE_JSON = """
    update {table} set {column} = replace({column}::text, '"' || %(old)s, '"' || %(new)s)::{kind}
    where strpos({column}::text, '"' || %(old)s) > 0
"""


# A dump names no owners, and all that is loaded is the database's owner's; the pipeline made these and alters them.
# A sequence that belongs to a column has its table's owner.
MART_RELATIONS = """
    select c.relname::text, c.relkind::text from pg_catalog.pg_class as c
    where c.relnamespace = pg_catalog.to_regnamespace('mart') and c.relkind in ('r', 'v', 'S')
          and not exists (select from pg_catalog.pg_depend as d
                          where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.objid = c.oid
                                and c.relkind = 'S' and d.deptype in ('a', 'i'))
"""
RELATION_KINDS = {"r": "table", "v": "view", "S": "sequence"}


class PostgresStandby:
    """The standbys on one Postgres server, by the URL of each role.

    What is inside of a database that was restored is only looked at as its owner: its triggers and views run what the
    backup says with the rights of whoever asks.
    """

    def __init__(self, urls: Mapping[str, str]) -> None:
        self._urls = urls

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other restores out; raises BackupError while one works."""
        with closing(self._connect("postgres")) as conn, conn.cursor() as cursor:
            conn.autocommit = True
            cursor.execute("select pg_try_advisory_lock(%s)", (LOCK,))
            if cursor.fetchone() != (True,):
                raise BackupError("One restore must be done before another begins; one is working. Wait for its end.")
            yield

    def state(self, identity: str) -> State:
        """Say whether a restore of the backup of that identity may begin.

        The replaced databases stay until a restore is done, so their being there marks one that was cut off after the
        swap; before the swap the stack's own databases are still empty.
        """
        with closing(self._connect("postgres")) as conn, conn.cursor() as cursor:
            cursor.execute("select datname, shobj_description(oid, 'pg_database') from pg_database")
            comments = dict(cursor.fetchall())
        if f"gauntlet_{REPLACED}" in comments and comments.get("gauntlet") == _comment(identity):
            return State.DONE
        ledger = "select exists (select from ledger.version) or exists (select from ledger.production_event)"
        models = "select exists (select from registered_models)"
        occupied = self._says("gauntlet", "ledger.version", ledger) or self._says("mlflow", "registered_models", models)
        return State.OCCUPIED if occupied else State.EMPTY

    def prepare(self) -> Mapping[str, str]:
        """Make an empty standby of each database; returns their names."""
        names = {database: f"{database}_{STANDBY}" for database in OWNERS}
        with self._server() as conn, conn.cursor() as cursor:
            for database, name in names.items():
                standby, owner = sql.Identifier(name), sql.Identifier(OWNERS[database])
                cursor.execute(sql.SQL("drop database if exists {} with (force)").format(standby))
                cursor.execute(sql.SQL("create database {} owner {}").format(standby, owner))
                cursor.execute(sql.SQL("revoke connect, temporary on database {} from public").format(standby))
                for guest in GUESTS.get(database, ()):
                    cursor.execute(sql.SQL("grant connect on database {} to {}").format(standby, sql.Identifier(guest)))
        return names

    def revision(self) -> str | None:
        """Return the revision of the product's tables in their standby; None when there are none."""
        with closing(self._connect(f"gauntlet_{STANDBY}", "gauntlet")) as conn, conn.cursor() as cursor:
            cursor.execute("select to_regclass('public.alembic_version') is not null")
            if cursor.fetchone() != (True,):
                return None
            cursor.execute("select string_agg(version_num, ', ') from public.alembic_version")
            (found,) = cursor.fetchone() or (None,)
            return None if found is None else str(found)

    def move_root(self, old: str, new: str) -> int:
        """Let the rows of the standbys name objects under another root; returns how many values were changed."""
        moved = 0
        for database in OWNERS:
            with closing(self._connect(f"{database}_{STANDBY}", database)) as conn, conn:
                for command, columns in ((MOVE_TEXT, TEXTS), (MOVE_JSON, JSONS)):
                    for column in columns.get(database, ()):
                        moved += _move(conn, command, column, {"old": f"{old}/", "new": f"{new}/"})
        return moved

    def swap(self, identity: str) -> None:
        """Put the standbys in the place of the stack's databases, in one transaction."""
        self._hand_over()
        with closing(self._connect("postgres")) as conn:
            with conn, conn.cursor() as cursor:
                name = sql.Identifier(f"gauntlet_{STANDBY}")
                cursor.execute(sql.SQL("comment on database {} is %s").format(name), (_comment(identity),))
            for tries in range(TRIES):
                try:
                    with conn, conn.cursor() as cursor:
                        _rename_all(cursor)
                except psycopg2.errors.ObjectInUse:  # a client came between
                    if tries == TRIES - 1:
                        raise BackupError(
                            "Nobody must use the databases while they are put in place; somebody keeps connecting. "
                            "End other commands on this stack, then restore again."
                        ) from None
                    time.sleep(0.2)
                else:
                    return

    def clean(self) -> None:
        """Drop the databases that were replaced, and standbys left over."""
        with self._server() as conn, conn.cursor() as cursor:
            for database in OWNERS:
                for name in (f"{database}_{REPLACED}", f"{database}_{STANDBY}"):
                    cursor.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))

    def _hand_over(self) -> None:
        """Give the marts' tables back to the pipeline's role. No rows are read, so nothing of the backup runs."""
        with closing(self._connect(f"gauntlet_{STANDBY}")) as conn, conn, conn.cursor() as cursor:
            cursor.execute("set search_path = pg_catalog")
            cursor.execute(MART_RELATIONS)
            for name, kind in cursor.fetchall():
                command = sql.SQL("alter {} {} owner to {}")
                place, role = sql.Identifier("mart", name), sql.Identifier("gauntlet_app")
                cursor.execute(command.format(sql.SQL(RELATION_KINDS[kind]), place, role))

    def _says(self, database: str, table: str, question: str) -> bool:
        """Answer a question about a database; no where it or the table is not there."""
        try:
            conn = self._connect(database, database)
        except psycopg2.OperationalError:
            return False
        with closing(conn), conn.cursor() as cursor:
            cursor.execute("select to_regclass(%s) is not null", (table,))
            if cursor.fetchone() != (True,):
                return False
            cursor.execute(question)
            return cursor.fetchone() == (True,)

    @contextmanager
    def _server(self) -> Iterator[connection]:
        with closing(self._connect("postgres")) as conn:
            conn.autocommit = True  # a database cannot be made or dropped in a transaction
            yield conn

    def _connect(self, database: str, role: str = SUPERUSER) -> connection:
        url = urlsplit(self._urls[role])._replace(path=f"/{database}").geturl()
        try:
            return psycopg2.connect(url, connect_timeout=5, application_name="gauntlet restore")
        except psycopg2.OperationalError as error:
            if "does not exist" in str(error):
                raise
            raise away(address(url), error) from error


def _rename_all(cursor: psycopg2.extensions.cursor) -> None:
    names = [name for database in OWNERS for name in (database, f"{database}_{STANDBY}")]
    cursor.execute("select pg_terminate_backend(pid, 2000) from pg_stat_activity where datname = any(%s)", (names,))
    for database in OWNERS:
        for old, new in ((database, f"{database}_{REPLACED}"), (f"{database}_{STANDBY}", database)):
            cursor.execute(sql.SQL("alter database {} rename to {}").format(sql.Identifier(old), sql.Identifier(new)))


def _move(conn: connection, command: str, column: tuple[str, str, str], roots: Mapping[str, str]) -> int:
    schema, table, name = column
    with conn.cursor() as cursor:
        cursor.execute(
            "select data_type from information_schema.columns "
            "where (table_schema, table_name, column_name) = (%s, %s, %s)",
            column,
        )
        kind = cursor.fetchone()
        if kind is None:  # older or newer tables may lack it
            return 0
        cursor.execute(
            sql.SQL(command).format(
                table=sql.Identifier(schema, table), column=sql.Identifier(name), kind=sql.SQL(kind[0])
            ),
            roots,
        )
        return int(cursor.rowcount)


def _comment(identity: str) -> str:
    return f"restored from the backup {identity}"
