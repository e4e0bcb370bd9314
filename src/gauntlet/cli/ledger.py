"""gauntlet history, production and explain: what the ledger says."""

import json
from datetime import UTC, datetime
from typing import Any

import click

from gauntlet import bootstrap
from gauntlet.cli import explain as case
from gauntlet.cli.show import moment, percent, percent_interval, version
from gauntlet.jobs.ledger_records import Period
from gauntlet.jobs.ports import Entry, Kind

NAMES = {Kind.EXTERNAL: "BY HAND", Kind.ROLLBACK: "ROLLBACK", Kind.FREEZE: "FROZEN", Kind.UNFREEZE: "UNFROZEN"}
COLOURS = {
    "PROMOTE": "green", "KEEP": "blue", "INCONCLUSIVE": "yellow", "INVALID": "red", "ROLLBACK": "magenta",
    "FROZEN": "cyan", "UNFROZEN": "cyan",
}  # fmt: skip


class Time(click.ParamType[datetime]):
    """A time by ISO 8601, or a date (its first moment); of this machine's zone where it names none."""

    name = "TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Return the time with its zone."""
        try:
            when = datetime.fromisoformat(value).astimezone()
        except (ValueError, OverflowError):
            self.fail(f"must be a date or a time such as 2026-11-20 or 2026-11-20T14:30Z; got {value!r}.", param, ctx)
        if when > datetime.now(UTC):
            self.fail(f"must not lie in the future, which the ledger does not know; got {value!r}.", param, ctx)
        return when


@click.command()
@click.option("--spec", help="Only this spec.")
@click.option("-n", "--limit", type=click.IntRange(min=1), default=20, show_default=True, help="How many entries.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def history(spec: str | None, limit: int, as_json: bool) -> None:
    """Show every verdict, move of production and freeze, newest first."""
    settings = bootstrap.load_settings()
    name = bootstrap.load_spec(settings, spec).name if spec else None
    entries = bootstrap.ledger(settings).history(name, limit)
    if as_json:
        click.echo(json.dumps([case.plain(entry) for entry in entries], indent=2))
        return
    if not entries:
        click.echo("nothing yet: `gauntlet run` trains the first model")
        return
    for entry in entries:
        figures = f"{percent(entry.effect)} ({percent_interval(entry.interval)})" if entry.effect is not None else ""
        click.echo(
            f"#{entry.id:<5} {entry.at:%Y-%m-%d %H:%M:%S}  {entry.spec:<12} {_title(entry)} {_versions(entry):<10} "
            f"{figures}".rstrip()
        )
        click.echo(f"       {entry.reason}{_by(entry)}")
        if entry.held is not None:
            click.echo(f"       held, production was not moved: {entry.held}")


@click.command()
@click.option("--spec", help="Only this spec.")
@click.option("--at", type=Time(), help="At this time instead of now: ISO 8601, local time where it names no zone.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def production(spec: str | None, at: datetime | None, as_json: bool) -> None:
    """Say which version of each spec is in production, or was at a time."""
    settings = bootstrap.load_settings()
    name = bootstrap.load_spec(settings, spec).name if spec else None
    found = bootstrap.ledger(settings).periods(name, at)
    periods = [period for period in found if at is not None or period.until is None]
    if as_json:
        body = {"at": at.isoformat() if at else None, "production": [case.plain_period(each) for each in periods]}
        click.echo(json.dumps(body, indent=2))
        return
    if at is not None:
        click.echo(f"at {moment(at)}:")
    for period in sorted(periods, key=lambda each: each.spec):
        _say_period(period)
    if not periods:
        of = f" of {name}" if name else ""
        click.echo(f"nothing{of} {'was' if at else 'is'} in production")


@click.command()
@click.argument("number", metavar="ID", type=click.IntRange(min=1))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def explain(number: int, as_json: bool) -> None:
    """Tell the whole case of a line of `gauntlet history`: who, when, what was tested, and what came of it."""
    dossier = bootstrap.ledger(bootstrap.load_settings()).entry(number)
    if dossier is None:
        raise click.UsageError(f"ID must be that of a line in gauntlet history; there is no {number}.")
    if as_json:
        click.echo(json.dumps(case.as_json(dossier), indent=2))
        return
    entry = dossier.entry
    click.echo(f"#{entry.id}  {entry.spec}  {_title(entry, 0)} {_versions(entry)}".rstrip())
    for label, text in case.lines(dossier):
        click.echo(f"  {click.style(f'{label:<14}', bold=bool(label))} {text}")


def _title(entry: Entry, width: int = 12) -> str:
    name = str(entry.verdict or NAMES[entry.kind])
    return click.style(f"{name:<{width}}", fg=COLOURS.get(name), bold=True)


def _versions(entry: Entry) -> str:
    if entry.champion is None and entry.challenger is None:
        return ""
    return f"{version(entry.champion)} → {version(entry.challenger)}"


def _by(entry: Entry) -> str:
    """Who did it, where a person did: a verdict comes from a run."""
    return f" ({entry.decided_by})" if entry.kind in (Kind.ROLLBACK, Kind.FREEZE, Kind.UNFREEZE) else ""


def _say_period(period: Period) -> None:
    until = f" until {moment(period.until)}" if period.until else ""
    named = f"{period.model} {version(period.version)}"
    click.echo(f"  {period.spec:<12} {named}, since {moment(period.since)}{until}")
    click.echo(f"  {'':<12} {period.reason} (gauntlet explain {period.line})")
