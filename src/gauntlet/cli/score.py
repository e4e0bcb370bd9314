"""gauntlet score."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gauntlet import bootstrap
from gauntlet.cli.show import Progress

if TYPE_CHECKING:
    from gauntlet.jobs.score_local import LocalScores


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--spec", help="The spec that the file fits; default: the default spec.")
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="The parquet file of scores.")
@click.option(
    "--model", "rule", metavar="RULE", help="production, best:METRIC or version:N; default: what the spec says."
)
@click.option(
    "--rejected", type=click.Path(path_type=Path), metavar="FILE", help="Write the rejected rows, too (.parquet, .csv)."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def score(file: Path, spec: str | None, out: Path, rule: str | None, rejected: Path | None, as_json: bool) -> None:
    """Score a parquet file into another one, as predict_pipeline does, without marts and object store.

    Rows that break the spec are left out and counted. The exit code is 0 when the scores were written, else 1.
    """
    progress = Progress()

    def told(rows: int, total: int) -> None:
        if not as_json:
            progress.doing(f"{rows:,} of {total:,} rows scored")

    found = bootstrap.score_path(bootstrap.load_settings(), file, spec, rule, out, rejected, told)
    if as_json:
        click.echo(json.dumps(_fields(found, out), indent=2))
    else:
        version = found.chosen.version
        progress.say(f"{out}: {found.written:,} scores by {version.model} v{version.version} ({found.chosen.rule})")
    if found.tally.rejected:
        warning = click.style("warning:", fg="yellow", bold=True)
        kept = f" They are in {rejected}." if rejected else ""
        what = f"{found.tally.rejected:,} of {found.tally.read:,} rows break the spec and have no score"
        click.echo(f"{warning} {what}: {found.tally.why}.{kept}", err=True)


def _fields(found: "LocalScores", out: Path) -> dict[str, Any]:
    version, tally = found.chosen.version, found.tally
    return {
        "out": str(out),
        "model": version.model,
        "version": version.version,
        "rule": found.chosen.rule,
        "rows": tally.read,
        "accepted": tally.accepted,
        "rejected": tally.rejected,
        "reasons": dict(tally.reasons.most_common()),
        "written": found.written,
    }
