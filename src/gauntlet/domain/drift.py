"""Drift: the sample a model was trained on against a current one, column by column."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from gauntlet.domain import drift_file
from gauntlet.domain.drift_columns import Columns
from gauntlet.domain.drift_findings import (
    ColumnRule,
    Significance,
    added,
    not_once,
    on_distribution,
    on_values,
    reaches,
)
from gauntlet.domain.drift_measures import Measured, measure
from gauntlet.domain.drift_report import (
    ROWS,
    DriftFinding,
    DriftPolicy,
    DriftReport,
    DriftRule,
    Overlay,
)
from gauntlet.domain.drift_samples import CategoricalSample, Current, NumericReference, NumericSample, Reference
from gauntlet.domain.drift_statistics import adjusted_p_values
from gauntlet.domain.drift_table import AnyTable, Table
from gauntlet.domain.rows import check, require_names, typed
from gauntlet.domain.spec import ColumnDrift, Spec
from gauntlet.domain.wording import percent

__all__ = [
    "ROWS", "AnyTable", "DriftFinding", "DriftPolicy", "DriftProfile", "DriftReport", "DriftRule", "Overlay",
]  # fmt: skip

LEFT_OUT_RISE = 0.05
"""A rise by this in the share of the rows served that are left out is drift."""
THREADS = 2
FEW_VALUES = 200_000
"""Below so many values in all, threads cost more than they bring."""

In = TypeVar("In")
Out = TypeVar("Out")


@dataclass(frozen=True)
class DriftProfile:
    """The reference: a sample of each variable of the spec, and the share of the rows served that were left out.

    It holds the values of the columns themselves, so it is as confidential as the rows it was made of. Where plain
    columns stand for the spec no row is left out.
    """

    spec: Spec | Columns
    samples: Mapping[str, Reference]
    rows: int
    left_out: float

    @classmethod
    def fit(
        cls, data: AnyTable, spec: Spec | Columns, *, served: int | None = None, threads: int = THREADS
    ) -> DriftProfile:
        """Return the profile of a table (see `AnyTable`); raise RowsError when columns of the spec are missing.

        `served` says how many rows there were before those of a wrong type were left out; None: the table has all.
        """
        table = Table.of(data)
        require_names(table.names, spec.columns)

        def fit(column: str) -> tuple[Current, Reference]:
            sample = _read(table, column, spec)
            return sample, NumericReference.of(sample) if isinstance(sample, NumericSample) else sample

        pairs = dict(zip(spec.variables, _each(fit, spec.variables, table, threads), strict=True))
        left_out = 0.0
        if not isinstance(spec, Columns):
            samples = {column: sample for column, (sample, _) in pairs.items()}
            left_out, _ = _left_out(table, samples, spec, served, {})
        return cls(spec, {column: reference for column, (_, reference) in pairs.items()}, table.rows, left_out)

    def compare(
        self,
        data: AnyTable,
        policy: DriftPolicy,
        *,
        served: int | None = None,
        misfits: Mapping[str, int] | None = None,
        threads: int = THREADS,
    ) -> DriftReport:
        """Return what differs in a table; columns it misses, doubles or adds are findings, never an error.

        `served` as in `fit`; `misfits` says which rules how many of the rows that are no longer there broke. The
        report is the same for any number of threads.
        """
        table = Table.of(data)
        once = [column for column in self.spec.variables if table.names.count(column) == 1]

        def compare(column: str) -> tuple[Current, Measured | None]:
            sample = _read(table, column, self.spec)
            known = self.spec.categorical.get(column, ())
            measured = measure(column, known, self.samples[column], sample)
            return sample.without_values() if isinstance(sample, NumericSample) else sample, measured

        pairs = dict(zip(once, _each(compare, once, table, threads), strict=True))
        samples = {column: sample for column, (sample, _) in pairs.items()}
        measured = {column: found for column, (_, found) in pairs.items() if found is not None}
        findings = [
            *self._on_columns(table, samples, measured, policy),
            *self._on_rows(table, samples, policy, served, misfits or {}),
        ]
        overlays = tuple(found.overlay for found in measured.values() if found.overlay is not None)
        return DriftReport(tuple(findings), self.rows, table.rows, overlays)

    def _on_columns(
        self, table: Table, samples: Mapping[str, Current], measured: Mapping[str, Measured], policy: DriftPolicy
    ) -> Iterator[DriftFinding]:
        overrides = self.spec.drift if policy.overrides is None else policy.overrides
        own = {column: overrides.get(column, ColumnDrift()) for column in self.spec.variables}
        judged = {column: found for column, found in measured.items() if not own[column].ignore}
        adjusted = dict(zip(judged, adjusted_p_values([found.p_value for found in judged.values()]), strict=True))
        for column in self.spec.variables:
            if column not in samples:
                yield not_once(column, table.names.count(column))
                continue
            if own[column].ignore:
                continue
            rule = ColumnRule.of(policy, own[column])
            if column in judged:
                yield from on_distribution(column, judged[column], Significance(adjusted[column], len(judged)), rule)
            yield from on_values(column, self.samples[column], samples[column], rule)
        yield from (added(column) for column in table.names if column not in self.spec.columns)

    def _on_rows(
        self,
        table: Table,
        samples: Mapping[str, Current],
        policy: DriftPolicy,
        served: int | None,
        misfits: Mapping[str, int],
    ) -> Iterator[DriftFinding]:
        if any(table.names.count(column) != 1 for column in self.spec.columns):
            return  # rows cannot be checked by a spec whose columns are not there, which is a finding already
        if isinstance(self.spec, Columns):
            return  # it has no rules that a row could break
        share, most = _left_out(table, samples, self.spec, served, misfits)
        rise = share - self.left_out
        reason = f"{percent(share)} of the rows served were left out, {percent(self.left_out)} in the reference{most}"
        drifted = reaches(rise, LEFT_OUT_RISE) and policy.rule is DriftRule.BH
        yield DriftFinding(ROWS, "left_out", share, None, rise, LEFT_OUT_RISE, drifted, reason)

    def to_bytes(self) -> bytes:
        """Return the profile as a file; raises TypeError when it was made without a spec."""
        if isinstance(self.spec, Columns):
            raise TypeError("a profile must have a spec to be saved; this one has plain columns. Write a spec.")
        return drift_file.write(self.spec, self.samples, self.rows, self.left_out)

    @classmethod
    def from_bytes(cls, data: bytes) -> DriftProfile:
        """Return the profile that `to_bytes` wrote, now or before; raise DriftFileError for anything else."""
        return cls(*drift_file.read(data))


def _each(work: Callable[[In], Out], items: Iterable[In], table: Table, threads: int) -> list[Out]:
    """Do a work on each item, results in their order; numpy and pyarrow let threads run side by side."""
    if threads < 2 or table.rows * len(table.names) < FEW_VALUES:
        return [work(item) for item in items]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, items))


def _read(table: Table, column: str, spec: Spec | Columns) -> Current:
    kind = NumericSample if column in spec.numeric else CategoricalSample
    return kind.read(table.column(column))


def _left_out(
    table: Table, samples: Mapping[str, Current], spec: Spec, served: int | None, misfits: Mapping[str, int]
) -> tuple[float, str]:
    """Return the share of the rows served that do not fit or break the spec, and words on the rule most often broken.

    Rows that broke one of `misfits` are in `served` and no longer in the table. A column whose sample shows that none
    of its values breaks a rule need not be gone through row by row.
    """
    rows = table.rows if served is None else served
    unclean = [column for column, sample in samples.items() if not _is_clean(column, sample, spec)]
    if not unclean:
        return 1 - table.rows / rows if rows else 0.0, _most_often(Counter(misfits), rows)
    part = spec.model_copy(
        update={
            "key": None,
            "numeric": {column: spec.numeric[column] for column in unclean if column in spec.numeric},
            "categorical": {column: spec.categorical[column] for column in unclean if column in spec.categorical},
        }
    )
    fitting = typed(table.frame(part.variables), part)
    checked = check(fitting.frame, part)
    broken = Counter(misfits) + Counter(fitting.misfits) + Counter(checked.broken)
    return 1 - len(checked.kept) / rows if rows else 0.0, _most_often(broken, rows)


def _most_often(broken: Counter[str], rows: int) -> str:
    return "".join(f"; most often since {rule} ({count:,} of {rows:,} rows)" for rule, count in broken.most_common(1))


def _is_clean(column: str, sample: Current, spec: Spec) -> bool:
    """Whether no value of a column is missing, a misfit, out of its range or in none of its categories."""
    if sample.missing or sample.misfits:
        return False
    if isinstance(sample, CategoricalSample):
        return set(sample.counts) <= set(spec.categorical[column])
    if not sample.size:
        return True
    low, high = sample.ends
    return spec.numeric[column].min <= low and high <= spec.numeric[column].max
