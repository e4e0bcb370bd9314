"""Which versions of tables, Postgres and packages a stack has."""

from __future__ import annotations

from importlib.metadata import version
from urllib.parse import urlsplit

import psycopg2
from alembic.config import Config
from alembic.script import ScriptDirectory

from gauntlet.adapters.databases import revisions
from gauntlet.adapters.postgres import address, away
from gauntlet.jobs.backup import BackupError, Origin


def origin(superuser_url: str, form: str, product: str, object_store: str) -> Origin:
    """Return what a backup must know of the stack at that Postgres; raises BackupError when it has no tables yet."""
    url = urlsplit(superuser_url)._replace(path="/gauntlet").geturl()
    try:
        conn = psycopg2.connect(url, connect_timeout=5)
    except psycopg2.OperationalError as error:
        raise away(address(url), error) from error
    major = conn.server_version // 10_000
    conn.close()
    found, _ = revisions(url)
    if found is None:
        raise BackupError("The stack must have its tables; found none. Start it: gauntlet up")
    return Origin(
        form=form,
        product=product,
        postgres=major,
        revision=found,
        airflow=version("apache-airflow-core"),
        mlflow=version("mlflow"),
        object_store=object_store,
    )


def known_revisions() -> frozenset[str]:
    """Return every revision of the product's tables that this code can bring up to date."""
    config = Config()
    config.set_main_option("script_location", "gauntlet:migrations")
    return frozenset(script.revision for script in ScriptDirectory.from_config(config).walk_revisions())
