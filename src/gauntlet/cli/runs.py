"""gauntlet run and gauntlet demo."""

from typing import Any

import click
from rich.console import Console
from rich.table import Table

from gauntlet import bootstrap
from gauntlet.cli.show import Progress, percent, percent_interval
from gauntlet.jobs.acts import ActReport, play, run_once
from gauntlet.settings import Settings


@click.command()
@click.option("--spec", help="The spec to run; default: the default spec.")
@click.option("--force-retrain", is_flag=True, help="Train and test a challenger without drift, too.")
@click.option(
    "--simulate-drift",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="Let N random columns drift in this run.",
)
def run(spec: str | None, force_retrain: bool, simulate_drift: int) -> None:
    """Do one run of the main pipeline and say what came of it."""
    settings = bootstrap.load_settings()
    conf: dict[str, Any] = {}
    if force_retrain:
        conf["force_retrain"] = True
    if simulate_drift:
        conf["simulate_drift"] = simulate_drift
    progress = Progress()
    run_once(bootstrap.conductor(settings, spec, progress.say, progress.doing), conf)


@click.command()
def demo() -> None:
    """Start the stack and play four acts: first model, no drift, drift, an equal challenger."""
    inside = bootstrap.inside_a_service()
    if not inside:
        bootstrap.start_stack(click.echo)
    settings = bootstrap.load_settings()
    progress = Progress()
    reports = play(bootstrap.conductor(settings, None, progress.say, progress.doing))
    click.echo()
    _table(reports)
    click.echo("The effect is the challenger's mean loss against the champion's: negative is better.\n")
    if not inside:
        _say_where(settings)


def _table(reports: list[ActReport]) -> None:
    table = Table("act", "verdict", "effect", "interval", "seconds")
    for report in reports:
        entry = report.entry
        table.add_row(
            report.act,
            report.verdict,
            percent(entry.effect if entry else None),
            percent_interval(entry.interval if entry else None),
            f"{report.seconds:.1f}",
        )
    Console().print(table)


def _say_where(settings: Settings) -> None:
    click.echo(f"  Airflow  {settings.airflow_url}   {bootstrap.stack().login}")
    click.echo(f"  MLflow   {settings.mlflow_tracking_uri}")
    click.echo(f"  router   {settings.flask_url}")
    click.echo("\nThe stack goes on running. Look around: `. .venv/bin/activate`, then `gauntlet history`.")
    click.echo("Stop it with `make down`.")
