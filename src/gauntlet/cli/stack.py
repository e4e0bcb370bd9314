"""gauntlet up, down, status, logs."""

import json
from collections.abc import Mapping
from typing import Any

import click

from gauntlet import bootstrap
from gauntlet.jobs.stack import ServiceStatus
from gauntlet.settings import Settings


@click.command()
def up() -> None:
    """Start the stack and wait until it is healthy: without Docker, or its containers with GAUNTLET_STACK=compose."""
    bootstrap.start_stack(click.echo)
    click.echo()
    _show(bootstrap.load_settings())


@click.command()
def down() -> None:
    """Stop the stack; everything it knows stays on disk."""
    bootstrap.stack().stop(click.echo)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(as_json: bool) -> None:
    """Say who is healthy, who is champion, and how to log in; exit code 1 unless every service is healthy."""
    settings = bootstrap.load_settings()
    healthy = _show_json(settings) if as_json else _show(settings)
    if not healthy:
        raise SystemExit(1)


@click.command()
@click.argument("service", required=False)
@click.option("-n", "--lines", type=click.IntRange(min=1), default=50, show_default=True, help="Lines from the end.")
@click.option("-f", "--follow", is_flag=True, help="Go on as the log grows; Ctrl-C ends it.")
def logs(service: str | None, lines: int, follow: bool) -> None:
    """Show the end of a service's log; without SERVICE list the services."""
    stack = bootstrap.stack()
    known = (*stack.services, *stack.one_shots)
    if service is None:
        click.echo("\n".join(known))
        return
    if service not in known:
        raise click.UsageError(f"SERVICE must be one of {', '.join(known)}; got {service!r}.")
    empty = True
    for line in stack.logs(service, lines=lines, follow=follow):
        empty = False
        click.echo(line)
    if empty:
        click.echo(f"{service} has no log yet: it has not been started", err=True)


@click.command()
def migrate() -> None:
    """Make the roles, databases and tables that are missing; `up` does it by itself."""
    bootstrap.prepare_databases(bootstrap.load_settings())
    click.echo("roles, databases and tables are as they should be")


def _champions(settings: Settings) -> dict[str, dict[str, Any]]:
    return {
        spec: {
            "model": champion.model,
            "version": champion.version,
            "run_id": champion.run_id,
            "since": champion.since.isoformat(timespec="seconds"),
        }
        for spec, champion in bootstrap.champions(settings).items()
    }


def _freezes(settings: Settings) -> dict[str, dict[str, str]]:
    return {
        spec: {
            "since": freeze.since.isoformat(timespec="seconds"),
            "reason": freeze.reason,
            "decided_by": freeze.decided_by,
        }
        for spec, freeze in bootstrap.freezes(settings).items()
    }


def _show_json(settings: Settings) -> bool:
    services = bootstrap.stack().status()
    body = {
        "services": {
            name: {"healthy": each.healthy, "url": each.url, "pid": each.pid} for name, each in services.items()
        },
        "champions": _champions(settings) if _has_ledger(services) else {},
        "frozen": _freezes(settings) if _has_ledger(services) else {},
    }
    click.echo(json.dumps(body, indent=2))
    return all(each.healthy for each in services.values())


def _has_ledger(services: Mapping[str, ServiceStatus]) -> bool:
    """A Postgres that is none of the stack's services is somebody else's business, and asked."""
    return "postgres" not in services or services["postgres"].healthy


def _show(settings: Settings) -> bool:
    services = bootstrap.stack().status()
    for name, each in services.items():
        mark = click.style("up  ", fg="green") if each.healthy else click.style("DOWN", fg="red", bold=True)
        where = each.url or ""
        pid = f"pid {each.pid}" if each.pid else ""
        trouble = "" if each.healthy else each.detail
        click.echo(f"  {mark}  {name:<22} {where:<28} {pid:<12} {trouble}".rstrip())
    ledger_up = _has_ledger(services)
    champions = _champions(settings) if ledger_up else {}
    click.echo()
    for spec, champion in champions.items():
        since = champion["since"].replace("T", " ")
        click.echo(f"  champion of {spec}: {champion['model']} v{champion['version']}, since {since}")
    if not champions and ledger_up:
        click.echo("  no champion yet: `gauntlet run` trains the first model")
    for spec, freeze in (_freezes(settings) if ledger_up else {}).items():
        since = freeze["since"].replace("T", " ")
        click.echo(f"  {spec} is frozen, since {since} by {freeze['decided_by']}: {freeze['reason']}")
    _say_login(any(each.healthy for each in services.values()))
    return all(each.healthy for each in services.values())


def _say_login(running: bool) -> None:
    stack = bootstrap.stack()
    if not running:
        click.echo(f"  the stack is not running: `{stack.start_command}` starts it")
        return
    click.echo(f"  log in to Airflow: {stack.login}")
