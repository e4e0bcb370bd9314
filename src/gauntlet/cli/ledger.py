"""gauntlet history."""

import json
from typing import Any

import click

from gauntlet import bootstrap
from gauntlet.cli.show import percent, percent_interval

COLOURS = {"PROMOTE": "green", "KEEP": "blue", "INCONCLUSIVE": "yellow", "INVALID": "red"}


@click.command()
@click.option("--spec", help="Only this spec.")
@click.option("-n", "--limit", type=click.IntRange(min=1), default=20, show_default=True, help="How many entries.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def history(spec: str | None, limit: int, as_json: bool) -> None:
    """Show every verdict and every move of production, newest first."""
    settings = bootstrap.load_settings()
    name = bootstrap.load_spec(settings, spec).name if spec else None
    entries = bootstrap.ledger(settings).history(name, limit)
    if as_json:
        click.echo(json.dumps([_plain(entry) for entry in entries], indent=2))
        return
    if not entries:
        click.echo("nothing yet: `gauntlet run` trains the first model")
        return
    for entry in entries:
        verdict = click.style(f"{entry.verdict or 'BY HAND':<12}", fg=COLOURS.get(str(entry.verdict)), bold=True)
        figures = f"{percent(entry.effect)} ({percent_interval(entry.interval)})" if entry.effect is not None else ""
        versions = f"{_version(entry.champion)} → {_version(entry.challenger)}"
        click.echo(
            f"#{entry.id:<5} {entry.at:%Y-%m-%d %H:%M:%S}  {entry.spec:<12} {verdict} {versions:<10} {figures}".rstrip()
        )
        click.echo(f"       {entry.reason}")


def _version(number: int | None) -> str:
    return "-" if number is None else f"v{number}"


def _plain(entry: Any) -> dict[str, Any]:
    return {
        "id": entry.id,
        "at": entry.at.isoformat(),
        "spec": entry.spec,
        "verdict": None if entry.verdict is None else str(entry.verdict),
        "reason": entry.reason,
        "champion": entry.champion,
        "challenger": entry.challenger,
        "effect": entry.effect,
        "interval": None if entry.interval is None else list(entry.interval),
        "rows": entry.rows,
    }
