"""Further records that the jobs exchange with the ledger: ways back, stays in production, freezes, whole cases."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from gauntlet.jobs.ports import Entry, Version


@dataclass(frozen=True)
class Rollback:
    """A way back to `new`, if production still is `old`; `key` lets a second try find what the first one did."""

    spec: str
    model: str
    key: str
    old: int
    new: Version
    reason: str
    decided_by: str
    code_version: str
    evidence: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Period:
    """A version's stay in production: since <= T < until, `until` None for now; `event_id` is what began it.

    `line` is its number in the history: that of the verdict behind the event, where there is one.
    """

    spec: str
    model: str
    version: int
    run_id: str
    since: datetime
    until: datetime | None
    event_id: int
    line: int
    kind: str
    reason: str
    decided_by: str


@dataclass(frozen=True)
class Freeze:
    """A spec without promotions until somebody lifts it."""

    spec: str
    since: datetime
    reason: str
    decided_by: str

    @property
    def text(self) -> str:
        """What is said of a verdict that it holds back."""
        return f"frozen since {self.since:%Y-%m-%d %H:%M} UTC: {self.reason}"


@dataclass(frozen=True)
class Dossier:
    """Everything the ledger knows of one of its lines.

    `period` is the stay in production that began with it, if one did; `drift` the drift report of the same run. A
    version made outside has no record, and a line without a verdict no policy.
    """

    entry: Entry
    model: str | None
    champion: Version | None
    challenger: Version | None
    policy: Mapping[str, Any] | None
    policy_sha256: str | None
    code_version: str | None
    drift: Mapping[str, Any] | None
    period: Period | None
