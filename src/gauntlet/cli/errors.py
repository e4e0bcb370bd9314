"""Errors that a user can mend, as text instead of a traceback."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

# by name, so that showing an error loads nothing heavy
MENDABLE = {
    "AirflowError", "Refused", "RunFailed", "ServiceAway", "SettingsError", "SpecError", "StackError", "StoreError",
    "TrafficRefusedError",
}  # fmt: skip


@contextmanager
def shown() -> Iterator[None]:
    """Turn a mendable error into its text and exit code 1."""
    try:
        yield
    except Exception as error:
        if type(error).__name__ not in MENDABLE:
            raise
        click.echo(f"{click.style('error:', fg='red', bold=True)} {error}", err=True)
        sys.exit(1)
