"""gauntlet doctor."""

import json
import logging
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict

import click

from gauntlet import bootstrap
from gauntlet.jobs.doctor import Finding

QUIET = 2.0  # seconds after which a person at a terminal is told what goes on


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list of findings.")
def doctor(as_json: bool) -> None:
    """Look for what is wrong, before or after `up`, and say what to do; silent and exit code 0 when nothing is."""
    logging.disable()  # libraries warn of the failures that the findings are about
    progress = _Progress()
    findings = bootstrap.examine(progress.asked)
    progress.end()
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        click.echo("\n".join(_block(finding) for finding in findings), nl=bool(findings))
    if findings:
        raise SystemExit(1)


def _block(finding: Finding) -> str:
    name = click.style(finding.check, fg="red", bold=True)
    return f"{name}\n  {finding.found}\n  {click.style('→', fg='green')} {finding.remedy}"


class _Progress:
    """One line on the error output of a terminal, gone at the end."""

    def __init__(self) -> None:
        self._from = time.monotonic() + QUIET
        self._shown = False

    def asked(self, checks: Sequence[str]) -> None:
        """Say which checks have not answered yet."""
        if checks and sys.stderr.isatty() and time.monotonic() > self._from:
            click.echo(f"\r\x1b[Kstill asking: {', '.join(checks)}"[:110], err=True, nl=False)
            self._shown = True

    def end(self) -> None:
        """Clear the line."""
        if self._shown:
            click.echo("\r\x1b[K", err=True, nl=False)
