"""What a person is told of a drift check and a comparison: one line, and a few lines of Markdown."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from gauntlet.domain.comparison import Comparison
from gauntlet.domain.drift import ROWS, DriftFinding, DriftReport
from gauntlet.domain.promotion import Decision, PromotionPolicy
from gauntlet.domain.wording import percent, signed_percent

TESTS = {
    "ks": "KS distance",
    "psi": "PSI",
    "nulls": "missing",
    "unseen": "unseen",
    "no_data": "no data",
    "schema": "schema",
    "left_out": "left out",
}
"""What a test is called in front of people."""

LIMIT = 3000
"""Characters of Markdown; MLflow takes 5,000 for a description."""
LISTED_COLUMNS = 8
NAME_WIDTH = 40
REASON_WIDTH = 400

MARKUP = str.maketrans(
    {mark: f"\\{mark}" for mark in "\\`*_[]{}#~|"} | {"<": "&lt;", ">": "&gt;", "&": "&amp;", "@": "&#64;"}
)
TURNS = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})
"""Directions of characters (Unicode's names) that show other text in another order than it stands in."""
LINKS = re.compile(r"(?i)(www|https?|ftp)([.:])")


@dataclass(frozen=True)
class ComparisonPart:
    """A comparison with its verdict; `champion` is None for a first model, `held` says why PROMOTE moved nothing."""

    champion: int | None
    challenger: int
    decision: Decision
    comparison: Comparison
    policy: PromotionPolicy
    held: str | None = None


@dataclass(frozen=True)
class Report:
    """What there is to show.

    `ids` names what it was made of (run, snapshot, policy, ...), `not_compared` the columns that were not (name → why).
    """

    title: str
    drift: DriftReport | None = None
    comparison: ComparisonPart | None = None
    ids: Mapping[str, str] = field(default_factory=dict)
    not_compared: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ColumnFindings:
    """All findings on one column, the worst first; `excess` as of the worst."""

    column: str
    findings: tuple[DriftFinding, ...]
    drifted: bool
    excess: float


def excess(finding: DriftFinding) -> float:
    """Return how many times its threshold a finding reaches, >= 0; infinite for a column that cannot be compared.

    Where a p-value is judged by itself (the rule ORIGINAL, numbers), how many times it is below its threshold.
    """
    if finding.test in ("schema", "no_data") and finding.drifted:
        return math.inf
    above, below = (
        (finding.threshold, finding.effect) if judges_p_value(finding) else (abs(finding.effect), finding.threshold)
    )
    return above / below if below else math.inf


def judges_p_value(finding: DriftFinding) -> bool:
    """Whether the finding's threshold bounds its p-value."""
    return finding.test == "ks" and finding.effect == finding.p_value != finding.statistic


def by_column(report: DriftReport) -> tuple[ColumnFindings, ...]:
    """Return the findings by column, the drifted ones first, each part by its excess, greatest first."""
    found: dict[str, list[DriftFinding]] = {}
    for finding in report.findings:
        found.setdefault(finding.column, []).append(finding)
    columns = []
    for column, findings in found.items():
        ordered = sorted(findings, key=lambda finding: (not finding.drifted, -excess(finding)))
        columns.append(ColumnFindings(column, tuple(ordered), ordered[0].drifted, excess(ordered[0])))
    return tuple(sorted(columns, key=lambda each: (not each.drifted, -each.excess)))


def drift_line(report: DriftReport) -> str:
    """Return in one clause whether there is drift, where, and most in what."""
    columns = [each for each in by_column(report) if each.column != ROWS]
    drifted = [each for each in columns if each.drifted]
    rows = f"{report.rows_current:,} rows against {report.rows_reference:,}"
    several = f"{len(columns):,} column{'s' if len(columns) != 1 else ''}"
    left_out = next((each for each in report.findings if each.drifted and each.column == ROWS), None)
    if drifted:
        more = f", and {percent(left_out.statistic)} of rows left out" if left_out else ""
        return f"drift in {len(drifted):,} of {several}, most in {_shown(drifted[0])}{more} ({rows})"
    if left_out:
        return f"drift in the rows left out: {left_out.reason} ({rows})"
    return f"no drift in {several} ({rows})"


def key_line(report: Report) -> str:
    """Return the answer in one sentence with its figures: the verdict, and the drift before it."""
    drift = drift_line(report.drift) if report.drift else ""
    part = report.comparison
    if part is None:
        return f"{drift[:1].upper()}{drift[1:]}." if drift else "Nothing was compared."
    against = f" over v{part.champion}" if part.champion is not None else ""
    held = f", but production stays ({plain(part.held)})" if part.held else ""
    line = f"{part.decision.verdict} v{part.challenger}{against}{held}: {plain(part.decision.reason)}"
    return f"{line}; {drift}." if drift else f"{line}."


def markdown(report: Report) -> str:
    """Return the report for a page that renders Markdown: at most 3,000 characters, all data escaped."""
    text, cut = "", False
    for line in _lines(report):
        if len(text) + len(line) < LIMIT - 80:
            text += line
        else:
            cut = True
    return text + ("\n- cut here; report.html of the run has the whole" if cut else "")


def plain(text: str) -> str:
    """Return a text without what is no text or turns its direction: such characters become U+FFFD."""
    return "".join("\ufffd" if _misleads(char) else char for char in text)


def short(text: str, width: int) -> str:
    """Return a plain text that is no wider than `width` letters, cut with an ellipsis; wide letters count twice."""
    shown, used = "", 0
    for char in plain(text):
        used += 2 if unicodedata.east_asian_width(char) in "WF" else 1
        if used > width:
            return f"{shown[:-1]}…"
        shown += char
    return shown


def escaped(text: str) -> str:
    """Return a text that Markdown shows as it is: no markup, no HTML, no link."""
    return LINKS.sub(r"\1\\\2", plain(text).translate(MARKUP))


def _misleads(char: str) -> bool:
    return unicodedata.category(char) in {"Cc", "Cs"} or unicodedata.bidirectional(char) in TURNS


def _shown(each: ColumnFindings) -> str:
    finding = each.findings[0]
    name = short(each.column, NAME_WIDTH)
    if finding.test not in ("ks", "psi"):
        return f"{name}: {short(finding.reason, REASON_WIDTH)}"
    if judges_p_value(finding):
        return f"{name}: KS p-value {finding.effect:.3g}, threshold {finding.threshold:g}"
    return f"{name}: {TESTS[finding.test]} {finding.effect:.3g}, threshold {finding.threshold:g}"


def _lines(report: Report) -> Iterator[str]:
    part = report.comparison
    if part is None:
        yield f"**{escaped(key_line(report))}**\n"
    else:
        versions = f"v{part.challenger}" + (f" against v{part.champion}" if part.champion is not None else "")
        reason = escaped(short(part.decision.reason, REASON_WIDTH))
        yield f"**{part.decision.verdict}** {versions}: {reason}\n"
        if part.held:
            yield f"\nProduction stays: {escaped(short(part.held, REASON_WIDTH))}\n"
    if report.ids:
        named = (f"{name} {escaped(short(value, 128))}" for name, value in report.ids.items())
        yield f"\n- {', '.join(named)}"
    if part is not None:
        yield from _comparison_lines(part)
    if report.drift is not None:
        yield from _drift_lines(report.drift)


def _comparison_lines(part: ComparisonPart) -> Iterator[str]:
    decision = part.decision
    if decision.effect is not None:
        low_high = decision.interval
        interval = f" ({signed_percent(low_high[0])} to {signed_percent(low_high[1])})" if low_high else ""
        yield f"\n- effect {signed_percent(decision.effect)}{interval} on {decision.rows:,} rows"
    if decision.guardrails:
        failed = [guardrail for guardrail in decision.guardrails if not guardrail.passed]
        kept = len(decision.guardrails) - len(failed)
        yield f"\n- guardrails: {kept} of {len(decision.guardrails)} passed"
        yield from (f"\n- failed: {escaped(short(f'{each.name}, {each.reason}', 160))}" for each in failed)


def _drift_lines(report: DriftReport) -> Iterator[str]:
    yield f"\n- {escaped(drift_line(report))}"
    drifted = [each for each in by_column(report) if each.drifted]
    yield from (f"\n- drifted: {escaped(_shown(each))}" for each in drifted[:LISTED_COLUMNS])
    if len(drifted) > LISTED_COLUMNS:
        yield f"\n- and {len(drifted) - LISTED_COLUMNS:,} more columns that drifted"
