"""Guardrails: what a challenger must not harm while it is better on the whole."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gauntlet.domain.comparison import Comparison, SegmentEffect
from gauntlet.domain.promotion_policy import PromotionPolicy, PromotionRule
from gauntlet.domain.wording import METRIC_NAMES, percent, signed_percent


@dataclass(frozen=True)
class Guardrail:
    """One guardrail: the challenger's `value`, the `limit` it is held to, and both in words.

    `value` and `limit` are shares or relative changes; None where there was nothing to measure.
    """

    name: str
    passed: bool
    value: float | None
    limit: float | None
    reason: str


def guardrails(comparison: Comparison, policy: PromotionPolicy) -> tuple[Guardrail, ...]:
    """Return every guardrail that the comparison has figures for: segments, tail, bias, failures, latency."""
    return (
        *_segments(comparison, policy),
        *_tail(comparison, policy),
        *_bias(comparison, policy),
        _failures(comparison, policy),
        *_latency(comparison, policy),
    )


def _segments(comparison: Comparison, policy: PromotionPolicy) -> Iterator[Guardrail]:
    """A segment fails when its loss is higher by more than the limit and its simultaneous interval lies above 0."""
    judged = [each for each in comparison.segments if each.rows >= policy.segment_rows]
    if not judged:
        return
    z = policy.guardrail_critical(of=len(judged))
    failed = [each for each in judged if _harmed(each, z, policy.segment_loss)]
    shown = sorted(failed, key=_size, reverse=True) or [max(judged, key=_size)]
    metric = METRIC_NAMES[comparison.metric]
    worst = "; ".join(_described(each, z, metric) for each in shown)
    limit = f"fails only above {signed_percent(policy.segment_loss)} with the whole interval above 0"
    reason = worst if failed else f"worst of {len(judged)}: {worst}"
    yield Guardrail("segments", not failed, shown[0].effect, policy.segment_loss, f"{reason}; {limit}")


def _harmed(segment: SegmentEffect, z: float, limit: float) -> bool:
    if segment.effect is None:
        return True  # the champion makes no error there, and the challenger does
    return segment.effect > limit and segment.effect - z * (segment.standard_error or 0.0) > 0


def _size(segment: SegmentEffect) -> float:
    return float("inf") if segment.effect is None else segment.effect


def _described(segment: SegmentEffect, z: float, metric: str) -> str:
    name = f"{segment.column} = {segment.category}"
    if segment.effect is None:
        return f"{name}: the champion's {metric} is 0 and the challenger's is not ({segment.rows:,} rows)"
    margin = z * (segment.standard_error or 0.0)
    interval = f"{signed_percent(segment.effect - margin)} to {signed_percent(segment.effect + margin)}"
    return f"{name}: {metric} {signed_percent(segment.effect)} ({interval}, {segment.rows:,} rows)"


def _tail(comparison: Comparison, policy: PromotionPolicy) -> Iterator[Guardrail]:
    """The tail fails when the bootstrap interval of its rise lies above 0, or the margin where a loss is allowed."""
    tail = comparison.tail
    if tail is None:
        return
    name = f"p{100 * policy.tail:g} error"
    limit = policy.margin if policy.rule is PromotionRule.NON_INFERIORITY else 0.0
    scale = tail.champion or 1.0  # a champion whose quantile is 0 has no relative rise
    rise, low, high = ((value / scale) for value in (tail.challenger - tail.champion, tail.low, tail.high))
    reason = (
        f"{tail.challenger:.4g} against {tail.champion:.4g}: {signed_percent(rise)} "
        f"({signed_percent(low)} to {signed_percent(high)}); "
        f"fails only if the whole interval is above {signed_percent(limit)}"
    )
    yield Guardrail(name, low <= limit, rise, limit, reason)


def _bias(comparison: Comparison, policy: PromotionPolicy) -> Iterator[Guardrail]:
    """The bias fails when its interval lies beyond the limit and it is larger than the champion's beyond chance."""
    bias = comparison.bias
    if bias is None:
        return
    limit = policy.bias * bias.scale
    beyond = bias.low > limit or bias.high < -limit
    unit = bias.scale or 1.0
    reason = (
        f"mean error {bias.challenger:+.4g} ({bias.low:+.4g} to {bias.high:+.4g}), "
        f"the champion's {bias.champion:+.4g}; "
        f"at most {percent(policy.bias)} of the mean ({limit:.4g}), or the champion's"
    )
    yield Guardrail("bias", not (beyond and bias.excess_low > 0), abs(bias.challenger) / unit, policy.bias, reason)


def _failures(comparison: Comparison, policy: PromotionPolicy) -> Guardrail:
    share = comparison.failure_share
    reason = (
        f"{comparison.missing_challenger:,} of {comparison.rows_challenger:,} rows without a prediction "
        f"({percent(share, 2)}); at most {percent(policy.failures, 2)}"
    )
    return Guardrail("failures", share <= policy.failures, share, policy.failures, reason)


def _latency(comparison: Comparison, policy: PromotionPolicy) -> Iterator[Guardrail]:
    """Latency fails when its ratio's interval lies above the limit and the time is worth speaking of."""
    latency = comparison.latency
    if latency is None:
        return
    slow = latency.low > policy.latency_ratio and latency.challenger > policy.latency_floor
    ratio = latency.challenger / latency.champion
    reason = (
        f"p95 of {latency.batches:,} batches {latency.challenger:.3g} s against {latency.champion:.3g} s: {ratio:.2f} "
        f"times ({latency.low:.2f} to {latency.high:.2f}); at most {policy.latency_ratio:g} times, or "
        f"{policy.latency_floor:g} s"
    )
    yield Guardrail("latency", not slow, ratio, policy.latency_ratio, reason)
