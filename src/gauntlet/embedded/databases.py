"""Whether the stack's databases answer, and what Airflow wrote into its own."""

from __future__ import annotations

import time

import psycopg2

from gauntlet.embedded.config import StackConfig
from gauntlet.embedded.environment import database_url
from gauntlet.embedded.secrets import Secrets


def wait(config: StackConfig, role: str, password: str, database: str) -> None:
    """Return once this role can open this database; waits as long as it takes."""
    while not answers(config, role, password, database):
        time.sleep(0.2)


def answers(config: StackConfig, role: str, password: str, database: str) -> bool:
    """Say whether this role can open this database now."""
    try:
        psycopg2.connect(database_url(config, role, password, database), connect_timeout=3).close()
    except psycopg2.OperationalError:
        return False
    return True


def airflow_revision(config: StackConfig, secrets: Secrets) -> str | None:
    """Return the revision of Airflow's schema; None for an empty database."""
    conn = psycopg2.connect(database_url(config, "airflow", secrets.airflow, "airflow"), connect_timeout=3)
    try:
        with conn, conn.cursor() as cursor:
            cursor.execute("select to_regclass('alembic_version') is not null")
            if cursor.fetchone() != (True,):
                return None
            cursor.execute("select version_num from alembic_version")
            found = cursor.fetchone()
            return None if found is None else str(found[0])
    finally:
        conn.close()


def seconds_since_heartbeat(config: StackConfig, secrets: Secrets, job_type: str, process_start: float) -> float | None:
    """Return the age of the newest heartbeat of an Airflow job that began after `process_start` (Unix time).

    None when there is no such job yet. Airflow's own health page goes on calling a dead scheduler healthy, and is away
    when the api-server is.
    """
    query = """
        select extract(epoch from clock_timestamp() - max(latest_heartbeat)) from job
        where job_type = %s and start_date >= to_timestamp(%s)
    """
    conn = psycopg2.connect(database_url(config, "airflow", secrets.airflow, "airflow"), connect_timeout=3)
    try:
        with conn, conn.cursor() as cursor:
            cursor.execute(query, (job_type, process_start - 1))  # the kernel's start time is rounded
            found = cursor.fetchone()
            return None if found is None or found[0] is None else float(found[0])
    finally:
        conn.close()
