"""The whole case of a line of the ledger, as text and as JSON."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from gauntlet.cli.show import moment, percent, percent_interval, version
from gauntlet.jobs.ledger_records import Dossier, Period
from gauntlet.jobs.ports import Entry, Kind, Version

Lines = Iterator[tuple[str, str]]


def lines(dossier: Dossier) -> Lines:
    """Yield the case as labels and texts; a text without a label goes on with the one before."""
    entry = dossier.entry
    yield "when", moment(entry.at)
    yield "who", entry.decided_by
    yield "reason", entry.reason
    yield from _version_lines("champion" if entry.verdict else "from", entry.champion, dossier.champion)
    yield from _version_lines("challenger" if entry.verdict else "to", entry.challenger, dossier.challenger)
    if dossier.drift is not None:
        yield from _drift_lines(dossier.drift)
    if entry.verdict is not None:
        yield from _test_lines(entry)
    if dossier.policy is not None:
        yield "policy", _pairs(dict(sorted(dossier.policy.items())))
        yield "", f"sha256 {dossier.policy_sha256}"
    if dossier.code_version is not None:
        yield "code", dossier.code_version
    yield "production", _outcome(dossier)


def plain(entry: Entry) -> dict[str, Any]:
    """Return a line of the ledger as JSON values, without its evidence."""
    return {
        "id": entry.id,
        "at": entry.at.isoformat(),
        "spec": entry.spec,
        "kind": str(entry.kind),
        "verdict": None if entry.verdict is None else str(entry.verdict),
        "reason": entry.reason,
        "held": entry.held,
        "champion": entry.champion,
        "challenger": entry.challenger,
        "effect": entry.effect,
        "interval": None if entry.interval is None else list(entry.interval),
        "rows": entry.rows,
        "decided_by": entry.decided_by,
    }


def plain_period(period: Period) -> dict[str, Any]:
    """Return a stay in production as JSON values."""
    until = period.until.isoformat() if period.until else None
    return {**asdict(period), "since": period.since.isoformat(), "until": until}


def as_json(dossier: Dossier) -> dict[str, Any]:
    """Return the whole case as JSON values."""
    return {
        **plain(dossier.entry),
        "run_key": dossier.entry.run_key,
        "model": dossier.model,
        "champion_version": asdict(dossier.champion) if dossier.champion else None,
        "challenger_version": asdict(dossier.challenger) if dossier.challenger else None,
        "drift": dossier.drift,
        "evidence": dossier.entry.evidence,
        "policy": dossier.policy,
        "policy_sha256": dossier.policy_sha256,
        "code_version": dossier.code_version,
        "production": plain_period(dossier.period) if dossier.period else None,
    }


def _version_lines(label: str, number: int | None, known: Version | None) -> Lines:
    if number is None:
        return
    if known is None:
        yield label, f"{version(number)}, which this pipeline did not make"
        return
    yield label, f"{known.model} {version(number)}: {known.recipe}, seed {known.seed}, MLflow run {known.run_id}"
    yield "", f"snapshot {known.snapshot.sha256}"
    yield "", f"model    {known.model_sha256}"


def _drift_lines(report: Mapping[str, Any]) -> Lines:
    findings = report.get("findings", [])
    drifted = [finding for finding in findings if finding["drifted"]]
    yield "drift", f"{'drift' if report['drifted'] else 'no drift'}, {len(drifted)} of {len(findings)} checks"
    for finding in drifted:
        yield "", f"{finding['column']} ({finding['test']}): {finding['reason']}"


def _test_lines(entry: Entry) -> Lines:
    if entry.effect is not None:
        yield "effect", f"{percent(entry.effect)} ({percent_interval(entry.interval)}) on {entry.rows:,} rows"
    evidence = entry.evidence
    decision = evidence.get("decision", {})
    if decision.get("rows_needed") is not None:
        yield "", f"about {decision['rows_needed']:,} rows find the least effect that the policy looks for"
    if evidence.get("metrics"):
        yield "metrics", _pairs(evidence["metrics"])
    for number, guardrail in enumerate(decision.get("guardrails") or ()):
        mark = "passed" if guardrail["passed"] else "FAILED"
        yield "" if number else "guardrails", f"{mark}  {guardrail['name']}: {guardrail['reason']}"
    if evidence.get("rows_uri"):
        yield "test rows", evidence["rows_uri"]


def _outcome(dossier: Dossier) -> str:
    entry, period = dossier.entry, dossier.period
    if entry.kind in (Kind.FREEZE, Kind.UNFREEZE):
        return "promotions are held back from here on" if entry.kind is Kind.FREEZE else "promotions go on from here"
    if entry.held is not None:
        return f"was not moved: {entry.held}"
    if period is None:
        return "was not moved" if entry.verdict else "nothing was in production after it"
    until = moment(period.until) if period.until else "now"
    return f"{version(period.version)} from {moment(period.since)} until {until}"


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {_short(value)}" for name, value in values.items())


def _short(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
