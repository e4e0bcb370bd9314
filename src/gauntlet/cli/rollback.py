"""gauntlet rollback, freeze, unfreeze: what a person does about production."""

import json
from typing import Any

import click

from gauntlet import bootstrap
from gauntlet.cli.explain import plain
from gauntlet.cli.show import moment, version


class Reason(click.ParamType[str]):
    """A text that says something."""

    name = "TEXT"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the text in one line."""
        text = " ".join(str(value).split())
        return text or self.fail("must say why; got an empty text.", param, ctx)


class Number(click.ParamType[int]):
    """A version's number, as `2` or as `v2`."""

    name = "VERSION"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number."""
        digits = str(value).removeprefix("v")
        if not (digits.isdecimal() and 0 < int(digits) < 2**31):
            self.fail(f"must be a version's number, such as 2; got {value!r}.", param, ctx)
        return int(digits)


SPEC = click.option("--spec", help="The spec; default: the default spec.")
REASON = click.option("--reason", type=Reason(), required=True, help="Why; it stands in the ledger.")


@click.command()
@SPEC
@click.option("--to", type=Number(), help="Another version that has been in production; default: the previous one.")
@REASON
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def rollback(spec: str | None, to: int | None, reason: str, as_json: bool) -> None:
    """Put an earlier version back in production, after checking its model."""
    done = bootstrap.roll_back(bootstrap.load_settings(), spec, to, reason)
    if as_json:
        body = {**plain(done.entry), "previous": done.previous, "repeated": done.repeated}
        click.echo(json.dumps(body, indent=2))
        return
    entry = done.entry
    if done.repeated:
        click.echo(f"done already, by {entry.decided_by} (gauntlet explain {entry.id}):")
    click.echo(f"production of {entry.spec}: {version(entry.champion)} → {version(entry.challenger)}")
    click.echo(f"previous is {version(done.previous)} now" if done.previous else "there is no previous version now")
    if done.repeated and done.previous:
        click.echo(f"To go back further, name the version: --to {done.previous}")


@click.command()
@SPEC
@REASON
def freeze(spec: str | None, reason: str) -> None:
    """Hold promotions back: runs go on and verdicts are recorded, production stays."""
    name, new, now = bootstrap.freeze(bootstrap.load_settings(), spec, reason, frozen=True)
    if new or now is None:
        click.echo(f"{name} is frozen: no promotion until it ends")
    else:
        click.echo(f"{name} is frozen already, since {moment(now.since)} by {now.decided_by}: {now.reason}")
    click.echo(f"to end it: gauntlet unfreeze --spec {name} --reason TEXT")


@click.command()
@SPEC
@REASON
def unfreeze(spec: str | None, reason: str) -> None:
    """Let promotions go on."""
    name, new, _ = bootstrap.freeze(bootstrap.load_settings(), spec, reason, frozen=False)
    click.echo(f"{name} is no longer frozen: promotions go on" if new else f"{name} is not frozen")
