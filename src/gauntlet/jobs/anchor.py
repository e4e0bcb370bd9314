"""The anchor: the best version that ever was in production, by the ledger."""

from collections.abc import Sequence

from gauntlet.jobs.ports import Entry, Kind, Version
from gauntlet.jobs.run import Ports

ENTRIES = 1_000
"""How many lines of the ledger are read; a daily pipeline writes some 400 a year."""


def anchor(ports: Ports, spec: str) -> Version | None:
    """Return the version that challengers are held to under non-inferiority; None when that is the champion.

    Held to the champion alone, each of many promotions could lose a little: the anchor does not move with them.
    """
    production = ports.ledger.production(spec)
    best = best_version(ports.ledger.history(spec, ENTRIES))
    if best is None or production is None or best == production.version:
        return None
    return ports.ledger.version(spec, best)


def best_version(entries: Sequence[Entry]) -> int | None:
    """Return the version with the lowest loss, relative to the first one's, of all that came into production.

    The losses are chained: that of a challenger is its champion's times (1 + effect), from the test that it passed. A
    version that came by hand, untested against the one before it, counts as its equal. One that was rolled back, and
    not restored since, is none of the best. `entries` are newest first. Of equal ones the newest is returned.
    """
    losses: dict[int, float] = {}
    gone: set[int] = set()
    for entry in reversed(entries):
        new = entry.challenger
        if new is None or not (entry.promoted or entry.kind in (Kind.EXTERNAL, Kind.ROLLBACK)):
            continue
        if entry.kind is Kind.ROLLBACK and entry.champion is not None:
            gone.add(entry.champion)
        gone.discard(new)
        before = losses.get(entry.champion, 1.0) if entry.champion is not None else 1.0
        if entry.promoted:
            losses[new] = before * (1 + (_effect(entry) or 0.0))
        else:
            losses.setdefault(new, before)
    left = {version: loss for version, loss in losses.items() if version not in gone}
    return min(left, key=lambda version: (left[version], -version)) if left else None


def _effect(entry: Entry) -> float | None:
    """The effect against the champion, which is not the entry's own when the verdict was one against an anchor."""
    comparison = entry.evidence.get("comparison")
    effect = comparison.get("effect") if comparison else None
    return entry.effect if effect is None else float(effect)
