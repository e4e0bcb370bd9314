"""Which versions of tables, Postgres and services a stack has."""

from __future__ import annotations

from urllib.parse import urlsplit

import httpx
import psycopg2

from gauntlet.adapters.databases import revisions
from gauntlet.adapters.http_checks import HttpService
from gauntlet.adapters.postgres import address, away
from gauntlet.jobs.manifest import BackupError, Origin
from gauntlet.jobs.ports import ServiceAway


def origin(
    superuser_url: str, airflow_url: str, mlflow_url: str, *, form: str, product: str, object_store: str
) -> Origin:
    """Return what a backup must know of the stack with these services, as they say themselves.

    Raises BackupError when the stack has no tables yet, ServiceAway when one does not answer.
    """
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
        airflow=_airflow(HttpService("Airflow", airflow_url)),
        mlflow=_answer(HttpService("MLflow", mlflow_url), "/version").text.strip(),
        object_store=object_store,
    )


def _airflow(service: HttpService) -> str:
    answer = _answer(service, "/api/v2/version")
    try:
        return str(answer.json()["version"])
    except (ValueError, KeyError, TypeError):
        raise _silent(service, f"{answer.text[:100]!r}") from None


def _answer(service: HttpService, path: str) -> httpx.Response:
    try:
        return service.get(path).raise_for_status()
    except httpx.HTTPError as error:
        raise _silent(service, str(error) or type(error).__name__) from error


def _silent(service: HttpService, found: str) -> ServiceAway:
    said = found.splitlines()[0].rstrip(".")
    return ServiceAway(f"{service.name} must tell its version at {service.url}; found {said}. Start it: gauntlet up")
