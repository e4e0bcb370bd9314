"""Promotion: from a comparison and a policy that was fixed before it to a verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from gauntlet.domain.comparison import Comparison
from gauntlet.domain.guardrails import Guardrail, guardrails
from gauntlet.domain.promotion_policy import PolicyError, PromotionPolicy, PromotionRule
from gauntlet.domain.verdict import Verdict
from gauntlet.domain.wording import METRIC_NAMES, percent, signed_percent

__all__ = [
    "Decision", "Guardrail", "PolicyError", "PromotionPolicy", "PromotionRule", "decide", "rows_needed",
]  # fmt: skip


@dataclass(frozen=True)
class Decision:
    """A verdict with its reason.

    `interval` holds the effect at the policy's level; `rows_needed` reach the policy's power to find a gain of its
    `mde`, and `detectable` is the least relative gain that these rows find with that power.
    """

    verdict: Verdict
    reason: str
    effect: float | None
    interval: tuple[float, float] | None
    rows: int
    rows_needed: int | None
    guardrails: tuple[Guardrail, ...] = ()
    detectable: float | None = None

    @classmethod
    def first_model(cls) -> Decision:
        """Return the decision on a model that has no champion to beat."""
        return cls(Verdict.PROMOTE, "first model", None, None, 0, None)

    def to_dict(self) -> dict[str, Any]:
        """Return the decision as JSON values."""
        interval = None if self.interval is None else list(self.interval)
        rails = [asdict(each) for each in self.guardrails]
        return {**asdict(self), "verdict": str(self.verdict), "interval": interval, "guardrails": rails}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Decision:
        """Return the decision that `to_dict` wrote, also one from before guardrails."""
        low_high = values["interval"]
        interval = None if low_high is None else (float(low_high[0]), float(low_high[1]))
        rails = tuple(Guardrail(**each) for each in values.get("guardrails", ()))
        return cls(**{**values, "verdict": Verdict(values["verdict"]), "interval": interval, "guardrails": rails})


MOST_ROOT = 1e7
"""The root of the most rows that are ever asked for: what "never" is written as."""
DOMINANT_SHARE = 0.1
"""Where one row makes up more of a model's loss than this, the interval of the effect says nothing."""


@dataclass(frozen=True)
class _Shown:
    """The effect that a rule judges, with its interval, in numbers and in words."""

    effect: float
    low: float
    high: float
    words: str


def decide(comparison: Comparison, policy: PromotionPolicy) -> Decision:
    """Return the verdict on a comparison, by one look at it.

    Raises ValueError when the comparison is not of the kind that the policy's rule judges.
    """
    if comparison.paired is not policy.rule.paired:
        kind = "a paired" if comparison.paired else "an unpaired"
        raise ValueError(f"the rule {policy.rule} must be given its own comparison; got {kind} one. Compare anew.")
    problems = _problems(comparison, policy)
    if problems:
        return Decision(Verdict.INVALID, "; ".join(problems), None, None, comparison.rows, None)
    if policy.rule is PromotionRule.ORIGINAL:
        return _flawless_champion(comparison) if comparison.effect is None else _by_lower_loss(comparison)
    if policy.rule is PromotionRule.NON_INFERIORITY:
        return _by_margin(comparison, policy)
    return _flawless_champion(comparison) if comparison.effect is None else _by_interval(comparison, policy)


def _by_interval(comparison: Comparison, policy: PromotionPolicy) -> Decision:
    """Judge r with bounds r -+ z * se: PROMOTE if all below 0, KEEP if all above -mde, else INCONCLUSIVE."""
    spread = comparison.spread or 0.0
    shown = _shown(comparison, policy, comparison.effect or 0.0, spread, "champion", comparison.degrees)
    needed = rows_needed(spread, policy)
    if shown.high < 0:
        verdict, reason = Verdict.PROMOTE, shown.words
    elif shown.low > -policy.mde:
        verdict, reason = Verdict.KEEP, f"{shown.words}: a gain of {100 * policy.mde:g} % is excluded"
    else:
        verdict = Verdict.INCONCLUSIVE
        reason = f"{shown.words}: neither a gain nor its absence is shown, which takes about {needed:,} rows"
    return _guarded(verdict, reason, comparison, policy, shown, needed, spread)


def _by_margin(comparison: Comparison, policy: PromotionPolicy) -> Decision:
    """Judge r against the anchor: PROMOTE if its interval is below the margin, KEEP if above, else INCONCLUSIVE."""
    anchor, other = comparison.anchor, "champion" if comparison.anchor is None else "anchor"
    effect, spread = (comparison.effect, comparison.spread) if anchor is None else (anchor.effect, anchor.spread)
    if effect is None:
        return _flawless_champion(comparison, other)
    shown = _shown(comparison, policy, effect, spread or 0.0, other, None)
    needed = rows_needed(spread or 0.0, policy)
    margin = f"{100 * policy.margin:g} %"
    if shown.high < policy.margin:
        verdict, reason = Verdict.PROMOTE, f"{shown.words}: a loss of {margin} is excluded"
    elif shown.low > policy.margin:
        verdict, reason = Verdict.KEEP, f"{shown.words}: a loss of more than {margin} is shown"
    else:
        verdict = Verdict.INCONCLUSIVE
        reason = f"{shown.words}: a loss of {margin} is not excluded, which takes about {needed:,} rows"
    return _guarded(verdict, reason, comparison, policy, shown, needed, spread or 0.0)


def _guarded(
    verdict: Verdict,
    reason: str,
    comparison: Comparison,
    policy: PromotionPolicy,
    shown: _Shown,
    needed: int,
    spread: float,
) -> Decision:
    """Turn PROMOTE into INCONCLUSIVE where one row rules, into KEEP where a guardrail fails; name what fails."""
    if verdict is Verdict.PROMOTE and comparison.largest_share > DOMINANT_SHARE:
        share = percent(comparison.largest_share)
        reason = f"{shown.words}, but a single row makes up {share} of a model's whole loss: no interval holds then"
        verdict = Verdict.INCONCLUSIVE
    rails = guardrails(comparison, policy)
    failed = "; ".join(f"{each.name}: {each.reason}" for each in rails if not each.passed)
    if failed:
        reason = f"{reason}{', but' if verdict is Verdict.PROMOTE else '; and'} a guardrail fails: {failed}"
        verdict = Verdict.KEEP if verdict is Verdict.PROMOTE else verdict
    detectable = policy.effort() * spread / math.sqrt(comparison.rows)
    interval = shown.low, shown.high
    return Decision(verdict, reason, shown.effect, interval, comparison.rows, needed, rails, detectable)


def _by_lower_loss(comparison: Comparison) -> Decision:
    effect = comparison.effect or 0.0
    reason = (
        f"challenger's {_difference(comparison, effect)}, on {comparison.rows_challenger:,} rows of its own "
        f"against the champion's {comparison.rows_champion:,}"
    )
    verdict = Verdict.PROMOTE if effect < 0 else Verdict.KEEP
    return Decision(verdict, reason, effect, None, comparison.rows, None)


def rows_needed(spread: float, policy: PromotionPolicy) -> int:
    """Return the rows that find a gain of `mde` with the policy's power, at least its `min_rows`.

    n = ((z_alpha + z_power) * spread / mde)^2, with the spread of a `Comparison`; under non-inferiority the margin
    stands for the mde: what it takes to pass an equal model.
    """
    least = policy.margin if policy.rule is PromotionRule.NON_INFERIORITY else policy.mde
    return max(policy.min_rows, math.ceil(min(policy.effort() * spread / least, MOST_ROOT) ** 2))


def _problems(comparison: Comparison, policy: PromotionPolicy) -> list[str]:
    """Return why the rows allow no verdict at all, worst first."""
    problems = []
    missing = {
        "label{}": comparison.missing_labels,
        "prediction{} of the champion": comparison.missing_champion,
        "prediction{} of the anchor": comparison.missing_anchor,
    }
    if policy.rule is PromotionRule.ORIGINAL:  # it has no champion's prediction to score instead
        missing["prediction{} of the challenger"] = comparison.missing_challenger
    named = [f"{count:,} {what.format('s' if count > 1 else '')}" for what, count in missing.items() if count]
    if named:
        verb = "is" if sum(missing.values()) == 1 else "are"
        problems.append(f"every row must have its label and predictions; {', '.join(named)} {verb} missing or infinite")
    if comparison.only_class is not None:
        problems.append(f"the test needs rows of more than one class; all are {comparison.only_class}")
    if comparison.duplicate_ids:
        several = "1 row repeats" if comparison.duplicate_ids == 1 else f"{comparison.duplicate_ids:,} rows repeat"
        problems.append(f"every row must count once; {several} the id of another")
    return problems + (_paired_rows if comparison.paired else _arm_rows)(comparison, policy)


def _paired_rows(comparison: Comparison, policy: PromotionPolicy) -> list[str]:
    rows, needed = comparison.rows, max(policy.min_rows, 2)  # one row has no spread
    if rows >= needed:
        return []
    return [f"the test needs {needed:,} rows; there are {rows:,}{_dropped(comparison)}"]


def _arm_rows(comparison: Comparison, policy: PromotionPolicy) -> list[str]:
    a, b = comparison.rows_champion, comparison.rows_challenger
    if not (a and b):
        return [f"each arm needs rows; there are {a:,} and {b:,}"]
    if policy.rule is PromotionRule.ORIGINAL:
        return []
    problems = []
    if comparison.rows < policy.min_rows or min(a, b) < policy.segment_rows:
        needed = f"{policy.min_rows:,} rows, {policy.segment_rows:,} in each arm"
        problems.append(f"the test needs {needed}; there are {a:,} and {b:,}{_dropped(comparison)}")
    if comparison.sample_ratio is not None and comparison.sample_ratio < policy.sample_ratio:
        found = f"{a:,} and {b:,} (p = {comparison.sample_ratio:.1e})"
        problems.append(f"the arms must have the sizes that their shares say; they have {found}")
    return problems


def _dropped(comparison: Comparison) -> str:
    return f" after {comparison.trained_rows:,} training rows were dropped" if comparison.trained_rows else ""


def _flawless_champion(comparison: Comparison, other: str = "champion") -> Decision:
    name = METRIC_NAMES[comparison.metric]
    reason = (
        f"the {other}'s {name} is 0 and cannot be beaten; the challenger's is {comparison.challenger_loss:.4g} "
        f"on {comparison.rows_challenger:,} rows"
    )
    return Decision(Verdict.KEEP, reason, None, None, comparison.rows, None)


def _shown(
    comparison: Comparison, policy: PromotionPolicy, effect: float, spread: float, other: str, degrees: float | None
) -> _Shown:
    margin = policy.critical(degrees) * spread / math.sqrt(comparison.rows)
    low, high = effect - margin, effect + margin
    a, b = comparison.rows_champion, comparison.rows_challenger
    rows = f"{a:,} paired rows" if comparison.paired else f"{b:,} rows of its own against the champion's {a:,}"
    interval = f"{100 * policy.level:.3g} % interval {signed_percent(low)} to {signed_percent(high)}"
    words = f"challenger's {_difference(comparison, effect, other)} ({interval}) on {rows}"
    return _Shown(effect, low, high, words)


def _difference(comparison: Comparison, effect: float, other: str = "champion") -> str:
    name = METRIC_NAMES[comparison.metric]
    than = "" if other == "champion" else f" than the {other}'s"
    if effect == 0:
        return f"{name} equals the {other}'s"
    return f"{name} is {percent(abs(effect))} {'lower' if effect < 0 else 'higher'}{than}"
