"""gauntlet data."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gauntlet import bootstrap
from gauntlet.cli.show import working

if TYPE_CHECKING:
    from gauntlet.bootstrap.example_data import ExampleFile


@click.group()
def data() -> None:
    """Make files to train on and to predict."""


@data.command()
@click.option("--spec", help="The spec whose own data the rows are drawn from; default: the default spec.")
@click.option("--rows", type=click.IntRange(min=1), required=True, metavar="N", help="Rows of each of the two files.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Another seed, other rows.")
@click.option(
    "--bad-share",
    type=click.FloatRange(0, 1),
    default=0.0,
    metavar="X",
    help="The share of rows, 0 to 1, that break the spec: missing values, values out of range, words for numbers.",
)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="A folder; default: where you are.")
@click.option("--put", is_flag=True, help="Put them where the pipelines look for files: the stack's object store.")
@click.option("--force", is_flag=True, help="Replace files of the same names that hold something else.")
def make(spec: str | None, rows: int, seed: int, bad_share: float, out: Path | None, put: bool, force: bool) -> None:
    """Make a training file and a prediction file of a spec; the same bytes for the same spec, rows and seed.

    The rows are drawn from the spec's own data, and their numbers are moved by up to 1 %, inside the spec's ranges. The
    prediction file has no target.
    """
    if put and out is not None:
        raise click.UsageError("--put and --out exclude each other: name a folder, or the object store.")
    folder = None if put else out or Path()
    with working() as doing:
        made = bootstrap.make_data(spec, (rows, seed, bad_share), folder, force=force, doing=doing)
    for file in made:
        click.echo(_line(file, rows))


def _line(file: "ExampleFile", rows: int) -> str:
    bad = f", {file.made.bad_rows:,} of them bad" if file.made.bad_rows else ""
    there = "" if file.is_new else " (was there already)"
    size = f"{file.made.size / 1e6:,.1f} MB" if file.made.size >= 1e6 else f"{file.made.size / 1e3:,.1f} kB"
    return f"{file.place}: {rows:,} rows{bad}, {size}{there}"
