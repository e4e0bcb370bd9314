"""The database brought to its newest form."""

import psycopg2
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.pool import NullPool

from gauntlet.adapters.postgres import address, away

# Any number that no other program on this database uses: "gauntlet" as bytes.
LOCK = int.from_bytes(b"gauntlet", "big", signed=True)


def migrate(database_url: str) -> None:
    """Run every migration that is missing, in one transaction, as the owner of the database.

    Does nothing on an up-to-date database; of two calls at once one waits for the other. Raises ServiceAway when
    Postgres does not answer.
    """
    # A plain postgresql:// would mean psycopg 3 to SQLAlchemy.
    url = make_url(database_url).set(drivername="postgresql+psycopg2")
    config = Config()
    config.set_main_option("script_location", "gauntlet:migrations")
    engine = create_engine(url, poolclass=NullPool, connect_args={"connect_timeout": 5})
    try:
        connection = engine.connect()
    except Exception as error:
        if isinstance(error.__cause__, psycopg2.OperationalError):
            raise away(address(database_url), error.__cause__) from error
        raise
    with connection, connection.begin():
        connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": LOCK})
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
