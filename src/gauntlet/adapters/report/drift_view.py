"""A drift report as cards (the columns that drifted) and rows (all others), ready to be laid out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice

from gauntlet.adapters.report.pictures import Bars, Steps, bars, steps
from gauntlet.domain.drift import ROWS, DriftFinding, DriftReport, Overlay
from gauntlet.domain.report import TESTS, ColumnFindings, by_column, judges_p_value, short

NAME_WIDTH = 60
REASON_WIDTH = 240
WORST = 6
"""How many columns the list at the top has."""
FAR = 1000.0
"""A column this many times over its threshold is as bad as can be shown."""
NOT_COMPARED = 50
"""So many columns that were not compared are named."""
OPEN_ROWS = 12
"""Up to so many columns that did not drift are shown without being asked for."""


@dataclass(frozen=True)
class Detail:
    """How much is drawn: cards, bins and levels of a card; rows, and bins of a row's picture (0: none)."""

    cards: int
    bins: int
    levels: int
    rows: int
    row_bins: int


@dataclass(frozen=True)
class FindingView:
    """One finding as text."""

    drifted: bool
    test: str
    statistic: str
    effect: str
    threshold: str
    p_value: str
    reason: str


@dataclass(frozen=True)
class ColumnView:
    """One column: its findings, and a picture where there is one."""

    number: int
    name: str
    drifted: bool
    times: str
    bar: float
    findings: tuple[FindingView, ...]
    steps: Steps | None = None
    bars: Bars | None = None


@dataclass(frozen=True)
class DriftView:
    """All of a drift report that is shown; `listed` of `rows` are columns, `more` columns are left out of the page."""

    drifted: int
    columns: int
    rows_reference: str
    rows_current: str
    worst: tuple[ColumnView, ...]
    mark: float
    cards: tuple[ColumnView, ...]
    rows: tuple[ColumnView, ...]
    listed: int
    is_open: bool
    more: int
    not_compared: tuple[tuple[str, str], ...]
    more_not_compared: int


def drift_view(report: DriftReport, detail: Detail, not_compared: Mapping[str, str]) -> DriftView:
    """Return what is shown of a report, and of what was not compared (name → why), at a level of detail."""
    columns = by_column(report)
    overlays = {overlay.column: overlay for overlay in report.overlays}
    far = max((min(each.excess, FAR) for each in columns if each.drifted and math.isfinite(each.excess)), default=FAR)
    drifted = sum(each.drifted for each in columns)
    cards = min(drifted, detail.cards)
    views = [
        _column(number, each, far, overlays, detail, card=number < cards)
        for number, each in enumerate(columns[: cards + detail.rows])
    ]
    return DriftView(
        drifted=sum(each.drifted and each.column != ROWS for each in columns),
        columns=sum(each.column != ROWS for each in columns),
        rows_reference=f"{report.rows_reference:,}",
        rows_current=f"{report.rows_current:,}",
        worst=tuple(view for view in views[:WORST] if view.drifted),
        mark=100 / max(far, 1.0),
        cards=tuple(views[:cards]),
        rows=tuple(views[cards:]),
        listed=sum(each.column != ROWS for each in columns[cards : len(views)]),
        is_open=drifted > cards or len(views) - cards <= OPEN_ROWS,
        more=sum(each.column != ROWS for each in columns[len(views) :]),
        not_compared=tuple(
            (short(name, NAME_WIDTH), short(why, NAME_WIDTH))
            for name, why in islice(not_compared.items(), NOT_COMPARED)
        ),
        more_not_compared=max(len(not_compared) - NOT_COMPARED, 0),
    )


def _column(
    number: int, each: ColumnFindings, far: float, overlays: Mapping[str, Overlay], detail: Detail, *, card: bool
) -> ColumnView:
    overlay = overlays.get(each.column)
    by_levels = card and overlay is not None and bool(overlay.levels)
    bins = detail.bins if card else detail.row_bins
    return ColumnView(
        number=number,
        name="rows left out" if each.column == ROWS else short(each.column, NAME_WIDTH),
        drifted=each.drifted,
        times=_times(each.excess),
        bar=100 * min(each.excess / far, 1.0),
        findings=tuple(_finding(finding) for finding in each.findings),
        steps=steps(overlay, bins) if overlay and bins and not by_levels else None,
        bars=bars(overlay, detail.levels) if overlay and by_levels else None,
    )


def _finding(finding: DriftFinding) -> FindingView:
    return FindingView(
        drifted=finding.drifted,
        test=TESTS.get(finding.test, finding.test),
        statistic=_number(finding.statistic),
        effect=_number(finding.effect),
        threshold=f"p < {finding.threshold:g}" if judges_p_value(finding) else f"{finding.threshold:g}",
        p_value="-" if finding.p_value is None else f"{finding.p_value:.2g}",
        reason=short(finding.reason, REASON_WIDTH),
    )


def _times(excess: float) -> str:
    if math.isinf(excess):
        return "cannot be compared"
    return f"{excess:.2g}x" if excess < FAR else f"over {FAR:.0f}x"


def _number(value: float) -> str:
    return f"{value:.3g}"
