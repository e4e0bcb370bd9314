"""Two tables that no spec describes: which of their columns are numbers, which are categories, which are neither."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd

from gauntlet.domain.drift import DriftFinding, DriftPolicy, DriftProfile, DriftReport
from gauntlet.domain.drift_columns import Columns
from gauntlet.domain.errors import Final
from gauntlet.domain.spec import Range

ANY_NUMBER = Range.model_construct(min=-np.inf, max=np.inf)
DATE = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}.*)?")
LOOKED_AT = 1000
"""How many different texts tell whether a column holds dates."""
FEWEST_IDS = 3
"""So many values at least make an id of a column in which none occurs twice."""


class Kind(StrEnum):
    """What the values of a column are."""

    NUMBERS = "numbers"
    TEXT = "text"
    BOOLEANS = "true and false"
    DATES = "dates"
    IDS = "ids: each value once"
    COUNTER = "a row counter: each whole number once"
    OTHER = "neither numbers nor text"
    NOTHING = "nothing"


CATEGORIES = (Kind.TEXT, Kind.BOOLEANS)
MADE_OF = {Kind.IDS: Kind.TEXT, Kind.COUNTER: Kind.NUMBERS}
LEFT_OUT = (Kind.DATES, Kind.IDS, Kind.COUNTER, Kind.OTHER)


class NothingToCompare(Final):
    """No column can be compared."""


@dataclass(frozen=True)
class FilesDrift:
    """The drift between two tables, and the columns that were not compared: name → what they hold."""

    report: DriftReport
    left_out: Mapping[str, str]


def compare_frames(reference: pd.DataFrame, current: pd.DataFrame, policy: DriftPolicy) -> FilesDrift:
    """Compare two tables by the columns of the reference, as far as they hold numbers, text or booleans.

    Raises NothingToCompare when it has no such column. A column whose kind differs between the tables has drifted.
    """
    kinds = {str(name): kind(reference.iloc[:, place]) for place, name in enumerate(reference.columns)}
    others = {str(name): kind(current.iloc[:, place]) for place, name in enumerate(current.columns)}
    kinds = {name: _known(found, others.get(name, found)) for name, found in kinds.items()}
    left_out = {name: str(found) for name, found in kinds.items() if found in LEFT_OUT}
    changed = [
        _changed(name, found, others[name])
        for name, found in kinds.items()
        if name in others and name not in left_out and not _alike(found, others[name])
    ]
    aside = {*left_out, *(finding.column for finding in changed)}
    columns = Columns(
        numeric={name: ANY_NUMBER for name in kinds if name not in aside and kinds[name] not in CATEGORIES},
        categorical={name: () for name in kinds if name not in aside and kinds[name] in CATEGORIES},
    )
    if not columns.variables and not changed:
        what = ", ".join(f"{name} ({found})" for name, found in left_out.items())
        raise NothingToCompare(f"a table must have columns of numbers or categories; found {what}. Name a spec.")
    profile = DriftProfile.fit(_without(reference, aside), columns)
    report = profile.compare(_without(current, aside), policy)
    findings = (*changed, *report.findings)
    return FilesDrift(DriftReport(findings, len(reference), len(current), report.overlays), left_out)


def kind(column: pd.Series[Any]) -> Kind:
    """Return what a column holds."""
    present = column.dropna()
    if present.empty:
        return Kind.NOTHING
    if pd.api.types.is_bool_dtype(present.dtype) or _all(present, bool | np.bool_):
        return Kind.BOOLEANS
    if _is_number(present):
        return Kind.COUNTER if _counts(present) else Kind.NUMBERS
    if pd.api.types.is_datetime64_any_dtype(present.dtype):
        return Kind.DATES
    if isinstance(present.dtype, pd.CategoricalDtype):
        return Kind.TEXT
    if isinstance(present.dtype, pd.StringDtype) or _all(present, str):
        return _text_kind(present)
    return Kind.TEXT if _all(present, str | Real | Decimal | np.bool_) else Kind.OTHER


def _text_kind(present: pd.Series[Any]) -> Kind:
    different = present.unique()
    if all(DATE.fullmatch(str(text)) for text in different[:LOOKED_AT]):
        return Kind.DATES
    return Kind.IDS if len(different) == len(present) >= FEWEST_IDS else Kind.TEXT


def _is_number(present: pd.Series[Any]) -> bool:
    dtype = present.dtype
    if pd.api.types.is_numeric_dtype(dtype):
        return not pd.api.types.is_complex_dtype(dtype)
    return pd.api.types.is_object_dtype(dtype) and _all(present, Real | Decimal)


def _counts(present: pd.Series[Any]) -> bool:
    """Whether these are consecutive whole numbers in order, as a saved index has."""
    if not pd.api.types.is_integer_dtype(present.dtype) or len(present) < FEWEST_IDS:
        return False
    return bool((np.diff(present.to_numpy(dtype=np.int64, na_value=0)) == 1).all())


def _all(present: pd.Series[Any], kinds: Any) -> bool:
    if not pd.api.types.is_object_dtype(present.dtype):
        return False
    return all(isinstance(value, kinds) for value in present)


def _known(found: Kind, other: Kind) -> Kind:
    """Return the kind of a column that is empty in the reference: that of the current one."""
    return other if found is Kind.NOTHING else found


def _alike(found: Kind, other: Kind) -> bool:
    """Whether two columns are of one kind, looked at by what they are made of; nothing goes with everything."""
    return other is Kind.NOTHING or MADE_OF.get(found, found) is MADE_OF.get(other, other)


def _changed(column: str, found: Kind, other: Kind) -> DriftFinding:
    before, now = (MADE_OF.get(each, each) for each in (found, other))
    reason = f"{before} in the reference, {now} in the current table"
    return DriftFinding(column, "schema", 1.0, None, 1.0, 1.0, drifted=True, reason=reason)


def _without(frame: pd.DataFrame, aside: set[str]) -> pd.DataFrame:
    return frame.loc[:, [str(name) not in aside for name in frame.columns]]
