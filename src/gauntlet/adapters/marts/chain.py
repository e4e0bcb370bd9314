"""The marts' own tables, brought to their newest form by the role that uses them."""

import logging
from typing import Final

import psycopg2.errors
from alembic import command
from alembic.config import Config
from alembic.util.exc import CommandError
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from gauntlet.adapters.databases import opened
from gauntlet.adapters.postgres import Cursor, address
from gauntlet.jobs.ports import StoreError

log = logging.getLogger(__name__)

HEAD: Final = "m0001"
"""The newest revision: written down, so that nothing has to be loaded to see that a database has it."""

# Any number that no other program on this database uses: "gauntmrt" as bytes.
LOCK: Final = int.from_bytes(b"gauntmrt", "big", signed=True)


def is_newest(cursor: Cursor) -> bool:
    """Say whether the marts' own tables are there, in their newest form."""
    cursor.execute("select to_regclass('mart.alembic_version') is not null")
    if cursor.fetchone() != (True,):
        return False
    cursor.execute("select version_num from mart.alembic_version")
    return cursor.fetchall() == [(HEAD,)]


def bring_up(url: str) -> None:
    """Make the schema, if there is none, and run every step that is missing; of two calls at once one waits.

    Raises StoreError where the role may not, or where the tables are those of a newer Gauntlet.
    """
    where = address(url)
    log.info("bringing the marts at %s up to date", where)
    try:
        with opened(url) as conn, conn.begin():
            conn.execute(text("select pg_advisory_xact_lock(:key)"), {"key": LOCK})
            if conn.scalar(text("select to_regnamespace('mart') is null")):
                conn.execute(text("create schema mart"))
            config = Config()
            config.set_main_option("script_location", "gauntlet:mart_migrations")
            config.attributes["connection"] = conn
            command.upgrade(config, "head")
    except CommandError as error:
        raise StoreError(
            f"The marts at {where} must be of this version of Gauntlet or an older one; found: {error}. Use the newer "
            "Gauntlet."
        ) from error
    except ProgrammingError as error:
        if not isinstance(error.orig, psycopg2.errors.InsufficientPrivilege):
            raise
        raise may_not(where, error.orig) from error


def may_not(where: str, error: psycopg2.errors.InsufficientPrivilege) -> StoreError:
    """Return the error that says that a role may not make tables, and what to do."""
    return StoreError(
        f"The role of MART_DATABASE_URL must be allowed to make tables in the schema mart at {where}; found: "
        f"{error.diag.message_primary}. Let its owner: grant create on database NAME to ROLE, or, where there is a "
        "schema mart: grant usage, create on schema mart to ROLE."
    )
