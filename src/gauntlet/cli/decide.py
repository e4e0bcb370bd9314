"""gauntlet decide."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gauntlet import bootstrap
from gauntlet.cli.ledger import COLOURS
from gauntlet.cli.show import percent, percent_interval

FILE = click.Path(path_type=Path)


@click.command()
@click.argument("rows", metavar="ROWS", type=FILE)
@click.option("--policy", type=FILE, metavar="FILE", help="TOML with the policy's keys; default: the usual policy.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def decide(rows: Path, policy: Path | None, as_json: bool) -> None:
    """Decide by the rows of a CSV or parquet file, without a server.

    ROWS has the columns truth, champion and challenger (predictions; under metric = "log_loss" the probability of
    class 1, or a column champion.CLASS for each class); optional: row_id, arm (a or b, for the rules split and
    original), anchor (for non_inferiority), champion_seconds and challenger_seconds. Every other column of few text
    values is a segment column.

    The exit code is 0 whatever the verdict, and 1 when there is none because of an error.
    """
    found = bootstrap.decide_file(rows, policy)
    if as_json:
        decision = found.decision.to_dict()
        keys = ("verdict", "reason", "effect", "interval", "rows", "rows_needed", "guardrails")
        body = {**{key: decision[key] for key in keys}, "policy_sha256": found.policy_sha256}
        click.echo(json.dumps(body, indent=2, allow_nan=False))
        return
    _show(found)


def _show(found: Any) -> None:
    from gauntlet.domain.report import plain  # what it loads is loaded by now

    decision, comparison = found.decision, found.table.comparison
    click.echo(click.style(str(decision.verdict), fg=COLOURS[str(decision.verdict)], bold=True))
    click.echo(f"{plain(decision.reason)}\n")
    for name, text in _figures(decision, comparison):
        click.echo(f"  {name:<12} {text}")
    if decision.guardrails:
        click.echo()
        _table((each.name, each.passed, plain(each.reason)) for each in decision.guardrails)
    click.echo()
    click.echo(f"  segments     {plain(', '.join(found.table.segments)) or 'none'}")
    if found.table.unused:
        click.echo(f"  not used     {plain(', '.join(found.table.unused))}")
    if found.table.lacks_anchor:
        click.echo("  anchor       none in the file: held to the champion")
    click.echo(f"  policy       {found.policy_sha256}")
    for hint in found.table.hints:
        click.echo(f"\n{click.style('hint:', bold=True)} {hint}")


def _figures(decision: Any, comparison: Any) -> list[tuple[str, str]]:
    figures = [("rows", f"{decision.rows:,}" + (f", {decision.rows_needed:,} needed" if decision.rows_needed else ""))]
    if decision.effect is not None:
        figures.append(("effect", f"{percent(decision.effect)} ({percent_interval(decision.interval)})"))
    if decision.detectable is not None:
        figures.append(("detectable", f"a gain of {decision.detectable:.1%}"))
    if comparison.champion_loss is not None and comparison.challenger_loss is not None:
        name = comparison.metric.replace("_", " ")
        figures.append((name, f"champion {comparison.champion_loss:.4g}, challenger {comparison.challenger_loss:.4g}"))
    for figure in comparison.figures:
        text = f"champion {_estimate(figure.champion)}, challenger {_estimate(figure.challenger)}"
        if figure.difference is not None:
            text += f", difference {_estimate(figure.difference, '+')}"
        if figure.p_value is not None:
            text += f", p = {figure.p_value:.2g}"
        figures.append((figure.name, text))
    return figures


def _estimate(estimate: Any, sign: str = "") -> str:
    return f"{estimate.value:{sign}.3f} ({estimate.low:{sign}.3f} to {estimate.high:{sign}.3f})"


def _table(guardrails: Iterable[tuple[str, bool, str]]) -> None:
    table = Table("guardrail", "", "what was found, and the limit")
    for name, passed, reason in guardrails:
        table.add_row(name, "[green]passes[/green]" if passed else "[red bold]FAILS[/red bold]", escape(reason))
    Console().print(table)
