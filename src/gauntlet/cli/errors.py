"""Errors that a user can mend, as text instead of a traceback."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from gauntlet.domain.errors import Mendable


@contextmanager
def shown() -> Iterator[None]:
    """Turn a mendable error into its text and exit code 1."""
    try:
        yield
    except Mendable as error:
        click.echo(f"{click.style('error:', fg='red', bold=True)} {error}", err=True)
        sys.exit(1)
