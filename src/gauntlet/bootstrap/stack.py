"""The stack, embedded or in containers, for the command line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gauntlet.bootstrap.catalogue import load_specs, names
from gauntlet.bootstrap.environment import (
    COMPOSE,
    ROOT,
    given_secrets,
    host_variables,
    ignored_addresses,
    inside_a_service,
    load_settings,
    stack_config,
    stack_form,
    state_folder,
)
from gauntlet.bootstrap.wiring import make_ports
from gauntlet.compose.environment import database_url
from gauntlet.domain.errors import Mendable
from gauntlet.embedded.config import load_config
from gauntlet.jobs.stack import DATABASES, SUPERUSER, StackError, password_variable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from gauntlet.compose.stack import ComposeStack
    from gauntlet.jobs.stack import Say, ServiceStatus, Stack
    from gauntlet.settings import Settings


def stack() -> Stack:
    """Return the stack that GAUNTLET_STACK names, whatever else is wrong with the settings.

    Raises StackError in a container, which knows the other services by their addresses alone.
    """
    refuse_in_a_container()
    return compose_stack() if stack_form() == COMPOSE else EmbeddedStack(state_folder())


def refuse_in_a_container() -> None:
    """Raise StackError in a container, from which the stack as a whole cannot be seen."""
    if inside_a_service():
        raise StackError(
            "This command must be given on the host; here is a container. There: docker compose ps, or logs."
        )


def compose_stack() -> ComposeStack:
    """Return the stack in containers."""
    from gauntlet.compose.docker import DockerCompose
    from gauntlet.compose.stack import ComposeStack

    return ComposeStack(DockerCompose(ROOT, host_variables()))


@dataclass(frozen=True)
class EmbeddedStack:
    """The stack without Docker of one state folder; its settings are read when they are needed."""

    home: Path

    @property
    def services(self) -> tuple[str, ...]:
        """The names of the services."""
        from gauntlet.embedded import stack

        return stack.SERVICES

    @property
    def one_shots(self) -> tuple[str, ...]:
        """None: what prepares the services is part of `start`."""
        return ()

    @property
    def start_command(self) -> str:
        """What a person types to start it."""
        return "gauntlet up"

    @property
    def login(self) -> str:
        """How to log in to Airflow's page."""
        from gauntlet.embedded.secrets import airflow_password_file

        return f"user admin, password in {airflow_password_file(self.home)}"

    def start(self, say: Say) -> None:
        """Start the services and wait until they are healthy."""
        from gauntlet.adapters import databases
        from gauntlet.embedded import stack

        settings = load_settings()
        stack.up(stack_config(settings), databases=databases, say=say, given=given_secrets(settings))

    def stop(self, say: Say) -> None:
        """Stop the services."""
        from gauntlet.embedded import stack

        stack.down(self.home, say)

    def status(self) -> Mapping[str, ServiceStatus]:
        """Return the state of each service."""
        from gauntlet.embedded import stack

        return stack.status(load_config(self.home) or stack_config(load_settings()))

    def logs(self, service: str, *, lines: int, follow: bool) -> Iterator[str]:
        """Yield the last lines of a service's log, and with `follow` those to come."""
        from gauntlet.embedded import stack

        return stack.logs(self.home, service, lines=lines, follow=follow)


def start_stack(say: Say) -> None:
    """Start the stack and bring every spec's aliases in line with the ledger."""
    stack().start(say)
    started = load_settings()
    for name in ignored_addresses(started):
        say(f"{name} is set to something else and not used: this stack has its own")
    _reconcile(started, say)


def _reconcile(settings: Settings, say: Say) -> None:
    """Every spec for itself: what is wrong with one is said, and keeps nobody from the others or from the stack."""
    from gauntlet.jobs.production import reconcile

    ports = make_ports(settings)
    for spec in load_specs(settings)[0]:
        try:
            reconcile(ports, spec, names(settings, spec))
        except Mendable as error:
            say(f"{spec}: {error}")


def prepare_databases(settings: Settings) -> None:
    """Make the roles, databases and tables that are missing, as Postgres's superuser."""
    from gauntlet.adapters import databases

    fields = {role: password_variable(role).lower() for role in DATABASES}
    settings.require_for("gauntlet migrate", *fields.values())
    passwords = {role: settings.secret(name) for role, name in fields.items()}
    place = f"{settings.postgres_host}:{settings.postgres_port}"
    urls = {role: database_url(role, password, place) for role, password in passwords.items()}
    databases.ensure(urls[SUPERUSER], passwords)
    databases.migrate(urls["gauntlet"])
