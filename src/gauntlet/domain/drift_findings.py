"""The rule of drift: what was measured of a column becomes findings, each with its threshold and reason."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gauntlet.domain.drift_measures import Measured
from gauntlet.domain.drift_report import DriftFinding, DriftPolicy, DriftRule, TestName
from gauntlet.domain.drift_samples import CategoricalSample, Current, NumericSample, Reference
from gauntlet.domain.spec import ColumnDrift
from gauntlet.domain.wording import percent


@dataclass(frozen=True)
class ColumnRule:
    """The policy as it holds for one column; `psi_decides`: whether the PSI of numbers does more than inform."""

    rule: DriftRule
    significance: float
    distance: float
    psi: float
    psi_decides: bool
    nulls: float
    unseen: float

    @classmethod
    def of(cls, policy: DriftPolicy, own: ColumnDrift) -> ColumnRule:
        """Return a policy with what a column has otherwise."""
        return cls(
            rule=policy.rule,
            significance=policy.ks_pvalue,
            distance=policy.min_effect if own.distance is None else own.distance,
            psi=policy.psi if own.psi is None else own.psi,
            psi_decides=own.psi is not None,
            nulls=policy.null_shift if own.nulls is None else own.nulls,
            unseen=policy.unseen_share if own.unseen is None else own.unseen,
        )


@dataclass(frozen=True)
class Significance:
    """A column's p-value adjusted for the number of columns tested."""

    adjusted: float
    columns: int


def on_distribution(column: str, found: Measured, sure: Significance, rule: ColumnRule) -> Iterator[DriftFinding]:
    """Yield what is to be said of the distributions: KS and PSI of numbers, PSI of categories."""
    if rule.rule is DriftRule.ORIGINAL:
        yield from _originally(column, found, rule)
        return
    test: TestName = "psi" if found.distance is None else "ks"
    name, effect, threshold = (
        ("PSI", found.psi, rule.psi) if found.distance is None else ("KS distance", found.distance, rule.distance)
    )
    significant, large = sure.adjusted <= rule.significance, effect >= threshold
    certainty = (
        f"p = {found.p_value:.3g} is {'significant' if significant else 'not significant'} "
        f"among {sure.columns} columns at {rule.significance:g}"
    )
    joint = "and" if significant == large else "but"
    reason = f"{_size(name, effect, threshold)} {joint} {certainty}"
    yield DriftFinding(column, test, effect, found.p_value, effect, threshold, significant and large, reason)
    if found.distance is not None:
        joint = "and" if significant == (found.psi >= rule.psi) else "but"
        yield _numeric_psi(column, found.psi, rule, significant, f" {joint} the KS test's {certainty}")


def _originally(column: str, found: Measured, rule: ColumnRule) -> Iterator[DriftFinding]:
    if found.distance is None:
        drifted = found.psi_original > rule.psi
        reason = f"PSI {found.psi_original:.4g} is {'above' if drifted else 'not above'} {rule.psi:g}"
        yield DriftFinding(column, "psi", found.psi_original, None, found.psi_original, rule.psi, drifted, reason)
        return
    drifted = found.p_value < rule.significance
    reason = f"KS p = {found.p_value:.3g} is {'below' if drifted else 'not below'} {rule.significance:g}"
    yield DriftFinding(column, "ks", found.distance, found.p_value, found.p_value, rule.significance, drifted, reason)
    yield _numeric_psi(column, found.psi_original, rule, significant=True, certainty="")


def _numeric_psi(column: str, psi: float, rule: ColumnRule, significant: bool, certainty: str) -> DriftFinding:
    """Return the finding of a PSI over bins of numbers, which informs unless the column has a threshold of its own."""
    drifted = rule.psi_decides and significant and psi >= rule.psi
    role = certainty if rule.psi_decides else "; for information"
    reason = f"{_size('PSI over tenths of the reference', psi, rule.psi)}{role}"
    return DriftFinding(column, "psi", psi, None, psi, rule.psi, drifted, reason)


def _size(name: str, effect: float, threshold: float) -> str:
    return f"{name} {effect:.4g} is {'at least' if effect >= threshold else 'below'} {threshold:g}"


def on_values(column: str, reference: Reference, current: Current, rule: ColumnRule) -> Iterator[DriftFinding]:
    """Yield what is to be said of values that are no part of the distributions: misfits, missing and unseen ones."""
    rows = current.size + current.missing + current.misfits
    if current.misfits:
        share = current.misfits / rows
        kind = "no numbers" if isinstance(current, NumericSample) else "neither text nor numbers"
        reason = f"{current.misfits:,} of {rows:,} values are {kind}"
        drifted = reaches(share, rule.unseen) or not current.size
        yield DriftFinding(column, "schema", share, None, share, rule.unseen, drifted, reason)
    if not reference.size or not current.size:
        if current.size or not current.misfits:  # a current sample of misfits alone is a finding already
            yield _no_data(column, reference, current)
        return
    before = reference.missing / (reference.size + reference.missing + reference.misfits)
    share = current.missing / rows
    if before or share:
        reason = f"{percent(share)} of values are missing, {percent(before)} in the reference"
        drifted = rule.rule is DriftRule.BH and reaches(abs(share - before), rule.nulls)
        yield DriftFinding(column, "nulls", share, None, share - before, rule.nulls, drifted, reason)
    if isinstance(reference, CategoricalSample) and isinstance(current, CategoricalSample):
        yield from _unseen(column, reference, current, rule)


def _unseen(
    column: str, reference: CategoricalSample, current: CategoricalSample, rule: ColumnRule
) -> Iterator[DriftFinding]:
    unseen = {level: count for level, count in current.counts.items() if level not in reference.counts}
    if unseen:
        share = sum(unseen.values()) / (current.size + current.missing + current.misfits)
        named = sorted(unseen, key=lambda level: -unseen[level])
        more = f" and {len(named) - 3} more" if len(named) > 3 else ""
        reason = f"{percent(share, 2)} of values are categories unseen in the reference: {', '.join(named[:3])}{more}"
        drifted = rule.rule is DriftRule.BH and reaches(share, rule.unseen)
        yield DriftFinding(column, "unseen", share, None, share, rule.unseen, drifted, reason)


def _no_data(column: str, reference: Reference, current: Current) -> DriftFinding:
    where = [name for name, sample in (("reference", reference), ("current", current)) if not sample.size]
    drifted = len(where) == 1
    reason = f"no data in the {' and in the '.join(where)} sample"
    return DriftFinding(column, "no_data", float(not current.size), None, float(drifted), 1.0, drifted, reason)


def not_once(column: str, times: int) -> DriftFinding:
    """Return the finding of a column that is missing or doubled."""
    reason = f"the column is there {times} times" if times else "the column is missing"
    return DriftFinding(column, "schema", 1.0, None, 1.0, 1.0, True, reason)


def added(column: str) -> DriftFinding:
    """Return the finding of a column that the reference does not have."""
    return DriftFinding(column, "schema", 1.0, None, 1.0, 1.0, True, "the column is not in the reference")


def reaches(share: float, threshold: float) -> bool:
    """Whether a share reaches a threshold, free of rounding errors such as .15 - .1 < .05."""
    return round(share - threshold, 12) >= 0
