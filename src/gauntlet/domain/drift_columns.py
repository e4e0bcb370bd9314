"""Columns to compare where no spec describes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gauntlet.domain.spec import ColumnDrift, Range


@dataclass(frozen=True)
class Columns:
    """The part of a spec that a drift check reads; it has no rules that a row could break.

    `numeric` and `categorical` name the columns as a spec does; their ranges and categories are not looked at.
    """

    numeric: Mapping[str, Range]
    categorical: Mapping[str, tuple[str, ...]]
    drift: Mapping[str, ColumnDrift] = field(default_factory=dict)

    @property
    def variables(self) -> tuple[str, ...]:
        """The columns that are compared."""
        return (*self.numeric, *self.categorical)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that both tables should have."""
        return self.variables
