"""Postgres as the doctor looks at it: logins, revisions, clock."""

from __future__ import annotations

import time
from contextlib import closing
from typing import Any

import psycopg2

from gauntlet.adapters import databases
from gauntlet.adapters.postgres import address
from gauntlet.jobs.doctor import Finding
from gauntlet.jobs.stack import SUPERUSER

SECONDS = 4


def check_reached(url: str, start: str) -> list[Finding]:
    """Look whether a Postgres answers at all, whatever it says to this login."""
    said = _refusal(url)
    if said is None or "FATAL" in said:
        return []
    text = f"Postgres must answer at {address(url)}; found: {said}."
    return [Finding("postgres", text, f"Start it: {start}. What it says itself: gauntlet logs postgres")]


def check_login(role: str, url: str, password: str, start: str) -> list[Finding]:
    """Log in as a role; `password` says where its password stands, `start` is the command that starts the stack."""
    said = _refusal(url)
    return [] if said is None else [_login_finding(role, url, said, password, start)]


def check_revision(owner_url: str, start: str) -> list[Finding]:
    """Compare the product's tables with the newest migration of this code."""
    found, newest = databases.revisions(owner_url)
    if found == newest:
        return []
    text = f"The product's tables must be at revision {newest}; they are at {found or 'none'}"
    if found is None or found in databases.known_revisions():
        return [Finding("migrations", f"{text}.", f"Run what is missing: {start}")]
    remedy = "Check out the newer code (and build its image: docker compose build), or restore the older database."
    return [Finding("migrations", f"{text}, which newer code has made.", remedy)]


def clock_skew(url: str) -> float:
    """Return by how many seconds Postgres's clock is ahead of this machine's."""
    with closing(psycopg2.connect(url, connect_timeout=SECONDS)) as conn, conn.cursor() as cursor:
        began = time.time()
        cursor.execute("select extract(epoch from clock_timestamp())::float8")
        row: Any = cursor.fetchone()
        return float(row[0]) - (began + time.time()) / 2


def _refusal(url: str) -> str | None:
    try:
        psycopg2.connect(url, connect_timeout=SECONDS).close()
    except psycopg2.OperationalError as error:
        return " ".join(str(error).split()).removesuffix(".")
    return None


def _login_finding(role: str, url: str, said: str, variable: str, start: str) -> Finding:
    text = f"The role {role} must be able to open {address(url)} with {variable}; Postgres refused"
    if "password authentication failed" not in said:
        return Finding("logins", f"{text}: {said}.", f"Make what is missing: {start}")
    if role == SUPERUSER:
        remedy = (
            "Put back the password that the database was made with, or give it the new one: docker compose exec "
            "postgres psql -U postgres -c \"alter role postgres password 'THE NEW ONE'\""
        )
        return Finding("logins", f"{text} the password.", remedy)
    remedy = f"Put the right password back; or give the role this one, which the start does: {start}"
    return Finding("logins", f"{text} the password.", remedy)
