"""The `gauntlet` command."""

import signal
import sys
from types import FrameType

import click

from gauntlet.cli import (
    data,
    decide,
    doctor,
    drift,
    ledger,
    marts,
    rollback,
    runs,
    score,
    stack,
    trace,
    traffic,
    upkeep,
    watch,
)
from gauntlet.cli.errors import shown


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="gauntlet")
def cli() -> None:
    """Gauntlet: an MLOps stack in which a model has to earn Production."""


for command in (
    stack.up, stack.down, stack.status, stack.logs, stack.migrate, doctor.doctor, traffic.traffic, runs.run,
    runs.demo, ledger.history, ledger.production, ledger.explain, rollback.rollback, rollback.freeze, rollback.unfreeze,
    data.data, watch.watch, decide.decide, drift.drift, score.score, upkeep.backup, upkeep.restore, upkeep.prune,
    marts.marts, trace.trace, trace.reproduce, trace.verify,
):  # fmt: skip
    cli.add_command(command)


def main() -> None:
    """Run the command; errors that a user can mend are one clear text and exit code 1."""
    for ending in (signal.SIGTERM, signal.SIGHUP):  # so that what a command must put back is put back
        signal.signal(ending, _end)
    with shown():
        cli(prog_name="gauntlet")
    sys.exit(0)


def _end(number: int, _: FrameType | None) -> None:
    sys.exit(128 + number)
