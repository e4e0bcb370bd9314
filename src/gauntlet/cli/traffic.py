"""gauntlet traffic."""

import json
from typing import Any

import click

from gauntlet import bootstrap


@click.command()
@click.option("--spec", help="The spec whose traffic it is; default: the default spec.")
@click.option("--a", type=float, help="Share of arm a; b becomes 1 - a.")
@click.option("--size", type=int, help="Rows in an answer.")
@click.option(
    "--drift", "columns", multiple=True, metavar="COL", help="Let a column drift; may be given several times."
)
@click.option("--no-drift", is_flag=True, help="End all drift.")
@click.option("--seed", type=int, help="Serve the same rows at every request.")
@click.option("--no-seed", is_flag=True, help="Serve other rows at every request.")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
def traffic(
    spec: str | None, a: float | None, size: int | None, columns: tuple[str, ...], no_drift: bool, seed: int | None,
    no_seed: bool, as_json: bool,
) -> None:  # fmt: skip
    """Show the router's traffic, or change it: shares, size, drift."""
    if columns and no_drift:
        raise click.UsageError("--drift and --no-drift exclude each other.")
    if seed is not None and no_seed:
        raise click.UsageError("--seed and --no-seed exclude each other.")
    changes: dict[str, Any] = {}
    if a is not None:
        changes |= {"a": a, "b": round(1 - a, 12)}
    if size is not None:
        changes["data_size"] = size
    if columns or no_drift:
        changes["drift_cols"] = list(columns)
    if no_drift:
        changes["drift"] = None
    if seed is not None or no_seed:
        changes["seed"] = seed
    settings = bootstrap.load_settings()
    router = bootstrap.router(settings)
    name = bootstrap.load_spec(settings, spec).name
    result = router.set_traffic(name, changes) if changes else router.get_traffic(name)
    click.echo(json.dumps(result, indent=None if as_json else 2))
