"""Progress and figures as people read them."""

import sys
from datetime import UTC, datetime

import click


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
