"""Errors that a user can mend, as text instead of a traceback."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import click

from gauntlet.domain.errors import Mendable


@contextmanager
def shown() -> Iterator[None]:
    """Turn a mendable error into its text and exit code 1."""
    try:
        yield
    except BrokenPipeError:
        sys.exit(1)  # whoever read the output has gone
    except Mendable as error:
        _say(str(error))
    except OSError as error:
        if error.filename is None:
            raise
        _say(f"{error.filename} must be readable and writable; found: {error.strerror}. Mend it, or set GAUNTLET_HOME.")


def _say(text: str) -> NoReturn:
    click.echo(f"{click.style('error:', fg='red', bold=True)} {text}", err=True)
    sys.exit(1)
