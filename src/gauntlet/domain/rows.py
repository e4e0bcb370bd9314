"""Rows against their spec: first types, then ranges, categories and missing values; every rule broken is counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from gauntlet.domain.columns import Mask, as_categories, as_numbers
from gauntlet.domain.errors import Final
from gauntlet.domain.spec import Range, Spec

LISTED_CATEGORIES = 10
"""A rule spells a column's categories out up to this many."""


class RowsError(Final):
    """A frame cannot be read by its spec at all."""


@dataclass(frozen=True)
class TypedRows:
    """Rows whose types fit: numbers as float64, categories as text; `misfits`: rule → rows that broke it."""

    frame: pd.DataFrame
    misfits: Mapping[str, int]


@dataclass(frozen=True)
class CheckedRows:
    """`kept`: the rows that break no rule; `broken`: rule → rows that broke it; `rows`: how many were checked."""

    kept: pd.DataFrame
    broken: Mapping[str, int]
    rows: int

    @property
    def share_left_out(self) -> float:
        """The share of rows that break a rule, 0..1; 0 when there are none at all."""
        return 1 - len(self.kept) / self.rows if self.rows else 0.0


def typed(frame: pd.DataFrame, spec: Spec) -> TypedRows:
    """Return the spec's columns with their types, in the frame's order; rows whose types do not fit are left out.

    Missing values fit every type. Raises RowsError when columns are missing or doubled; others are ignored.
    """
    require_columns(frame, spec.columns)
    values: dict[str, object] = {}
    misfits: dict[str, Mask] = {}
    for column in (name for name in frame.columns if name in spec.columns):
        if column in spec.numeric:
            numbers = as_numbers(frame[column])
            values[column], misfits[f"{column} must be a number"] = numbers.floats, numbers.misfit
        elif column in spec.categorical:
            categories = as_categories(frame[column])
            values[column], misfits[f"{column} must be text or a number"] = categories.values, categories.misfit
        else:
            values[column] = frame[column]
    fits, counts = _without(misfits, len(frame))
    result = pd.DataFrame(values, index=frame.index)
    return TypedRows(result if fits.all() else result[fits], counts)


def check(frame: pd.DataFrame, spec: Spec) -> CheckedRows:
    """Return the rows of a typed frame that lie in their ranges and categories and miss no value.

    Raises RowsError when columns of the spec are missing.
    """
    require_columns(frame, spec.variables)
    broken: dict[str, Mask] = {}
    for column, bounds in spec.numeric.items():
        numbers = frame[column].to_numpy(dtype=np.float64)
        missing = np.isnan(numbers)
        broken[f"{column} must not be missing"] = missing
        outside = ~missing & ~((numbers >= bounds.min) & (numbers <= bounds.max))
        broken[range_rule(column, bounds)] = outside
    for column, categories in spec.categorical.items():
        missing = frame[column].isna().to_numpy(dtype=bool)
        broken[f"{column} must not be missing"] = missing
        known = frame[column].isin(list(categories)).to_numpy(dtype=bool)
        broken[categories_rule(column, categories)] = ~missing & ~known
    keeps, counts = _without(broken, len(frame))
    return CheckedRows(frame if keeps.all() else frame[keeps], counts, len(frame))


def require_columns(frame: pd.DataFrame, columns: tuple[str, ...]) -> None:
    """Raise RowsError when columns are missing or doubled."""
    require_names(list(frame.columns), columns)


def require_names(names: Sequence[str], columns: tuple[str, ...]) -> None:
    """Raise RowsError when columns are missing or doubled among a table's names."""
    missing = [column for column in columns if column not in names]
    if missing:
        raise RowsError(
            f"every column of the spec must be there; missing: {', '.join(missing)}. Serve them, or change the spec."
        )
    doubled = [column for column in columns if names.count(column) > 1]
    if doubled:
        raise RowsError(f"column names must differ; doubled: {', '.join(doubled)}. Rename or drop the others.")


def _without(broken: Mapping[str, Mask], rows: int) -> tuple[Mask, dict[str, int]]:
    """Return the mask of rows that break nothing, and the rules that any row breaks with their counts."""
    counts = {rule: int(mask.sum()) for rule, mask in broken.items()}
    keeps = np.ones(rows, dtype=bool)
    for rule, mask in broken.items():
        if counts[rule]:
            keeps &= ~mask
    return keeps, {rule: count for rule, count in counts.items() if count}


def range_rule(column: str, bounds: Range) -> str:
    """Return the rule that a number lies in its range."""
    return f"{column} must lie in {_plain(bounds.min)}..{_plain(bounds.max)}"


def _plain(bound: float) -> str:
    return str(int(bound)) if bound.is_integer() else repr(bound)


def categories_rule(column: str, categories: tuple[str, ...]) -> str:
    """Return the rule that a text is one of its column's categories."""
    if len(categories) > LISTED_CATEGORIES:
        return f"{column} must be one of its {len(categories)} categories"
    return f"{column} must be one of {', '.join(categories)}"
