"""Overlays of two samples as pictures: coordinates that the templates place."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from gauntlet.domain.drift import Overlay
from gauntlet.domain.drift_overlays import OTHER
from gauntlet.domain.report import short

HEIGHT = 100
LEVEL_WIDTH = 14
EDGE_WIDTH = 14
BARS_FROM, BARS_SPAN = 36.0, 38.0
"""Where the bars of levels begin, and how long the greatest share is, in % of the picture."""


@dataclass(frozen=True)
class Steps:
    """Two distributions as paths in a box of `bins` x 100 units, and what to write at its foot."""

    bins: int
    reference: str
    current: str
    foot: tuple[str, ...]
    peak: str


@dataclass(frozen=True)
class Level:
    """A category: both shares as widths in % of the picture and as text; `y` is its place from the top in px."""

    name: str
    y: int
    reference: str
    current: str
    text: str


@dataclass(frozen=True)
class Bars:
    """Categories below each other; `height` in px, `start` where the bars begin in %."""

    levels: tuple[Level, ...]
    height: int
    start: float = BARS_FROM


def steps(overlay: Overlay, bins: int) -> Steps:
    """Return both shares of numbers or categories as steps, with neighbours joined until there are at most `bins`."""
    width = -(-len(overlay.reference) // bins) or 1
    reference, current = (_joined(shares, width) for shares in (overlay.reference, overlay.current))
    peak = max((*reference, *current, 0.0))
    paths = [_path(shares, peak) for shares in (reference, current)]
    return Steps(len(reference), paths[0], paths[1], _foot(overlay), f"{100 * peak:.2g}\u00a0%")


def bars(overlay: Overlay, levels: int) -> Bars:
    """Return the categories with the greatest shares, the rest as one."""
    shares = dict(zip(overlay.levels, zip(overlay.reference, overlay.current, strict=True), strict=True))
    rest = shares.pop(OTHER, (0.0, 0.0))
    kept = list(shares)
    if len(shares) > levels:
        largest = sorted(shares, key=lambda level: -max(shares[level]))
        kept = [level for level in shares if level in set(largest[: levels - 1])]
        dropped = [shares[level] for level in largest[levels - 1 :]]
        rest = (rest[0] + sum(pair[0] for pair in dropped), rest[1] + sum(pair[1] for pair in dropped))
    rows = [(level, *shares[level]) for level in kept]
    if any(rest):
        rows.append((OTHER, *rest))
    peak = max((max(before, now) for _, before, now in rows), default=0.0) or 1.0
    drawn = tuple(_level(number, row, peak) for number, row in enumerate(rows))
    return Bars(drawn, 22 * len(drawn) + 4)


def _level(number: int, row: tuple[str, float, float], peak: float) -> Level:
    name, before, now = row
    reference, current = (f"{BARS_SPAN * share / peak:.4g}" for share in (before, now))
    text = f"{100 * before:.2g} → {100 * now:.2g}\u00a0%"
    return Level(short(name, LEVEL_WIDTH), 22 * number, reference, current, text)


def _joined(shares: Sequence[float], width: int) -> list[float]:
    return [math.fsum(shares[start : start + width]) for start in range(0, len(shares), width)]


def _path(shares: Sequence[float], peak: float) -> str:
    """Return the outline of bars of width 1, as short as it can be said."""
    tops = [HEIGHT - (round(HEIGHT * share / peak) if peak else 0) for share in shares]
    runs = [f"V{top}h{len(list(run))}" for top, run in groupby(tops)]
    return f"M0 {HEIGHT}{''.join(runs)}V{HEIGHT}"


def _foot(overlay: Overlay) -> tuple[str, ...]:
    if overlay.levels:
        return ()
    edges = overlay.edges
    return tuple(_edge(edge) for edge in (edges[0], edges[len(edges) // 2], edges[-1])) if edges else ()


def _edge(value: float) -> str:
    return short(f"{value:.4g}", EDGE_WIDTH)
