"""gauntlet watch."""

import json
from typing import Any

import click

from gauntlet import bootstrap
from gauntlet.cli.show import percent, percent_interval
from gauntlet.jobs.watch_ports import Look, how_to_roll_back

COLOURS = {"NOT_WORSE": "green", "WORSE": "red", "PROPOSE": "red", "ROLL_BACK": "red"}

NO_LOOKS = {
    "first": "there is no version before it to watch it by",
    "rollback": "it came back by a rollback: there is nothing to watch until a promotion",
}


@click.command()
@click.option("--spec", help="The spec to look at; default: the default spec.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def watch(spec: str | None, as_json: bool) -> None:
    """Show what the watch over production has seen since the last promotion, oldest first."""
    settings = bootstrap.load_settings()
    name, period, looks = bootstrap.watched(settings, spec)
    if as_json:
        version = period.version if period else None
        answer = {"spec": name, "production": version, "looks": [_plain(look) for look in looks]}
        click.echo(json.dumps(answer, indent=2))
        return
    if period is None:
        click.echo(f"{name}: nothing is in production")
        return
    click.echo(f"{name}: v{period.version} in production since {period.since:%Y-%m-%d %H:%M:%S} ({period.kind})")
    for look in looks:
        figures = f"{percent(look.effect)} ({percent_interval(_interval(look))})" if look.effect is not None else ""
        outcome = click.style(f"{look.outcome:<12}", fg=COLOURS.get(look.outcome), bold=True)
        click.echo(f"{look.at:%Y-%m-%d %H:%M:%S}  {outcome} {look.rows:>9,} rows  {figures}".rstrip())
    if not looks:
        dag = bootstrap.watch_id(settings, name)
        click.echo(NO_LOOKS.get(period.kind, f"no look yet: switch the DAG {dag} on in Airflow"))
    elif looks[-1].outcome.bad:
        click.echo(f"{looks[-1].reason}\nroll back: {how_to_roll_back(looks[-1])}")


def _interval(look: Look) -> tuple[float, float] | None:
    return None if look.lower is None or look.upper is None else (look.lower, look.upper)


def _plain(look: Look) -> dict[str, Any]:
    return {**vars(look), "at": look.at.isoformat(), "outcome": str(look.outcome)}
