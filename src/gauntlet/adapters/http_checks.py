"""Airflow, MLflow and the router as the doctor looks at them: answers, versions, login, import errors, clocks."""

from __future__ import annotations

import importlib.metadata
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from gauntlet.jobs.doctor import Finding

SECONDS = 5.0
CLOCK_LIMIT = 5.0
PAGE = 100  # Airflow gives no more at once


class HttpService:
    """A service at an address; every call gives up after seconds and goes past any proxy."""

    def __init__(self, name: str, url: str) -> None:
        self.name = name
        self.url = url.rstrip("/")

    def get(self, path: str, token: str | None = None, **params: Any) -> httpx.Response:
        """Return the answer to a GET; raises httpx.HTTPError when there is none."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.get(self.url + path, params=params, headers=headers, timeout=SECONDS, trust_env=False)

    def check(self, path: str) -> list[Finding]:
        """Look whether the service answers, and is well by its own account."""
        try:
            answer = self.get(path)
        except httpx.HTTPError as error:
            said = str(error) or type(error).__name__
            text = f"{self.name} must answer at {self.url}; found: {said}."
            return [Finding(self.name, text, f"See why: gauntlet logs {self.name}")]
        if answer.is_success:
            return []
        said = f": {answer.text[:150]}" if answer.text else ""
        text = f"{self.name} must answer {path} at {self.url} with 200; found {answer.status_code}{said}"
        remedy = f"If another program has the port, choose another; else see: gauntlet logs {self.name}"
        return [Finding(self.name, text.rstrip(".") + ".", remedy)]

    def skew(self, path: str) -> float:
        """Return by how many seconds the service's clock is ahead of this machine's; 0 when it does not tell."""
        began = time.time()
        told = self.get(path).headers.get("date")
        if told is None:
            return 0.0
        middle = (began + time.time()) / 2
        return parsedate_to_datetime(told).timestamp() + 0.5 - middle  # it tells whole seconds


def check_version(name: str, found: str, package: str, remedy: str) -> list[Finding]:
    """Compare the version that a server tells with the package's that is installed here."""
    wanted = importlib.metadata.version(package)
    if found == wanted:
        return []
    return [Finding("versions", f"{name} must have this checkout's version, {wanted}; it has {found}.", remedy)]


def clock_findings(skews: dict[str, float]) -> list[Finding]:
    """Say which clocks differ from this machine's; `skews` in seconds by service."""
    off = {name: skew for name, skew in skews.items() if abs(skew) > CLOCK_LIMIT}
    if not off:
        return []
    shown = ", ".join(f"{name} {skew:+.0f} s" for name, skew in off.items())
    text = f"The services' clocks must agree with this machine's to {CLOCK_LIMIT:g} s; found: {shown}."
    now = datetime.now(UTC).isoformat(timespec="seconds")
    remedy = f"See which is right (this machine says {now}) and set the other by NTP; restart Docker Desktop."
    return [Finding("clock", text, remedy)]


def check_airflow(service: HttpService, user: str, password: str, dags: dict[str, str], remedy: str) -> list[Finding]:
    """Log in to Airflow and look at its parts, its import errors and its DAGs; `dags`: spec by DAG."""
    answer = httpx.post(
        f"{service.url}/auth/token", json={"username": user, "password": password}, timeout=SECONDS, trust_env=False
    )
    if answer.status_code == httpx.codes.UNAUTHORIZED:
        text = f"Airflow must know user {user} by AIRFLOW_ADMIN_PASSWORD; it refused the login."
        return [Finding("airflow login", text, remedy)]
    answer.raise_for_status()
    token = answer.json()["access_token"]
    return _check_imports(service, token) + _check_dags(service, token, dags)


def _check_imports(service: HttpService, token: str) -> list[Finding]:
    errors = service.get("/api/v2/importErrors", token).raise_for_status().json()["import_errors"]
    return [
        Finding(
            "dags",
            f"Airflow must be able to read {error['filename']}; found: {_last_line(error['stack_trace'])}.",
            "Correct that file, or the spec that it names; Airflow reads it again within 30 s.",
        )
        for error in errors
    ]


def _check_dags(service: HttpService, token: str, dags: dict[str, str]) -> list[Finding]:
    """A DAG that is missing among others; none at all means that Airflow has only just begun to read them."""
    found = _known_dags(service, token)
    remedy = "A new spec shows within 30 s; after that see: gauntlet logs airflow-dag-processor"
    return [
        Finding("dags", f"Airflow must have a DAG for the spec {spec}; it has no {dag}.", remedy)
        for dag, spec in dags.items()
        if found and dag not in found
    ]


def _known_dags(service: HttpService, token: str) -> set[str]:
    found: set[str] = set()
    while True:
        page = {"limit": PAGE, "offset": len(found), "order_by": "dag_id", "exclude_stale": True}
        body = service.get("/api/v2/dags", token, **page).raise_for_status().json()
        new = {each["dag_id"] for each in body["dags"]} - found
        found |= new
        if not new or len(found) >= body["total_entries"]:
            return found


def _last_line(trace: str) -> str:
    lines = [line for line in trace.strip().splitlines() if line.strip()]
    return lines[-1].strip().rstrip(".")[:300] if lines else "no reason given"
