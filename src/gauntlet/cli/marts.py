"""gauntlet marts: what was taken into the marts, and retention."""

import json
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from gauntlet import bootstrap
from gauntlet.cli.show import moment, version
from gauntlet.jobs.mart_port import Batch, BatchKind, BatchStatus
from gauntlet.jobs.upkeep import readable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gauntlet.jobs.retention import Gone

COLOURS = {BatchStatus.DONE: "green", BatchStatus.REFUSED: "red"}


@click.group()
def marts() -> None:
    """Files that were taken into the marts, and how long their rows stay."""


@marts.command("list")
@click.option("--spec", help="Only this spec.")
@click.option("--kind", type=click.Choice([str(kind) for kind in BatchKind]), help="Only files to train on or predict.")
@click.option("-n", "--limit", type=click.IntRange(min=1), default=20, show_default=True, help="How many batches.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_batches(spec: str | None, kind: str | None, limit: int, as_json: bool) -> None:
    """Show the files that were taken in or refused, newest first."""
    found = bootstrap.batches(spec, kind, limit)
    if as_json:
        click.echo(json.dumps([_plain(batch) for batch in found], indent=2))
        return
    for batch in found:
        _say(batch)
    if not found:
        click.echo("nothing yet: no file was taken in")


@marts.command()
@click.option(
    "--older-than", "days", type=click.IntRange(min=1, max=36_500), required=True, metavar="DAYS", help="Their age."
)
@click.option("--spec", help="Only this spec.")
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
def prune(days: int, spec: str | None, dry_run: bool) -> None:
    """Remove old batches: their rows, and the score files written of them.

    What a version was trained on stays, and so do files that the next run would only score again.
    """
    gone = bootstrap.prune_marts(days, spec, dry_run=dry_run)
    click.echo(f"{'would go' if dry_run else 'gone'}, older than {days} {'day' if days == 1 else 'days'}:")
    for each in gone:
        click.echo(f"  {_name(each.batch)}  {each.rows:,} rows  {readable(each.size)}  {each.batch.uri}")
    click.echo(_sum(gone))


def _sum(gone: "Sequence[Gone]") -> str:
    rows, size = sum(each.rows for each in gone), sum(each.size for each in gone)
    return f"{len(gone)} {'batch' if len(gone) == 1 else 'batches'}, {rows:,} rows, {readable(size)} of score files"


def _name(batch: Batch) -> str:
    scored = "" if batch.version is None else f" {version(batch.version)}"
    return f"#{batch.id:<5} {moment(batch.ended_at)}  {batch.spec:<12} {batch.kind}{scored}"


def _say(batch: Batch) -> None:
    status = click.style(f"{batch.status:<8}", fg=COLOURS[batch.status], bold=True)
    click.echo(f"{_name(batch)}  {status} {batch.uri}")
    if batch.reason is not None:
        click.echo(f"       {batch.reason}")
        return
    rejected = f", {batch.rejected:,} rejected" if batch.rejected else ""
    click.echo(f"       {batch.accepted:,} rows{rejected} → {batch.output_uri}")


def _plain(batch: Batch) -> dict[str, Any]:
    """A batch as JSON: its times by ISO 8601, its spec as an object."""
    found = asdict(batch)
    found["spec_json"] = json.loads(batch.spec_json)
    return {name: each.isoformat() if isinstance(each, datetime) else each for name, each in found.items()}
