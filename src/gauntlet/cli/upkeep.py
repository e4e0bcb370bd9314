"""gauntlet backup, restore, prune."""

from pathlib import Path

import click

from gauntlet import bootstrap

FILE = click.Path(dir_okay=False, path_type=Path, resolve_path=True)


@click.command()
@click.argument("file", type=FILE)
@click.option("--force", is_flag=True, help="Overwrite FILE.")
def backup(file: Path, force: bool) -> None:
    """Write databases, objects and models into FILE, while the stack goes on working."""
    if not file.parent.is_dir():
        raise click.UsageError(f"FILE must lie in a folder that exists; there is no {file.parent}.")
    bootstrap.back_up(file, force=force, say=click.echo)
    click.echo(f"{file} holds no passwords of the stack: keep .env, or GAUNTLET_HOME/secrets, in another safe place")


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path, resolve_path=True))
def restore(file: Path) -> None:
    """Restore FILE into a stack that runs and is empty; services stop meanwhile."""
    bootstrap.restore(file, say=click.echo)
    click.echo("restored; see: gauntlet status, gauntlet history")


@click.command()
@click.option(
    "--older-than",
    "days",
    type=click.IntRange(min=1, max=36_500),
    default=90,
    show_default=True,
    metavar="DAYS",
    help="Their age.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@click.option("-v", "--verbose", is_flag=True, help="Name each of them.")
def prune(days: int, dry_run: bool, verbose: bool) -> None:
    """Remove old objects, runs and task logs that ledger, registry and marts do not name."""
    click.echo(f"{'would go' if dry_run else 'gone'}, older than {days} {'day' if days == 1 else 'days'}:")
    pruned = bootstrap.prune(days, dry_run=dry_run, say=click.echo)
    for kind, things in pruned.things.items() if verbose else ():
        for name, size in sorted(things.items()):
            click.echo(f"  {kind}: {name} ({size:,} bytes)")
