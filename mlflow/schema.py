"""Brings the tables of an older MLflow to those of this one: `schema.py`, the database in MLFLOW_BACKEND_STORE_URI.

MLflow makes its tables in an empty database by itself, and refuses to start on those of another version. Looking costs
a tenth of a second; MLflow itself is imported only when there is something to do.
"""

import importlib.util
import os
import re
from contextlib import closing
from pathlib import Path

import psycopg2

REVISION = re.compile(r"""^(down_revision|revision)\s*(?::[^=]*)?=\s*["'](\w+)["']""", re.MULTILINE)


def bring_up_to_date(url: str) -> None:
    """Migrate the tables unless they are this version's, or there are none; `url` is SQLAlchemy's."""
    found, newest = present(url), head()
    if found is None or found == newest:
        return
    print(f"MLflow's tables: from revision {found} to {newest}", flush=True)  # noqa: T201 - this is a program
    from mlflow.store.db.utils import _upgrade_db, create_sqlalchemy_engine_with_retry

    _upgrade_db(create_sqlalchemy_engine_with_retry(url))


def present(url: str) -> str | None:
    """Return the revision of the tables in the database; None when it has none."""
    with closing(psycopg2.connect(url.replace("+psycopg2", "", 1), connect_timeout=5)) as conn, conn.cursor() as cursor:
        cursor.execute("select to_regclass('public.alembic_version') is not null")
        if cursor.fetchone() != (True,):
            return None
        cursor.execute("select version_num from alembic_version")
        row = cursor.fetchone()
        return None if row is None else str(row[0])


def head() -> str:
    """Return the newest revision that the installed MLflow knows: the one that no other follows."""
    spec = importlib.util.find_spec("mlflow")
    assert spec is not None  # noqa: S101 - it is installed with this product
    assert spec.submodule_search_locations  # noqa: S101 - and a package
    steps = Path(spec.submodule_search_locations[0], "store", "db_migrations", "versions")
    texts = [path.read_text(encoding="utf-8") for path in steps.glob("*.py")]
    found = [match for text in texts for match in REVISION.findall(text)]
    newest = {name for kind, name in found if kind == "revision"} - {
        name for kind, name in found if kind == "down_revision"
    }
    if len(newest) != 1:
        raise RuntimeError(
            f"MLflow's migrations must end in one revision; found {sorted(newest)}. "
            "Install MLflow anew: make setup, or docker compose build"
        )
    return newest.pop()


if __name__ == "__main__":
    bring_up_to_date(os.environ["MLFLOW_BACKEND_STORE_URI"])
