"""What a comparison holds beside the overall effect: segments, tail, bias, latency, anchor, and figures to be shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from gauntlet.domain.columns import Mask
from gauntlet.domain.intervals import (
    Estimate,
    auc_influence,
    bootstrap_quantiles,
    mcnemar_p_value,
    mean_error,
    paired_effect,
    percentile_interval,
    quantile,
    welch_effect,
    wilson,
)
from gauntlet.domain.promotion_policy import PromotionPolicy
from gauntlet.domain.scores import LARGEST_LOSS, Floats, Problem, class_positions

LATENCY_QUANTILE = 0.95


@dataclass(frozen=True)
class SegmentEffect:
    """The effect within the rows of one category; None where it cannot be told."""

    column: str
    category: str
    rows: int
    effect: float | None
    standard_error: float | None


@dataclass(frozen=True)
class Tail:
    """A quantile of both models' losses, and the bootstrap interval of challenger less champion."""

    champion: float
    challenger: float
    low: float
    high: float


@dataclass(frozen=True)
class Bias:
    """Both models' mean errors (predicted less true), the challenger's interval, and `scale`, |mean of the truth|.

    `excess` is the challenger's |mean error| less the champion's, `excess_low` the lower end of its interval.
    """

    champion: float
    challenger: float
    low: float
    high: float
    excess: float
    excess_low: float
    scale: float


@dataclass(frozen=True)
class Latency:
    """The p95 of both models' seconds a batch, and the bootstrap interval of challenger / champion."""

    champion: float
    challenger: float
    low: float
    high: float
    batches: int


@dataclass(frozen=True)
class AnchorEffect:
    """The challenger's effect against the best version ever; `spread` as in a Comparison."""

    loss: float | None
    effect: float | None
    spread: float | None


@dataclass(frozen=True)
class Figure:
    """A figure that is shown and does not decide; `p_value` is that of the difference, where there is a test of it."""

    name: str
    champion: Estimate
    challenger: Estimate
    difference: Estimate | None
    p_value: float | None

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Figure:
        """Return the figure whose parts a mapping holds as JSON values."""
        parts = ("champion", "challenger", "difference")
        estimates = {part: None if values[part] is None else Estimate(**values[part]) for part in parts}
        return cls(**{**values, **estimates})


@dataclass(frozen=True)
class Scored:
    """What counts: one entry a row and model. `paired`: both sides are the same rows in the same order."""

    paired: bool
    truth_a: npt.NDArray[Any]
    champion: Floats
    loss_a: Floats
    truth_b: npt.NDArray[Any]
    challenger: Floats
    loss_b: Floats


def segment_effects(
    segments: Mapping[str, npt.NDArray[Any]], in_a: Mask, in_b: Mask, scored: Scored
) -> Iterator[SegmentEffect]:
    """Yield the effect within every category of every segment column, whose values have shape (all rows,).

    Of arms, only within those that both have enough rows of for a spread.
    """
    effect_of, fewest = (paired_effect, 1) if scored.paired else (welch_effect, 2)
    for column, values in segments.items():
        codes, categories = pd.factorize(pd.Series(values), sort=True)
        of_a, of_b = codes[in_a], codes[in_b]
        for code, category in enumerate(categories):
            a, b = scored.loss_a[of_a == code], scored.loss_b[of_b == code]
            if min(len(a), len(b)) >= fewest:
                found, rows = effect_of(a, b), len(a) if scored.paired else len(a) + len(b)
                yield SegmentEffect(column, str(category), rows, found.effect, found.error)


def tail(scored: Scored, policy: PromotionPolicy, rng: np.random.Generator) -> Tail:
    """Return the quantile `policy.tail` of both models' losses; needs a row on either side."""
    samples = _quantile_samples(scored.loss_a, scored.loss_b, scored.paired, policy.tail, policy, rng)
    low, high = percentile_interval(samples[1] - samples[0], policy.guardrail_alpha)
    return Tail(quantile(scored.loss_a, policy.tail), quantile(scored.loss_b, policy.tail), low, high)


def latency(champion: Floats, challenger: Floats, policy: PromotionPolicy, rng: np.random.Generator) -> Latency | None:
    """Return the p95 of both models' seconds a batch, the same batches in the same order; None without any."""
    measured = np.isfinite(champion) & np.isfinite(challenger) & (champion > 0)
    a, b = champion[measured], challenger[measured]
    if not len(a):
        return None
    samples = _quantile_samples(a, b, True, LATENCY_QUANTILE, policy, rng)
    low, high = percentile_interval(samples[1] / samples[0], policy.guardrail_alpha)
    return Latency(quantile(a, LATENCY_QUANTILE), quantile(b, LATENCY_QUANTILE), low, high, len(a))


def _quantile_samples(
    a: Floats, b: Floats, paired: bool, share: float, policy: PromotionPolicy, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    if paired:
        both = bootstrap_quantiles([a, b], share, rng, policy.replicates)
        return both[:, 0], both[:, 1]
    alone = [bootstrap_quantiles([values], share, rng, policy.replicates)[:, 0] for values in (a, b)]
    return alone[0], alone[1]


def bias(scored: Scored, policy: PromotionPolicy) -> Bias:
    """Return both models' mean errors with normal intervals; needs at least two rows on either side."""
    z = policy.guardrail_critical()
    truth_a, truth_b = _bounded(scored.truth_a.astype(np.float64)), _bounded(scored.truth_b.astype(np.float64))
    error_a, error_b = _bounded(scored.champion) - truth_a, _bounded(scored.challenger) - truth_b
    mean_a, mean_b = float(error_a.mean()), float(error_b.mean())
    margin = z * mean_error(error_b)
    size_a, size_b = np.copysign(1.0, mean_a) * error_a, np.copysign(1.0, mean_b) * error_b
    error = mean_error(size_b - size_a) if scored.paired else float(np.hypot(mean_error(size_a), mean_error(size_b)))
    excess = abs(mean_b) - abs(mean_a)
    scale = abs(float(truth_b.mean()))
    return Bias(mean_a, mean_b, mean_b - margin, mean_b + margin, excess, excess - z * error, scale)


def _bounded(values: Floats) -> Floats:
    return np.clip(values, -LARGEST_LOSS, LARGEST_LOSS)


def figures(scored: Scored, problem: Problem, policy: PromotionPolicy) -> Iterator[Figure]:
    """Yield accuracy (Wilson, exact McNemar) and AUC (DeLong) of two classifiers."""
    if not problem.classes or not len(scored.truth_a) or not len(scored.truth_b):
        return
    z = policy.guardrail_critical()
    at_a, at_b = class_positions(scored.truth_a, problem), class_positions(scored.truth_b, problem)
    yield _accuracy(scored, at_a, at_b, z)
    areas = _areas(scored.champion, at_a), _areas(scored.challenger, at_b)
    if areas[0] is None or areas[1] is None:
        return
    (area_a, parts_a), (area_b, parts_b) = areas[0], areas[1]
    error_a, error_b = float(np.linalg.norm(parts_a)), float(np.linalg.norm(parts_b))
    error = float(np.linalg.norm(parts_b - parts_a)) if scored.paired else float(np.hypot(error_a, error_b))
    yield Figure(
        "auc",
        _within_one(area_a, z * error_a),
        _within_one(area_b, z * error_b),
        Estimate(area_b - area_a, area_b - area_a - z * error, area_b - area_a + z * error),
        None,
    )


def _accuracy(scored: Scored, at_a: npt.NDArray[np.intp], at_b: npt.NDArray[np.intp], z: float) -> Figure:
    right_a, right_b = scored.champion.argmax(axis=1) == at_a, scored.challenger.argmax(axis=1) == at_b
    champion = wilson(int(right_a.sum()), len(right_a), z)
    challenger = wilson(int(right_b.sum()), len(right_b), z)
    if not scored.paired or len(right_a) < 2:
        return Figure("accuracy", champion, challenger, None, None)
    apart = right_b.astype(np.float64) - right_a
    difference, margin = float(apart.mean()), z * mean_error(apart)
    p_value = mcnemar_p_value(int((apart < 0).sum()), int((apart > 0).sum()))
    return Figure(
        "accuracy", champion, challenger, Estimate(difference, difference - margin, difference + margin), p_value
    )


def _areas(predicted: Floats, position: npt.NDArray[np.intp]) -> tuple[float, Floats] | None:
    """The area, or the mean over the classes of one against the rest; None when a class has fewer than two rows."""
    counts = np.bincount(position, minlength=predicted.shape[1])
    present = [int(one) for one in np.flatnonzero(counts)]
    if len(present) < 2 or min(counts[one] for one in present) < 2:
        return None
    if predicted.shape[1] == 2:
        return auc_influence(position == 1, predicted[:, 1])
    found = [auc_influence(position == one, predicted[:, one]) for one in present]
    return float(np.mean([area for area, _ in found])), np.mean([parts for _, parts in found], axis=0)


def _within_one(value: float, margin: float) -> Estimate:
    return Estimate(value, max(0.0, value - margin), min(1.0, value + margin))
