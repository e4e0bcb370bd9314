"""The services as the Compose files have them: which are kept running, and which end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

POSTGRES = "postgres"
MINIO = "minio"
# those of docker-compose.yml that are kept running, in the order in which they are shown
SERVICES = (
    POSTGRES, MINIO, "mlflow", "airflow-api-server", "airflow-scheduler", "airflow-dag-processor", "router",
)  # fmt: skip


@dataclass(frozen=True)
class Project:
    """What `docker compose config` says; services of profiles that are not asked for are left out."""

    config: Mapping[str, Any]

    @property
    def services(self) -> Mapping[str, Mapping[str, Any]]:
        """The settings of each service."""
        return self.config.get("services") or {}

    @property
    def kept_running(self) -> tuple[str, ...]:
        """The services that are started again when they end: those of docker-compose.yml, then the others by name."""
        found = {name for name, plain in self.services.items() if plain.get("restart") not in (None, "", "no")}
        known = [service for service in SERVICES if service in found]
        return (*known, *sorted(found - set(known)))

    @property
    def one_shots(self) -> tuple[str, ...]:
        """The services that are made for one task at each start; they end well or the start has failed."""
        return tuple(sorted(set(self.services) - set(self.kept_running)))
