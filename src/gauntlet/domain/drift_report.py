"""What a drift check is judged by, and what it found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Literal

from gauntlet.domain.spec import ColumnDrift

ROWS = "(rows)"
"""What a finding on whole rows has for a column."""

TestName = Literal["ks", "psi", "nulls", "unseen", "no_data", "schema", "left_out"]


class DriftRule(StrEnum):
    """BH: significance over all columns and a minimum effect; ORIGINAL: each column's p-value or PSI alone."""

    BH = "bh"
    ORIGINAL = "original"


@dataclass(frozen=True)
class DriftPolicy:
    """When a difference is drift; shares are 0..1.

    `overrides` holds what single columns have otherwise; None: what the profile's spec says.
    """

    rule: DriftRule = DriftRule.BH
    ks_pvalue: float = 0.05
    psi: float = 0.1
    min_effect: float = 0.03
    null_shift: float = 0.05
    unseen_share: float = 0.01
    overrides: Mapping[str, ColumnDrift] | None = None


@dataclass(frozen=True)
class DriftFinding:
    """One test of one column; `effect` is what `threshold` bounds (the p-value under the rule ORIGINAL for numbers)."""

    column: str
    test: TestName
    statistic: float
    p_value: float | None
    effect: float
    threshold: float
    drifted: bool
    reason: str


@dataclass(frozen=True)
class Overlay:
    """A column's two samples over the same bins, as shares of the values that are there.

    Numbers: `edges`, ascending, one more than bins; a bin holds its upper edge, the outer ones all beyond as well.
    Categories: `levels`, the last one "(other)" when there are more than are shown.
    """

    column: str
    edges: tuple[float, ...]
    levels: tuple[str, ...]
    reference: tuple[float, ...]
    current: tuple[float, ...]


@dataclass(frozen=True)
class DriftReport:
    """All findings of one comparison, and the columns' overlays."""

    findings: tuple[DriftFinding, ...]
    rows_reference: int
    rows_current: int
    overlays: tuple[Overlay, ...] = ()

    @property
    def drifted(self) -> bool:
        """Whether any finding is drift."""
        return any(finding.drifted for finding in self.findings)

    @property
    def drifted_columns(self) -> tuple[str, ...]:
        """The columns that drifted, each once, in the order of the findings."""
        return tuple(dict.fromkeys(finding.column for finding in self.findings if finding.drifted))

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON values, without the overlays."""
        return {
            "drifted": self.drifted,
            "rows": {"reference": self.rows_reference, "current": self.rows_current},
            "findings": [asdict(finding) for finding in self.findings],
        }

    def to_record(self) -> dict[str, Any]:
        """Return all of the report as JSON values."""
        return {**self.to_dict(), "overlays": [asdict(overlay) for overlay in self.overlays]}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> DriftReport:
        """Return the report that `to_record` wrote, or `to_dict`: then without overlays."""
        return cls(
            findings=tuple(DriftFinding(**finding) for finding in record["findings"]),
            rows_reference=record["rows"]["reference"],
            rows_current=record["rows"]["current"],
            overlays=tuple(
                Overlay(
                    overlay["column"], *(tuple(overlay[part]) for part in ("edges", "levels", "reference", "current"))
                )
                for overlay in record.get("overlays", ())
            ),
        )
