"""What the command line needs of a stack, embedded or in containers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from gauntlet.domain.errors import Mendable

Say = Callable[[str], None]
SUPERUSER = "postgres"
# each role of Postgres, and its database; the role of a database's own name owns it
DATABASES: Mapping[str, str] = {
    SUPERUSER: "postgres",
    "airflow": "airflow",
    "mlflow": "mlflow",
    "gauntlet": "gauntlet",
    "gauntlet_app": "gauntlet",
    "router": "gauntlet",
}
ROLES = tuple(role for role in DATABASES if role != SUPERUSER)
"""The roles that the stack makes."""


class StackError(Mendable):
    """The stack cannot be started, stopped or reached; the text says why and what to do."""


@dataclass(frozen=True)
class ServiceStatus:
    """The state of one service; `pid` is its process where that is ours, `detail` says what is wrong, or "ok"."""

    healthy: bool
    url: str | None
    pid: int | None
    detail: str


def password_variable(role: str) -> str:
    """Return the variable that holds a role's password."""
    return "POSTGRES_PASSWORD" if role == SUPERUSER else f"{role.upper()}_DB_PASSWORD"


class Databases(Protocol):
    """Makes what the services need in Postgres."""

    def ensure(self, superuser_url: str, passwords: Mapping[str, str]) -> None:
        """Make the roles and databases that are missing; `passwords` by role."""
        ...

    def migrate(self, owner_url: str) -> None:
        """Bring the product's tables to their newest form, as the owner of their database."""
        ...


class Stack(Protocol):
    """The services of one stack."""

    @property
    def services(self) -> tuple[str, ...]:
        """The names of the services that are kept running."""
        ...

    @property
    def one_shots(self) -> tuple[str, ...]:
        """The names of the services that prepare the others at each start, and end; `logs` knows them as well."""
        ...

    @property
    def start_command(self) -> str:
        """What a person types to start it."""
        ...

    @property
    def login(self) -> str:
        """How to log in to Airflow's page: the user, and where the password stands."""
        ...

    def start(self, say: Say) -> None:
        """Start every service and return when all are healthy; raises StackError with what keeps one from it."""
        ...

    def stop(self, say: Say) -> None:
        """Stop every service; what they know stays."""
        ...

    def status(self) -> Mapping[str, ServiceStatus]:
        """Return the state of each service."""
        ...

    def logs(self, service: str, *, lines: int, follow: bool) -> Iterator[str]:
        """Yield the last lines of a service's log, and with `follow` those to come, for ever."""
        ...
