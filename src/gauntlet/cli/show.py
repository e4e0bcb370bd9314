"""Progress and figures as people read them."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import click

QUIET = 2.0  # seconds after which a person at a terminal is told what goes on


class Progress:
    """Lines that stay, and on a terminal one line below them that says what goes on right now."""

    def __init__(self) -> None:
        self._live = sys.stdout.isatty()

    def say(self, text: str) -> None:
        """Print a line that stays."""
        self.doing("")
        click.echo(text)

    def doing(self, text: str) -> None:
        """Show what goes on; the next call replaces it. Nothing where the output is no terminal."""
        if self._live:
            click.echo(f"\r\x1b[K{text}\r", nl=False)


def percent(effect: float | None) -> str:
    """A relative effect as a signed percentage; "-" for none."""
    return "-" if effect is None else f"{effect:+.1%}"


def percent_interval(interval: tuple[float, float] | None) -> str:
    """An interval of relative effects; "-" for none."""
    return "-" if interval is None else f"{interval[0]:+.1%} to {interval[1]:+.1%}"


def version(number: int | None) -> str:
    """A version's number; "-" for none."""
    return "-" if number is None else f"v{number}"


def moment(at: datetime) -> str:
    """A time to the second, by UTC."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


@contextmanager
def working() -> Iterator[Callable[[str], None]]:
    """Yield what says what goes on: one line on the error output of a terminal, gone at the end."""
    began, stage = time.monotonic(), ["starting"]
    is_live = sys.stderr is not None and sys.stderr.isatty()  # none where a daemon has closed it

    def show() -> None:
        click.echo(f"\r\x1b[K{stage[0]} ...", err=True, nl=False)

    def doing(text: str) -> None:
        stage[0] = text
        if is_live and time.monotonic() - began > QUIET:
            show()

    timer = threading.Timer(QUIET, show)
    timer.daemon = True
    if is_live:
        timer.start()
    try:
        yield doing
    finally:
        timer.cancel()
        if is_live and time.monotonic() - began > QUIET:
            click.echo("\r\x1b[K", err=True, nl=False)
