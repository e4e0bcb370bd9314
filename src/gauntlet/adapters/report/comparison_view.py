"""A comparison as figures and positions on a line, ready to be laid out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from gauntlet.domain.comparison import Figure, SegmentEffect
from gauntlet.domain.intervals import Estimate
from gauntlet.domain.promotion import PromotionRule
from gauntlet.domain.report import ComparisonPart, short
from gauntlet.domain.verdict import Verdict
from gauntlet.domain.wording import METRIC_NAMES, signed_percent

SEGMENTS = 60
"""How many segments are drawn, the worst for the challenger first."""
NAME_WIDTH = 40
REASON_WIDTH = 300
SENTENCE_WIDTH = 400
MARGIN = 0.12
"""What is left free on both sides of a scale."""

ACTIONS = {
    Verdict.PROMOTE: "v{challenger} takes over from v{champion}",
    Verdict.KEEP: "v{champion} stays in production",
    Verdict.INCONCLUSIVE: "v{champion} stays in production, for want of evidence",
    Verdict.INVALID: "v{champion} stays in production, and the test does not count",
}
MARKS = {Verdict.PROMOTE: "✓", Verdict.KEEP: "■", Verdict.INCONCLUSIVE: "?", Verdict.INVALID: "✕"}


@dataclass(frozen=True)
class Scale:
    """Effects to places from left to right, in %."""

    low: float
    high: float

    @classmethod
    def over(cls, values: Sequence[float]) -> Scale:
        """Return the scale that shows all of these, with a margin."""
        low, high = min(values), max(values)
        margin = MARGIN * ((high - low) or 0.01)
        return cls(low - margin, high + margin)

    def at(self, value: float) -> float:
        """Return the place of an effect, from far left of the picture to far right of it."""
        place = 100 * (value - self.low) / (self.high - self.low)
        return round(min(max(place, -50.0), 150.0), 2)


@dataclass(frozen=True)
class Tick:
    """A line to compare with, and its name; `anchor` keeps the name inside the picture."""

    place: float
    name: str
    anchor: str


@dataclass(frozen=True)
class Whisker:
    """An effect with its interval on a scale; None where there is none."""

    effect: float | None
    low: float | None
    high: float | None
    text: str
    anchor: str = "start"


@dataclass(frozen=True)
class SegmentView:
    """One segment."""

    name: str
    rows: str
    whisker: Whisker


@dataclass(frozen=True)
class GuardrailView:
    """One guardrail as text."""

    name: str
    passed: bool
    value: str
    limit: str
    reason: str


@dataclass(frozen=True)
class ComparisonView:
    """All of a comparison that is shown."""

    verdict: str
    mark: str
    sentence: str
    held: str
    metric: str
    figures: tuple[tuple[str, str, str], ...]
    interval: Whisker
    level: str
    remark: str
    ticks: tuple[Tick, ...]
    zero: float
    segments: tuple[SegmentView, ...]
    segment_level: str
    segment_zero: float
    segment_limit: float
    segment_loss: str
    more_segments: int
    guardrails: tuple[GuardrailView, ...]
    quality: tuple[tuple[str, str], ...]
    facts: tuple[tuple[str, str], ...]
    policy: tuple[tuple[str, str], ...]
    policy_sha256: str


def comparison_view(part: ComparisonPart) -> ComparisonView:
    """Return what is shown of a comparison."""
    decision, policy = part.decision, part.policy
    lines = _lines(part)
    shown = [*lines.values(), *(decision.interval or ()), *([] if decision.effect is None else [decision.effect])]
    scale = Scale.over(shown)
    segments = sorted(part.comparison.segments, key=lambda each: -math.inf if each.effect is None else -each.effect)
    drawn = segments[:SEGMENTS]
    own = Scale.over([0.0, policy.segment_loss, *(each.effect for each in drawn if each.effect is not None)])
    wide = Scale(own.low - 0.5 * (own.high - own.low), own.high + 0.5 * (own.high - own.low))
    judged = sum(each.rows >= policy.segment_rows for each in part.comparison.segments)
    z = policy.guardrail_critical(of=max(judged, 1))
    return ComparisonView(
        verdict=str(decision.verdict),
        mark=MARKS[decision.verdict],
        sentence=_sentence(part),
        held=short(part.held or "", SENTENCE_WIDTH),
        metric=METRIC_NAMES.get(part.comparison.metric, part.comparison.metric),
        figures=tuple(_figures(part)),
        interval=_whisker(decision.effect, decision.interval, scale),
        level=f"{100 * policy.level:.3g}",
        remark=_remark(part),
        ticks=tuple(_tick(scale.at(value), name) for name, value in lines.items()),
        zero=scale.at(0.0),
        segments=tuple(_segment(each, wide, z, few=each.rows < policy.segment_rows) for each in drawn),
        segment_level=f"{100 * (1 - policy.guardrail_alpha):.3g}",
        segment_zero=wide.at(0.0),
        segment_limit=wide.at(policy.segment_loss),
        segment_loss=signed_percent(policy.segment_loss),
        more_segments=len(segments) - len(drawn),
        guardrails=tuple(_guardrails(part)),
        quality=tuple(_quality(each) for each in part.comparison.figures),
        facts=tuple(_facts(part)),
        policy=tuple((name.replace("_", " "), _plain_value(value)) for name, value in policy.to_dict().items()),
        policy_sha256=policy.sha256(),
    )


def _sentence(part: ComparisonPart) -> str:
    reason = short(part.decision.reason, SENTENCE_WIDTH)
    if part.champion is None:
        return f"v{part.challenger} goes into production: {reason}."
    if part.held:
        action = f"v{part.challenger} has earned production, but v{part.champion} stays in it"
    else:
        action = ACTIONS[part.decision.verdict].format(champion=part.champion, challenger=part.challenger)
    return f"{action}: {reason}."


def _lines(part: ComparisonPart) -> dict[str, float]:
    """Return what the interval is compared with, by name."""
    if part.policy.rule is PromotionRule.NON_INFERIORITY:
        return {"0": 0.0, f"margin {signed_percent(part.policy.margin)}": part.policy.margin}
    return {"0": 0.0, f"-MDE {signed_percent(-part.policy.mde)}": -part.policy.mde}


def _remark(part: ComparisonPart) -> str:
    if part.policy.rule is not PromotionRule.NON_INFERIORITY:
        return "MDE: the smallest gain worth finding."
    of = "the best version ever" if part.comparison.anchor else "the champion"
    return f"Margin: how much worse than {of} the challenger may be."


def _figures(part: ComparisonPart) -> list[tuple[str, str, str]]:
    """Return the key figures: name, value, and a remark."""
    decision = part.decision
    figures = []
    if decision.effect is not None:
        low_high = decision.interval
        interval = f"{signed_percent(low_high[0])} to {signed_percent(low_high[1])}" if low_high else "no interval"
        figures.append(("effect", signed_percent(decision.effect), interval))
    needed = f"{decision.rows_needed:,} needed" if decision.rows_needed is not None else ""
    figures.append(("rows", f"{decision.rows:,}", needed))
    if decision.detectable is not None:
        figures.append(("smallest gain these rows can show", f"{100 * decision.detectable:.2g} %", ""))
    if decision.guardrails:
        passed = sum(each.passed for each in decision.guardrails)
        figures.append(("guardrails passed", f"{passed} of {len(decision.guardrails)}", ""))
    return figures


def _whisker(effect: float | None, interval: tuple[float, float] | None, scale: Scale) -> Whisker:
    if effect is None:
        return Whisker(None, None, None, "no effect can be told")
    place = scale.at(effect)
    if interval is None:
        return Whisker(place, None, None, signed_percent(effect), _anchor(place))
    low, high = interval
    text = f"{signed_percent(effect)} ({signed_percent(low)} to {signed_percent(high)})"
    return Whisker(place, scale.at(low), scale.at(high), text, _anchor(place))


def _segment(each: SegmentEffect, scale: Scale, z: float, *, few: bool) -> SegmentView:
    interval = None
    if each.effect is not None and each.standard_error is not None:
        interval = (each.effect - z * each.standard_error, each.effect + z * each.standard_error)
    name = f"{short(each.column, NAME_WIDTH)} = {short(each.category, NAME_WIDTH)}"
    rows = f"{each.rows:,} rows{', too few to judge' if few else ''}"
    return SegmentView(name, rows, _whisker(each.effect, interval, scale))


def _tick(place: float, name: str) -> Tick:
    return Tick(place, name, "middle" if len(name) == 1 else _anchor(place))


def _anchor(place: float) -> str:
    """Return which end of a text stands at its place, so that it stays inside the picture."""
    return "start" if place < 35 else "end" if place > 65 else "middle"


def _guardrails(part: ComparisonPart) -> list[GuardrailView]:
    ordered = sorted(part.decision.guardrails, key=lambda each: each.passed)
    return [
        GuardrailView(
            name=short(each.name, NAME_WIDTH),
            passed=each.passed,
            value=_plain_value(each.value),
            limit=_plain_value(each.limit),
            reason=short(each.reason, REASON_WIDTH),
        )
        for each in ordered
    ]


def _quality(each: Figure) -> tuple[str, str]:
    """Return a figure of both models, with intervals."""
    parts = [f"champion {_estimate(each.champion)}", f"challenger {_estimate(each.challenger)}"]
    if each.difference is not None:
        parts.append(f"difference {_estimate(each.difference)}")
    if each.p_value is not None:
        parts.append(f"p = {each.p_value:.2g}")
    return short(each.name, NAME_WIDTH), "; ".join(parts)


def _estimate(found: Estimate) -> str:
    return f"{found.value:.4g} ({found.low:.4g} to {found.high:.4g})"


def _facts(part: ComparisonPart) -> list[tuple[str, str]]:
    found = part.comparison
    counts = {
        "training rows dropped": found.trained_rows,
        "row ids that occur again": found.duplicate_ids,
        "labels missing": found.missing_labels,
        "champion's predictions missing": found.missing_champion,
        "challenger's predictions missing": found.missing_challenger,
    }
    rows = f"{found.rows_champion:,}" if found.paired else f"{found.rows_champion:,} and {found.rows_challenger:,}"
    facts = [("rows of both models" if found.paired else "rows of champion and challenger", rows)]
    name = METRIC_NAMES.get(found.metric, found.metric)
    losses = {f"champion's {name}": found.champion_loss, f"challenger's {name}": found.challenger_loss}
    facts += [(label, f"{loss:.4g}") for label, loss in losses.items() if loss is not None]
    return [*facts, *((label, f"{count:,}") for label, count in counts.items() if count)]


def _plain_value(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "-" if value is None else short(str(value), NAME_WIDTH)
