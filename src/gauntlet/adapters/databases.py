"""The roles, databases and tables that the services need: made where they are missing, brought to their newest form."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager

import psycopg2
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from psycopg2 import sql
from psycopg2.extensions import connection, encrypt_password
from sqlalchemy import Connection, create_engine, make_url, text
from sqlalchemy.pool import NullPool

from gauntlet.adapters.postgres import address, away
from gauntlet.domain.errors import Final
from gauntlet.jobs.stack import DATABASES, ROLES

log = logging.getLogger(__name__)

# database: its owner; and who else may connect to it
OWNERS = {DATABASES[role]: role for role in ROLES if DATABASES[role] == role}
GUESTS = {name: tuple(role for role in ROLES if DATABASES[role] == name != role) for name in OWNERS}
# Any number that no other program on this database uses: "gauntlet" as bytes.
LOCK = int.from_bytes(b"gauntlet", "big", signed=True)


class WrongPassword(Final):
    """Postgres answered, and knows this role by another password."""


def ensure(superuser_url: str, passwords: Mapping[str, str]) -> None:
    """Create the roles and databases that are missing, and give each role of ROLES the password in `passwords`.

    Of two calls at once one waits for the other. Raises WrongPassword, or ServiceAway when Postgres does not answer.
    """
    with closing(_connect(superuser_url)) as conn:
        conn.autocommit = True  # a database cannot be created in a transaction
        with conn.cursor() as cursor:
            cursor.execute("select pg_advisory_lock(%s)", (LOCK,))
            cursor.execute("select rolname from pg_roles")
            known = {name for (name,) in cursor.fetchall()}
            for role in ROLES:
                verb = sql.SQL("alter" if role in known else "create")
                # only the verifier is sent: a statement that fails is logged as it is
                verifier = encrypt_password(passwords[role], role, scope=conn, algorithm="scram-sha-256")
                cursor.execute(
                    sql.SQL("{} role {} login password {}").format(verb, sql.Identifier(role), sql.Literal(verifier))
                )
            cursor.execute("select datname from pg_database")
            databases = {name for (name,) in cursor.fetchall()}
            for database in OWNERS:
                if database not in databases:
                    _create(conn, database)
                _grant(conn, database)


def migrate(owner_url: str, revision: str = "head") -> None:
    """Run every migration that is missing up to a revision, in one transaction, as the owner of the database.

    Does nothing on an up-to-date database; of two calls at once one waits for the other. Raises ServiceAway when
    Postgres does not answer.
    """
    with opened(owner_url) as conn, conn.begin():
        conn.execute(text("select pg_advisory_xact_lock(:key)"), {"key": LOCK})
        config = _alembic()
        config.attributes["connection"] = conn
        command.upgrade(config, revision)


def revisions(url: str) -> tuple[str | None, str]:
    """Return the revision of the product's tables, None when there are none, and the newest one that this code knows.

    Any role that may read the table alembic_version can ask. Raises ServiceAway when Postgres does not answer.
    """
    with opened(url) as conn:
        found = MigrationContext.configure(conn).get_current_revision()
    return found, str(ScriptDirectory.from_config(_alembic()).get_current_head())


def known_revisions() -> frozenset[str]:
    """Return every revision of the product's tables that this code can bring up to date."""
    return frozenset(script.revision for script in ScriptDirectory.from_config(_alembic()).walk_revisions())


def _alembic() -> Config:
    config = Config()
    config.set_main_option("script_location", "gauntlet:migrations")
    return config


@contextmanager
def opened(url: str) -> Iterator[Connection]:
    """Open a database for Alembic; raises ServiceAway when Postgres does not answer."""
    # A plain postgresql:// would mean psycopg 3 to SQLAlchemy.
    engine = create_engine(
        make_url(url).set(drivername="postgresql+psycopg2"), poolclass=NullPool, connect_args={"connect_timeout": 5}
    )
    try:
        conn = engine.connect()
    except Exception as error:
        if isinstance(error.__cause__, psycopg2.OperationalError):
            raise away(address(url), error.__cause__) from error
        raise
    with conn:
        yield conn


def _connect(url: str) -> connection:
    try:
        return psycopg2.connect(url, connect_timeout=5)
    except psycopg2.OperationalError as error:
        if "password authentication failed" in str(error):
            raise WrongPassword(
                f"POSTGRES_PASSWORD must be the password that the database at {address(url)} was made with; it has "
                "another. Put the old one back into .env, or give the database the new one: docker compose exec "
                "postgres psql -U postgres -c \"alter role postgres password 'THE NEW ONE'\"; or begin anew, without "
                "any data: docker compose down -v. Then: docker compose up -d"
            ) from None
        raise away(address(url), error) from error


def _create(conn: connection, database: str) -> None:
    log.info("making the database %s", database)
    with conn.cursor() as cursor:
        name, owner = sql.Identifier(database), sql.Identifier(OWNERS[database])
        cursor.execute(sql.SQL("create database {} owner {}").format(name, owner))


def _grant(conn: connection, database: str) -> None:
    with conn.cursor() as cursor:
        name = sql.Identifier(database)
        cursor.execute(sql.SQL("revoke connect, temporary on database {} from public").format(name))
        for guest in GUESTS[database]:
            cursor.execute(sql.SQL("grant connect on database {} to {}").format(name, sql.Identifier(guest)))
