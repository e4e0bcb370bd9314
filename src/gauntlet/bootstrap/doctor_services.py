"""What the doctor asks the services of a stack that runs; the same in both forms."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gauntlet.bootstrap.catalogue import dag_id, load_specs, names, watch_id
from gauntlet.bootstrap.wiring import ledger, make_ports, s3_access
from gauntlet.jobs.doctor import Check, Finding
from gauntlet.jobs.stack import DATABASES, SUPERUSER

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from gauntlet.adapters.http_checks import HttpService
    from gauntlet.settings import Settings

API_SERVER = "airflow-api-server"
MOVING = 4.0  # seconds in which a run that is moving production right now has shown it
LEDGER_NEEDS = ("login gauntlet_app", "migrations", "mlflow")


@dataclass(frozen=True)
class Place:
    """Where one form of the stack is, and its words: `start` makes what is missing, `renew` brings newer code.

    `services`: those that have a check of their own. `urls`: the database address of each role; `password_of` says
    where a role's password stands.
    """

    services: Collection[str]

    settings: Callable[[], Settings]
    running: Callable[[], bool]
    start: str
    urls: Callable[[], Mapping[str, str]]
    password_of: Callable[[str], str]
    renew: str


def service_checks(place: Place) -> list[Check]:
    """Return the checks of the services' insides; nothing is asked of a stack that does not run."""
    checks = [*_database_checks(place), *_store_checks(place), *_http_checks(place), *_ledger_checks(place)]
    return [Check(check.name, partial(_if_running, place, check), (*check.needs, "settings")) for check in checks]


def _if_running(place: Place, check: Check) -> list[Finding]:
    return list(check.probe()) if place.running() else []


def _database_checks(place: Place) -> list[Check]:
    from gauntlet.adapters import postgres_checks as postgres

    def login(role: str) -> list[Finding]:
        return postgres.check_login(role, place.urls()[role], place.password_of(role), place.start)

    return [
        Check("postgres", lambda: postgres.check_reached(place.urls()[SUPERUSER], place.start), ("service postgres",)),
        *(Check(f"login {role}", partial(login, role), ("postgres",)) for role in DATABASES),
        Check(
            "migrations", lambda: postgres.check_revision(place.urls()["gauntlet"], place.start), ("login gauntlet",)
        ),
        Check("marts", lambda: _marts(place), ("login gauntlet_app",)),
    ]


def _marts(place: Place) -> list[Finding]:
    """Whether the marts' database answers, and every spec's tables can be brought up to it."""
    from gauntlet.bootstrap.marts import mart
    from gauntlet.domain.mart import MartError

    settings, found = place.settings(), list[Finding]()
    marts = mart(settings)
    for spec in load_specs(settings)[0].values():
        try:
            marts.require_fit(spec)
        except MartError as error:
            found.append(Finding.of("marts", error))
    return found


def _store_checks(place: Place) -> list[Check]:
    def buckets() -> list[Finding]:
        settings = place.settings()
        store = urlsplit(settings.object_store or "")
        if store.scheme != "s3":
            return []
        from gauntlet.adapters.s3_checks import check_buckets
        from gauntlet.adapters.s3_store import s3_client

        client = s3_client(**s3_access(settings))
        places = ((settings.mlflow_bucket, ""), (store.netloc, store.path))
        return check_buckets(client, settings.mlflow_s3_endpoint_url or "AWS", places, place.start)

    return [Check("buckets", buckets, ("service minio",) if "minio" in place.services else ())]


def _http_checks(place: Place) -> list[Check]:
    def version_of(name: str, package: str, ask: Callable[[], str]) -> Callable[[], list[Finding]]:
        from gauntlet.adapters.http_checks import check_version

        return lambda: check_version(name, ask(), package, f"Bring it to this checkout's: {place.renew}")

    mlflow, airflow, router = (cache(partial(_service, place, name)) for name in ("mlflow", API_SERVER, "router"))
    mlflow_version = version_of("MLflow", "mlflow", lambda: mlflow().get("/version").text.strip())
    airflow_version = version_of(
        "Airflow", "apache-airflow-core", lambda: str(airflow().get("/api/v2/version").json()["version"])
    )
    return [
        Check("mlflow", lambda: mlflow().check("/health"), ("service mlflow",)),
        Check("router", lambda: router().check("/health"), ("service router",)),
        Check("airflow", lambda: airflow().check("/api/v2/version"), (f"service {API_SERVER}",)),
        Check("version of MLflow", mlflow_version, ("mlflow",)),
        Check("version of Airflow", airflow_version, ("airflow",)),
        Check("airflow login", lambda: _airflow(place, airflow()), ("airflow",)),
        Check("clock", lambda: _clocks(place, mlflow(), router()), ("postgres", "login gauntlet", "mlflow", "router")),
    ]


def _service(place: Place, name: str) -> HttpService:
    from gauntlet.adapters.http_checks import HttpService

    settings = place.settings()
    urls = {"mlflow": settings.mlflow_tracking_uri, API_SERVER: settings.airflow_url, "router": settings.flask_url}
    return HttpService(name, str(urls[name]))


def _airflow(place: Place, service: HttpService) -> list[Finding]:
    from gauntlet.adapters.http_checks import check_airflow

    settings = place.settings()
    dags = {dag(settings, spec): spec for spec in load_specs(settings)[0] for dag in (dag_id, watch_id)}
    remedy = f"Put the right password back; or let Airflow take this one over: {place.start}"
    password = settings.secret("airflow_admin_password")
    return check_airflow(service, settings.airflow_admin_user, password, dags, remedy)


def _clocks(place: Place, mlflow: HttpService, router: HttpService) -> list[Finding]:
    from gauntlet.adapters.http_checks import clock_findings
    from gauntlet.adapters.postgres_checks import clock_skew

    skews = {service.name: service.skew("/health") for service in (mlflow, router)}
    return clock_findings({"postgres": clock_skew(place.urls()["gauntlet"]), **skews})


def _ledger_checks(place: Place) -> list[Check]:
    return [
        Check("aliases", lambda: _aliases(place), LEDGER_NEEDS),
        Check("champions", lambda: _champions(place), (*LEDGER_NEEDS, "buckets")),
    ]


def _aliases(place: Place) -> list[Finding]:
    found = _differing_aliases(place)
    if found:
        time.sleep(MOVING)
        found = _differing_aliases(place)
    return found


def _differing_aliases(place: Place) -> list[Finding]:
    from gauntlet.jobs.doctor_production import check_aliases

    settings = place.settings()
    ports = make_ports(settings)
    return [
        finding for spec in load_specs(settings)[0] for finding in check_aliases(ports, spec, names(settings, spec))
    ]


def _champions(place: Place) -> list[Finding]:
    settings = place.settings()
    champions = ledger(settings).champions()
    if not champions:
        return []
    from gauntlet.jobs.doctor_production import check_champion

    ports = make_ports(settings)
    return [finding for champion in champions.values() for finding in check_champion(ports, champion)]
