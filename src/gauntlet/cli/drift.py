"""gauntlet drift."""

import json
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from gauntlet import bootstrap
from gauntlet.cli.show import working
from gauntlet.domain.errors import Mendable

if TYPE_CHECKING:
    from gauntlet.bootstrap.drift import FileDrift

DRIFT, ERROR, INTERRUPTED = 1, 2, 130
HEADINGS = ("", "column", "test", "statistic", "effect", "threshold", "p", "reason")


@click.command()
@click.argument("reference", type=click.Path(path_type=Path))
@click.argument("current", type=click.Path(path_type=Path))
@click.option("--spec", help="A spec's name or .toml file; default: columns and kinds as the files have them.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--html", "page", type=click.Path(path_type=Path), metavar="FILE", help="Write the report as a page, too."
)
def drift(reference: Path, current: Path, spec: str | None, as_json: bool, page: Path | None) -> None:
    """Compare two tables (CSV or parquet) column by column, without a server.

    The exit code is 0 without drift, 1 with drift, 2 after an error.
    """
    with _errors_are_two():
        if page is not None:
            _require_other_file(page, [reference, current, *([Path(spec)] if spec else [])])
        with working() as doing:
            found = bootstrap.drift_between(reference, current, spec, doing)
            if page is not None:
                bootstrap.write_page(page, f"{current.name} against {reference.name}", found)
        click.echo(json.dumps(found.report.to_dict(), indent=2) if as_json else _text(found))
    if found.report.drifted:
        raise SystemExit(DRIFT)


def _require_other_file(page: Path, inputs: list[Path]) -> None:
    for path in inputs:
        if page.exists() and path.exists() and page.samefile(path):
            _say(f"--html must name a file of its own; {page} is {path}, which is read. Name another file.")


def _text(found: "FileDrift") -> str:
    """Return the findings as a table, the worst first, then what was not compared, then the conclusion."""
    rows = [HEADINGS, *(("DRIFT" if drifted else "", *cells) for drifted, cells in found.table)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(HEADINGS) - 1)]
    lines = []
    for row in rows:
        mark, *cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=False))
        lines.append("  ".join([click.style(mark, fg="red", bold=True) if row[0] else mark, *cells, row[-1]]).rstrip())
    lines += ["", *(f"not compared: {column} ({what})" for column, what in found.not_compared)]
    return "\n".join([*lines, click.style(found.line, fg="red" if found.report.drifted else "green", bold=True)])


@contextmanager
def _errors_are_two() -> Iterator[None]:
    """Turn every error into exit code 2, since 1 means drift."""
    try:
        yield
    except BrokenPipeError:  # whoever read the output has gone, and Python would say so when it ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(ERROR)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except Mendable as error:
        _say(str(error))
    except OSError as error:
        if error.filename is None:
            _say(str(error))
        _say(f"{error.filename} must be readable and writable; found: {error.strerror}. Mend it, or name another file.")
    except Exception:  # noqa: BLE001 - a fault of this program must not look like drift
        traceback.print_exc()
        sys.exit(ERROR)


def _say(text: str) -> NoReturn:
    click.echo(f"{click.style('error:', fg='red', bold=True)} {text}", err=True)
    sys.exit(ERROR)
