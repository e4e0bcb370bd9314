"""The embedded stack, for the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gauntlet.bootstrap.catalogue import load_specs, names
from gauntlet.bootstrap.environment import ignored_addresses, load_settings, stack_config, state_folder
from gauntlet.bootstrap.wiring import make_ports
from gauntlet.domain.errors import Mendable
from gauntlet.embedded.config import load_config

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from gauntlet.embedded.stack import ServiceStatus
    from gauntlet.settings import Settings


def start_stack(settings: Settings, say: Callable[[str], None]) -> None:
    """Start the embedded stack and bring every spec's aliases in line with the ledger."""
    from gauntlet.adapters.migrate import migrate
    from gauntlet.embedded import stack

    stack.up(stack_config(settings), migrate=migrate, say=say)
    started = load_settings()
    for name in ignored_addresses(started):
        say(f"{name} is set to something else and not used: this stack has its own")
    _reconcile(started, say)


def _reconcile(settings: Settings, say: Callable[[str], None]) -> None:
    """Every spec for itself: what is wrong with one is said, and keeps nobody from the others or from the stack."""
    from gauntlet.jobs.production import reconcile

    ports = make_ports(settings)
    for spec in load_specs(settings)[0]:
        try:
            reconcile(ports, spec, names(settings, spec))
        except Mendable as error:
            say(f"{spec}: {error}")


def stop_stack(say: Callable[[str], None]) -> None:
    """Stop the embedded stack."""
    from gauntlet.embedded import stack

    stack.down(state_folder(), say)


def stack_status(settings: Settings) -> Mapping[str, ServiceStatus]:
    """Return the state of each service of the embedded stack."""
    from gauntlet.embedded import stack

    return stack.status(load_config(settings.gauntlet_home) or stack_config(settings))


def service_log(service: str, *, lines: int, follow: bool) -> Iterator[str]:
    """Return the last lines of a service's log, and with `follow` those to come."""
    from gauntlet.embedded import stack

    return stack.logs(state_folder(), service, lines=lines, follow=follow)


def service_names() -> tuple[str, ...]:
    """Return the services of the embedded stack."""
    from gauntlet.embedded import stack

    return stack.SERVICES


def login(settings: Settings) -> str:
    """Return how to log in to Airflow's page: the user, and where the password stands."""
    from gauntlet.embedded.secrets import airflow_password_file

    return f"user {settings.airflow_admin_user}, password in {airflow_password_file(settings.gauntlet_home)}"
