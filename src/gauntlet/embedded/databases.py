"""The databases and roles of the stack, and whether Postgres answers."""

from __future__ import annotations

import time

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection, encrypt_password

from gauntlet.embedded.config import StackConfig
from gauntlet.embedded.environment import database_url
from gauntlet.embedded.secrets import Secrets

# database: its owner; and who else may connect to it
OWNERS = {"airflow": "airflow", "mlflow": "mlflow", "gauntlet": "gauntlet"}
GUESTS = {"gauntlet": ("gauntlet_app", "router")}


def ensure(config: StackConfig, secrets: Secrets) -> None:
    """Create the roles and databases that are missing, and give the roles the passwords of the secrets."""
    with _superuser(config, secrets) as conn, conn.cursor() as cursor:
        cursor.execute("select rolname from pg_roles")
        roles = {name for (name,) in cursor.fetchall()}
        for role in ("airflow", "mlflow", "gauntlet", "gauntlet_app", "router"):
            verb = sql.SQL("alter" if role in roles else "create")
            # only the verifier is sent: a statement that fails is logged as it is
            verifier = encrypt_password(getattr(secrets, role), role, scope=conn, algorithm="scram-sha-256")
            cursor.execute(
                sql.SQL("{} role {} login password {}").format(verb, sql.Identifier(role), sql.Literal(verifier))
            )
        cursor.execute("select datname from pg_database")
        databases = {name for (name,) in cursor.fetchall()}
    conn.close()
    for database in OWNERS.keys() - databases:
        _create(config, secrets, database)


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


def _create(config: StackConfig, secrets: Secrets, database: str) -> None:
    conn = _superuser(config, secrets)
    conn.autocommit = True  # a database cannot be created in a transaction
    name, owner = sql.Identifier(database), sql.Identifier(OWNERS[database])
    with conn.cursor() as cursor:
        cursor.execute(sql.SQL("create database {} owner {}").format(name, owner))
        cursor.execute(sql.SQL("revoke connect, temporary on database {} from public").format(name))
        for guest in GUESTS.get(database, ()):
            cursor.execute(sql.SQL("grant connect on database {} to {}").format(name, sql.Identifier(guest)))
    conn.close()


def _superuser(config: StackConfig, secrets: Secrets) -> connection:
    return psycopg2.connect(database_url(config, "postgres", secrets.postgres, "postgres"), connect_timeout=5)
