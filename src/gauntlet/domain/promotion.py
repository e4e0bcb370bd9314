"""Promotion: from a comparison and a policy that was fixed before it to a verdict."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from scipy import stats

from gauntlet.domain.comparison import Comparison
from gauntlet.domain.verdict import Verdict
from gauntlet.domain.wording import METRIC_NAMES, percent, signed_percent


class PromotionRule(StrEnum):
    """PAIRED: an interval of the effect on the same rows; ORIGINAL: the lower mean loss of two arms."""

    PAIRED = "paired"
    ORIGINAL = "original"


@dataclass(frozen=True)
class PromotionPolicy:
    """When a challenger is promoted.

    `alpha` is the one-sided chance of promoting an equal one; `mde` the smallest relative gain worth finding; `power`
    the chance to find it with the rows that a decision says are needed.
    """

    rule: PromotionRule = PromotionRule.PAIRED
    alpha: float = 0.025
    mde: float = 0.05
    min_rows: int = 1000
    power: float = 0.8

    def to_dict(self) -> dict[str, Any]:
        """Return the policy as JSON values."""
        return {**asdict(self), "rule": str(self.rule)}

    def sha256(self) -> str:
        """Return the hash of the policy's canonical JSON (sorted keys, no spaces), in hexadecimal."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":")).encode()).hexdigest()


@dataclass(frozen=True)
class Decision:
    """A verdict with its reason; `interval` holds the effect at 1 - 2 alpha, `rows_needed` reach the policy's power."""

    verdict: Verdict
    reason: str
    effect: float | None
    interval: tuple[float, float] | None
    rows: int
    rows_needed: int | None

    @classmethod
    def first_model(cls) -> Decision:
        """Return the decision on a model that has no champion to beat."""
        return cls(Verdict.PROMOTE, "first model", None, None, 0, None)

    def to_dict(self) -> dict[str, Any]:
        """Return the decision as JSON values."""
        interval = None if self.interval is None else list(self.interval)
        return {**asdict(self), "verdict": str(self.verdict), "interval": interval}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Decision:
        """Return the decision that `to_dict` wrote."""
        low_high = values["interval"]
        interval = None if low_high is None else (float(low_high[0]), float(low_high[1]))
        return cls(**{**values, "verdict": Verdict(values["verdict"]), "interval": interval})


def decide(comparison: Comparison, policy: PromotionPolicy) -> Decision:
    """Return the verdict on a comparison, by one look at it.

    Raises ValueError when the comparison is not of the kind that the policy's rule judges.
    """
    if comparison.paired is not (policy.rule is PromotionRule.PAIRED):
        kind = "a paired" if comparison.paired else "an unpaired"
        raise ValueError(f"the rule {policy.rule} must be given its own comparison; got {kind} one. Compare anew.")
    problems = _problems(comparison, policy)
    if problems:
        return Decision(Verdict.INVALID, "; ".join(problems), None, None, _rows(comparison), None)
    if comparison.effect is None:
        return _flawless_champion(comparison)
    return _by_interval(comparison, policy) if comparison.paired else _by_lower_loss(comparison)


def _by_interval(comparison: Comparison, policy: PromotionPolicy) -> Decision:
    """Judge r with bounds r -+ z * se: PROMOTE if all below 0, KEEP if all above -mde, else INCONCLUSIVE."""
    effect, spread = comparison.effect or 0.0, comparison.spread or 0.0
    z = float(stats.norm.ppf(1 - policy.alpha))
    margin = z * spread / math.sqrt(comparison.rows_champion)
    low, high = effect - margin, effect + margin
    needed = rows_needed(spread, policy)
    level = f"{100 * (1 - 2 * policy.alpha):g} %"
    numbers = (
        f"challenger's {_difference(comparison)} ({level} interval {signed_percent(low)} to {signed_percent(high)}) "
        f"on {comparison.rows_champion:,} paired rows"
    )
    if high < 0:
        verdict, reason = Verdict.PROMOTE, numbers
    elif low > -policy.mde:
        verdict, reason = Verdict.KEEP, f"{numbers}: a gain of {100 * policy.mde:g} % is excluded"
    else:
        verdict = Verdict.INCONCLUSIVE
        reason = f"{numbers}: neither a gain nor its absence is shown, which takes about {needed:,} rows"
    return Decision(verdict, reason, effect, (low, high), comparison.rows_champion, needed)


def _by_lower_loss(comparison: Comparison) -> Decision:
    effect = comparison.effect or 0.0
    reason = (
        f"challenger's {_difference(comparison)}, on {comparison.rows_challenger:,} rows of its own "
        f"against the champion's {comparison.rows_champion:,}"
    )
    verdict = Verdict.PROMOTE if effect < 0 else Verdict.KEEP
    return Decision(verdict, reason, effect, None, _rows(comparison), None)


def rows_needed(spread: float, policy: PromotionPolicy) -> int:
    """Return the paired rows that find a gain of `mde` with the policy's power, at least its `min_rows`.

    n = ((z_alpha + z_power) * spread / mde)^2, with the spread of a `Comparison`.
    """
    z = float(stats.norm.ppf(1 - policy.alpha) + stats.norm.ppf(policy.power))
    return max(policy.min_rows, math.ceil((z * spread / policy.mde) ** 2))


def _problems(comparison: Comparison, policy: PromotionPolicy) -> list[str]:
    """Return why the rows allow no verdict at all, worst first."""
    problems = []
    missing = {
        "labels": comparison.missing_labels,
        "predictions of the champion": comparison.missing_champion,
        "predictions of the challenger": comparison.missing_challenger,
    }
    named = [f"{count:,} {what}" for what, count in missing.items() if count]
    if named:
        problems.append(f"every row must have its label and predictions; {', '.join(named)} are missing or infinite")
    if comparison.duplicate_ids:
        problems.append(f"every row must count once; {comparison.duplicate_ids:,} rows repeat the id of another")
    rows, needed = comparison.rows_champion, max(policy.min_rows, 2)  # one row has no spread
    if comparison.paired and rows < needed:
        dropped = f" after {comparison.trained_rows:,} training rows were dropped" if comparison.trained_rows else ""
        problems.append(f"the test needs {needed:,} rows; there are {rows:,}{dropped}")
    if not comparison.paired and not (rows and comparison.rows_challenger):
        problems.append(f"each arm needs rows; there are {rows:,} and {comparison.rows_challenger:,}")
    return problems


def _flawless_champion(comparison: Comparison) -> Decision:
    name = METRIC_NAMES[comparison.metric]
    reason = (
        f"the champion's {name} is 0 and cannot be beaten; the challenger's is {comparison.challenger_loss:.4g} "
        f"on {comparison.rows_challenger:,} rows"
    )
    return Decision(Verdict.KEEP, reason, None, None, _rows(comparison), None)


def _difference(comparison: Comparison) -> str:
    effect, name = comparison.effect or 0.0, METRIC_NAMES[comparison.metric]
    if effect == 0:
        return f"{name} equals the champion's"
    return f"{name} is {percent(abs(effect))} {'lower' if effect < 0 else 'higher'}"


def _rows(comparison: Comparison) -> int:
    """Count each row once: the paired ones, or those of both arms."""
    return comparison.rows_champion if comparison.paired else comparison.rows_champion + comparison.rows_challenger
