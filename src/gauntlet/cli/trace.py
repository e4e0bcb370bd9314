"""gauntlet trace, reproduce and verify: whether results can be repeated."""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from gauntlet import bootstrap
from gauntlet.cli.show import working

if TYPE_CHECKING:
    from gauntlet.jobs.audit_port import Check
    from gauntlet.jobs.reproduce import Reproduced

Lines = Iterator[tuple[str, str]]
WRONG = 1
LABEL = 12


@click.command()
@click.option("--batch", type=click.IntRange(min=1), required=True, metavar="B", help="The batch: mart.batch.id.")
@click.option("--row", "row_id", type=int, metavar="ID", help="The row by its id.")
@click.option("--row-number", type=click.IntRange(min=1), metavar="N", help="The row by its place in the file, from 1.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def trace(batch: int, row_id: int | None, row_number: int | None, as_json: bool) -> None:
    """Show everything behind one row of a batch: its values, file and model, the training rows and the verdict.

    Checks hashes and values on the way; the exit code is 0 when all are right, else 1.
    """
    if (row_id is None) == (row_number is None):
        raise click.UsageError("Name the row either by --row ID or by --row-number N.")
    with working() as doing:
        found = bootstrap.trace_row(batch, row_id, row_number, doing)
    if as_json:
        checks = [_plain_check(check) for check in found.checks]
        click.echo(json.dumps({"chain": found.chain, "checks": checks, "ok": found.ok}, indent=2))
    else:
        for label, text in _chain_lines(found.chain):
            click.echo(f"{label:<{LABEL}}{text}")
        _echo_checks(found.checks)
    if not found.ok:
        raise SystemExit(WRONG)


@click.command()
@click.argument("batch", type=click.IntRange(min=1))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def reproduce(batch: int, as_json: bool) -> None:
    """Make a batch again from its kept input and its model, and compare every row with the marts, bit for bit.

    The exit code is 0 when all is equal, else 1. Other versions of the libraries may change the last bits.
    """
    with working() as doing:
        found = bootstrap.reproduce_batch(batch, doing)
    if as_json:
        click.echo(json.dumps(_plain_reproduced(found), indent=2))
    else:
        for line in _reproduced_lines(found):
            click.echo(line)
    if not found.equal:
        raise SystemExit(WRONG)


@click.command()
@click.option("--spec", help="Only this spec.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def verify(spec: str | None, as_json: bool) -> None:
    """Check the marts against the files, the model registry and the ledger: counts, missing rows, hashes.

    The exit code is 0 when all is right, else 1.
    """
    with working() as doing:
        found = bootstrap.verify_marts(spec, doing)
    is_right = all(check.ok for checks in found.values() for check in checks)
    if as_json:
        specs = {name: [_plain_check(check) for check in checks] for name, checks in found.items()}
        click.echo(json.dumps({"specs": specs, "ok": is_right}, indent=2))
    else:
        for name, checks in found.items():
            click.echo(name)
            _echo_checks(checks)
        if not found:
            click.echo("The marts are empty: nothing has been scored or trained on from files.")
    if not is_right:
        raise SystemExit(WRONG)


def _echo_checks(checks: "tuple[Check, ...]") -> None:
    for check in checks:
        mark = click.style("ok   ", fg="green") if check.ok else click.style("WRONG", fg="red", bold=True)
        click.echo(f"{mark}  {check.name}")
        for fault in check.wrong:
            click.echo(f"         {fault}")
        if check.remedy:
            click.echo(f"       {check.remedy}")


def _plain_check(check: "Check") -> dict[str, Any]:
    return {**asdict(check), "ok": check.ok}


def _chain_lines(chain: Mapping[str, Any]) -> Lines:
    """Yield the chain as labels and texts; a text without a label goes on with the one before."""
    row, file, batch = chain["row"], chain["file"], chain["batch"]
    if "prediction" in chain:
        yield "prediction", _pairs(chain["prediction"])
    pool = f", of the {row['pool']} pool" if "pool" in row else ""
    yield "row", f"number {row['row_number']:,}, id {row['row_id']}{pool}"
    yield "values", _pairs(chain["input"]["mart"])
    if chain["input"]["file"] is not None:
        yield "in the file", _pairs(chain["input"]["file"])
    yield "file", f"{file['uri']}, of {file['data_time']}"
    yield "", f"sha256 {file['sha256']}"
    yield "", f"kept as {file['kept_uri']}"
    counts = f"{batch['read']:,} rows read, {batch['accepted']:,} accepted, {batch['rejected']:,} rejected"
    yield "batch", f"{batch['id']}, {batch['kind']} of {batch['spec']}: {counts}"
    yield "", f"by {batch['run_key']}, {batch['ended_at']}, code {batch['code_version']}"
    yield "", f"written to {batch['output_uri']}"
    yield "", f"sha256 {batch['output_sha256']}"
    if "model" in chain:
        yield from _model_lines(chain)
    for version in chain.get("trained", ()):
        known = {True: "the row is in its snapshot", False: "the row is not in its snapshot", None: "snapshot gone"}
        yield "trained", f"v{version['version']} ({version['recipe']}): {known[version['in_snapshot']]}"
    if chain.get("trained") == []:
        yield "trained", "no version so far"


def _model_lines(chain: Mapping[str, Any]) -> Lines:
    model, training, verdict = chain["model"], chain["training"], chain["verdict"]
    rule = chain["batch"]["rule"]
    yield "model", f"{model['name']} v{model['version']}: {model['recipe']}, MLflow run {model['run_id']}; rule {rule}"
    yield "", f"sha256 {model['sha256']}"
    rows = "rows gone" if training["rows"] is None else f"{training['rows']:,} rows"
    yield "trained on", f"{rows} in {training['snapshot_uri']}"
    yield "", f"sha256 {training['snapshot_sha256']}"
    for file in training["files"]:
        yield "", f"batch {file['batch']}: {file['uri']}, {file['accepted']:,} rows, sha256 {file['sha256']}"
    if not training["files"]:
        yield "", "no file: rows of the router"
    if verdict is None:
        yield "verdict", "none: it was never tested"
        return
    held = f"; held: {verdict['held']}" if verdict["held"] else ""
    yield "verdict", f"{verdict['verdict']}, line {verdict['id']} of the ledger, {verdict['at']}{held}"
    effect = "" if verdict["effect"] is None else f", effect {verdict['effect']:+.1%}"
    yield "", f"{verdict['reason']}{effect}; by {verdict['decided_by']}"


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {'-' if value is None else value}" for name, value in values.items())


def _reproduced_lines(found: "Reproduced") -> Iterator[str]:
    batch, tally = found.batch, found.tally
    by = f"v{batch.version}" if batch.version is not None else "training"
    yield f"batch {batch.id}, {batch.uri}, {by}: {tally.compared:,} rows compared, {tally.differing:,} differ"
    if tally.largest:
        yield f"numbers differ by at most {tally.largest:.3g}"
    for one in tally.first:
        yield f"  row {one.row_number:,} (id {one.row_id}), {one.column}: {one.mart!r} in the mart, {one.again!r} now"
    if tally.only_mart or tally.only_again:
        yield f"only in the mart: {tally.only_mart:,} rows; only now: {tally.only_again:,} rows"
    if (found.read, found.rejected) != (batch.read, batch.rejected):
        then = f"{batch.read:,} rows read and {batch.rejected:,} rejected"
        yield f"{then} then, {found.read:,} and {found.rejected:,} now"
    said = {"equal": "has its SHA-256", "gone": "is gone, and was not compared"}
    yield f"{batch.output_uri} {said.get(found.output, f'has another SHA-256, {found.output}')}"
    yield click.style("equal", fg="green", bold=True) if found.equal else click.style("NOT EQUAL", fg="red", bold=True)


def _finite(values: dict[str, Any]) -> dict[str, Any]:
    """The tally with text for numbers that JSON has no word for."""
    first = [{name: _number(value) for name, value in one.items()} for one in values["first"]]
    return {**values, "largest": _number(values["largest"]), "first": first}


def _number(value: Any) -> Any:
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _plain_reproduced(found: "Reproduced") -> dict[str, Any]:
    return {
        "batch": found.batch.id,
        "spec": found.batch.spec,
        "kind": str(found.batch.kind),
        "uri": found.batch.uri,
        "version": found.batch.version,
        "equal": found.equal,
        **_finite(asdict(found.tally)),
        "read": [found.batch.read, found.read],
        "rejected": [found.batch.rejected, found.rejected],
        "output": found.output,
    }
