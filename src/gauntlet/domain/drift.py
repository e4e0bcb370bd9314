"""Drift: the sample a model was trained on against a current one, column by column."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Literal

import pandas as pd

from gauntlet.domain import drift_file
from gauntlet.domain.drift_samples import (
    CategoricalSample,
    NumericSample,
    adjusted_p_values,
    chi_square_p_value,
    ks_distance,
    ks_p_value,
    level_table,
    psi_original,
    psi_smoothed,
)
from gauntlet.domain.rows import check, require_columns, typed
from gauntlet.domain.spec import Spec
from gauntlet.domain.wording import percent

ROWS = "(rows)"
"""What a finding on whole rows has for a column."""
LEFT_OUT_RISE = 0.05
"""A rise by this in the share of the rows served that are left out is drift."""

Sample = NumericSample | CategoricalSample
TestName = Literal["ks", "psi", "nulls", "unseen", "no_data", "schema", "left_out"]


class DriftRule(StrEnum):
    """BH: significance over all columns and a minimum effect; ORIGINAL: each column's p-value or PSI alone."""

    BH = "bh"
    ORIGINAL = "original"


@dataclass(frozen=True)
class DriftPolicy:
    """When a difference is drift; shares are 0..1."""

    rule: DriftRule = DriftRule.BH
    ks_pvalue: float = 0.05
    psi: float = 0.1
    min_effect: float = 0.03
    null_shift: float = 0.05
    unseen_share: float = 0.01


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
class DriftReport:
    """All findings of one comparison."""

    findings: tuple[DriftFinding, ...]
    rows_reference: int
    rows_current: int

    @property
    def drifted(self) -> bool:
        """Whether any finding is drift."""
        return any(finding.drifted for finding in self.findings)

    @property
    def drifted_columns(self) -> tuple[str, ...]:
        """The columns that drifted, each once, in the order of the findings."""
        return tuple(dict.fromkeys(finding.column for finding in self.findings if finding.drifted))

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return {
            "drifted": self.drifted,
            "rows": {"reference": self.rows_reference, "current": self.rows_current},
            "findings": [asdict(finding) for finding in self.findings],
        }


@dataclass(frozen=True)
class DriftProfile:
    """The reference: a sample of each variable of the spec, and the share of the rows served that were left out."""

    spec: Spec
    samples: Mapping[str, Sample]
    rows: int
    left_out: float

    @classmethod
    def fit(cls, frame: pd.DataFrame, spec: Spec, *, served: int | None = None) -> DriftProfile:
        """Return the profile of a frame; raise RowsError when columns of the spec are missing.

        `served` says how many rows there were before those of a wrong type were left out; None: the frame has all.
        """
        require_columns(frame, spec.columns)
        samples = {column: _reader(column, spec).read(frame[column]) for column in spec.variables}
        return cls(spec, samples, len(frame), _left_out(frame, spec, served, {})[0])

    def compare(
        self,
        frame: pd.DataFrame,
        policy: DriftPolicy,
        *,
        served: int | None = None,
        misfits: Mapping[str, int] | None = None,
    ) -> DriftReport:
        """Return what differs in a frame; columns it misses, doubles or adds are findings, never an error.

        `served` as in `fit`; `misfits` says which rules how many of the rows that are no longer there broke.
        """
        findings = [*self._on_columns(frame, policy), *self._on_rows(frame, policy, served, misfits or {})]
        return DriftReport(tuple(findings), self.rows, len(frame))

    def _on_columns(self, frame: pd.DataFrame, policy: DriftPolicy) -> Iterator[DriftFinding]:
        names = list(frame.columns)
        samples = {
            column: _reader(column, self.spec).read(frame[column])
            for column in self.spec.variables
            if names.count(column) == 1
        }
        tests = {
            column: test
            for column, sample in samples.items()
            if (test := _test(self.samples[column], sample, policy)) is not None
        }
        adjusted = dict(zip(tests, adjusted_p_values([test.p_value for test in tests.values()]), strict=True))
        for column in self.spec.variables:
            if column not in samples:
                yield _not_once(column, names.count(column))
                continue
            if column in tests:
                yield _judge(column, tests[column], adjusted[column], len(tests), policy)
            yield from _on_values(column, self.samples[column], samples[column], policy)
        yield from (_added(column) for column in names if column not in self.spec.columns)

    def _on_rows(
        self, frame: pd.DataFrame, policy: DriftPolicy, served: int | None, misfits: Mapping[str, int]
    ) -> Iterator[DriftFinding]:
        names = list(frame.columns)
        if any(names.count(column) != 1 for column in self.spec.columns):
            return  # rows cannot be checked by a spec whose columns are not there, which is a finding already
        share, most = _left_out(frame, self.spec, served, misfits)
        rise = share - self.left_out
        reason = f"{percent(share)} of the rows served were left out, {percent(self.left_out)} in the reference{most}"
        drifted = _reaches(rise, LEFT_OUT_RISE) and policy.rule is DriftRule.BH
        yield DriftFinding(ROWS, "left_out", share, None, rise, LEFT_OUT_RISE, drifted, reason)

    def to_bytes(self) -> bytes:
        """Return the profile as a file."""
        return drift_file.write(self.spec, self.samples, self.rows, self.left_out)

    @classmethod
    def from_bytes(cls, data: bytes) -> DriftProfile:
        """Return the profile that `to_bytes` wrote; raise DriftFileError for anything else."""
        return cls(*drift_file.read(data))


@dataclass(frozen=True)
class _Test:
    """A comparison of two distributions: D or the PSI, its p-value, and the PSI of the rule ORIGINAL."""

    name: Literal["ks", "psi"]
    effect: float
    p_value: float


def _reader(column: str, spec: Spec) -> type[NumericSample] | type[CategoricalSample]:
    return NumericSample if column in spec.numeric else CategoricalSample


def _left_out(frame: pd.DataFrame, spec: Spec, served: int | None, misfits: Mapping[str, int]) -> tuple[float, str]:
    """Return the share of the rows served that do not fit or break the spec, and words on the rule most often broken.

    Rows that broke one of `misfits` are in `served` and no longer in the frame.
    """
    rows = len(frame) if served is None else served
    fitting = typed(frame, spec)
    checked = check(fitting.frame, spec)
    broken = Counter(misfits) + Counter(fitting.misfits) + Counter(checked.broken)
    most = "".join(f"; most often since {rule} ({count:,} of {rows:,} rows)" for rule, count in broken.most_common(1))
    return 1 - len(checked.kept) / rows if rows else 0.0, most


def _test(reference: Sample, current: Sample, policy: DriftPolicy) -> _Test | None:
    if not reference.size or not current.size:
        return None
    if isinstance(reference, NumericSample) and isinstance(current, NumericSample):
        distance = ks_distance(reference, current)
        return _Test("ks", distance, ks_p_value(distance, reference.size, current.size))
    if isinstance(reference, CategoricalSample) and isinstance(current, CategoricalSample):
        table = level_table(reference, current)
        psi = psi_smoothed if policy.rule is DriftRule.BH else psi_original
        return _Test("psi", psi(table), chi_square_p_value(table))
    raise TypeError("the samples of a column must be of one kind")


def _judge(column: str, test: _Test, adjusted: float, tests: int, policy: DriftPolicy) -> DriftFinding:
    if policy.rule is DriftRule.ORIGINAL:
        return _judge_originally(column, test, policy)
    name, threshold = ("KS distance", policy.min_effect) if test.name == "ks" else ("PSI", policy.psi)
    significant, large = adjusted <= policy.ks_pvalue, test.effect >= threshold
    size = f"{name} {test.effect:.4g} is {'at least' if large else 'below'} {threshold:g}"
    sure = (
        f"p = {test.p_value:.3g} is {'significant' if significant else 'not significant'} "
        f"among {tests} columns at {policy.ks_pvalue:g}"
    )
    joint = "and" if significant == large else "but"
    reason = f"{size} {joint} {sure}"
    drifted = significant and large
    return DriftFinding(column, test.name, test.effect, test.p_value, test.effect, threshold, drifted, reason)


def _judge_originally(column: str, test: _Test, policy: DriftPolicy) -> DriftFinding:
    if test.name == "ks":
        drifted, threshold = test.p_value < policy.ks_pvalue, policy.ks_pvalue
        reason = f"KS p = {test.p_value:.3g} is {'below' if drifted else 'not below'} {threshold:g}"
        return DriftFinding(column, "ks", test.effect, test.p_value, test.p_value, threshold, drifted, reason)
    drifted = test.effect > policy.psi
    reason = f"PSI {test.effect:.4g} is {'above' if drifted else 'not above'} {policy.psi:g}"
    return DriftFinding(column, "psi", test.effect, None, test.effect, policy.psi, drifted, reason)


def _on_values(column: str, reference: Sample, current: Sample, policy: DriftPolicy) -> Iterator[DriftFinding]:
    """Yield what is to be said of values that are no part of the distributions: misfits, missing and unseen ones."""
    rows = current.size + current.missing + current.misfits
    strict = policy.rule is DriftRule.BH
    if current.misfits:
        share = current.misfits / rows
        kind = "no numbers" if isinstance(current, NumericSample) else "neither text nor numbers"
        reason = f"{current.misfits:,} of {rows:,} values are {kind}"
        drifted = _reaches(share, policy.unseen_share) or not current.size
        yield DriftFinding(column, "schema", share, None, share, policy.unseen_share, drifted, reason)
    if not reference.size or not current.size:
        if not current.misfits:
            yield _no_data(column, reference, current)
        return
    before = reference.missing / (reference.size + reference.missing + reference.misfits)
    share = current.missing / rows
    if before or share:
        reason = f"{percent(share)} of values are missing, {percent(before)} in the reference"
        drifted = strict and _reaches(abs(share - before), policy.null_shift)
        yield DriftFinding(column, "nulls", share, None, share - before, policy.null_shift, drifted, reason)
    if isinstance(reference, CategoricalSample) and isinstance(current, CategoricalSample):
        yield from _unseen(column, reference, current, policy)


def _unseen(
    column: str, reference: CategoricalSample, current: CategoricalSample, policy: DriftPolicy
) -> Iterator[DriftFinding]:
    unseen = {level: count for level, count in current.counts.items() if level not in reference.counts}
    if unseen:
        share = sum(unseen.values()) / (current.size + current.missing + current.misfits)
        named = sorted(unseen, key=lambda level: -unseen[level])
        more = f" and {len(named) - 3} more" if len(named) > 3 else ""
        reason = f"{percent(share, 2)} of values are categories unseen in the reference: {', '.join(named[:3])}{more}"
        drifted = policy.rule is DriftRule.BH and _reaches(share, policy.unseen_share)
        yield DriftFinding(column, "unseen", share, None, share, policy.unseen_share, drifted, reason)


def _no_data(column: str, reference: Sample, current: Sample) -> DriftFinding:
    where = [name for name, sample in (("reference", reference), ("current", current)) if not sample.size]
    drifted = len(where) == 1
    reason = f"no data in the {' and in the '.join(where)} sample"
    return DriftFinding(column, "no_data", float(not current.size), None, float(drifted), 1.0, drifted, reason)


def _not_once(column: str, times: int) -> DriftFinding:
    reason = f"the column is there {times} times" if times else "the column is missing"
    return DriftFinding(column, "schema", 1.0, None, 1.0, 1.0, True, reason)


def _added(column: str) -> DriftFinding:
    return DriftFinding(str(column), "schema", 1.0, None, 1.0, 1.0, True, "the column is not in the reference")


def _reaches(share: float, threshold: float) -> bool:
    """Whether a share reaches a threshold, free of rounding errors such as .15 - .1 < .05."""
    return round(share - threshold, 12) >= 0
