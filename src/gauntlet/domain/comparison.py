"""Champion against challenger on test rows: losses, their relative difference, and what is wrong with the rows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from gauntlet.domain import comparison_parts as parts
from gauntlet.domain.columns import Mask
from gauntlet.domain.comparison_parts import (
    AnchorEffect,
    Bias,
    Figure,
    Latency,
    Scored,
    SegmentEffect,
    Tail,
)
from gauntlet.domain.intervals import Effect, paired_effect, sample_ratio_p_value, welch_effect
from gauntlet.domain.promotion_policy import PromotionPolicy
from gauntlet.domain.scores import Floats, Problem, losses

__all__ = [
    "AnchorEffect", "Bias", "Comparison", "Figure", "Latency", "SegmentEffect", "Tail", "compare", "compare_arms",
    "compare_split",
]  # fmt: skip


@dataclass(frozen=True)
class Comparison:
    """What two models' losses on test rows say.

    `effect` r = mean loss of the challenger / mean loss of the champion - 1: below 0 the challenger is better; None
    where a mean is missing or the champion's is 0. `spread` is the standard deviation of what one row contributes to
    r, so that its standard error is spread / sqrt(rows); `degrees` are Student's, None when the normal law is used.
    `missing_challenger` counts rows that the challenger could not predict; they have the champion's loss.
    `largest_share` is the share of a model's whole loss that a single row makes up, of the model where it is greater.
    `only_class` is the class that all rows have, where there is no other.
    """

    metric: str
    paired: bool
    rows_champion: int
    rows_challenger: int
    trained_rows: int
    duplicate_ids: int
    missing_labels: int
    missing_champion: int
    missing_challenger: int
    champion_loss: float | None
    challenger_loss: float | None
    effect: float | None
    spread: float | None
    segments: tuple[SegmentEffect, ...]
    degrees: float | None = None
    missing_anchor: int = 0
    largest_share: float = 0.0
    sample_ratio: float | None = None
    anchor: AnchorEffect | None = None
    tail: Tail | None = None
    bias: Bias | None = None
    latency: Latency | None = None
    figures: tuple[Figure, ...] = ()
    only_class: str | None = None

    @property
    def rows(self) -> int:
        """Each row once: the paired ones, or those of both arms."""
        return self.rows_champion if self.paired else self.rows_champion + self.rows_challenger

    @property
    def standard_error(self) -> float | None:
        """The standard error of the effect."""
        return None if self.spread is None else self.spread / math.sqrt(self.rows)

    @property
    def failure_share(self) -> float:
        """The share of the challenger's rows that it could not predict, 0..1."""
        return self.missing_challenger / self.rows_challenger if self.rows_challenger else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison as JSON values."""
        return {**asdict(self), "standard_error": self.standard_error}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Comparison:
        """Return the comparison that `to_dict` wrote, also one from before a field existed."""
        given = {field.name: values[field.name] for field in fields(cls) if field.name in values}
        single = {"anchor": AnchorEffect, "tail": Tail, "bias": Bias, "latency": Latency}
        for name, kind in single.items():
            if given.get(name) is not None:
                given[name] = kind(**given[name])
        given["segments"] = tuple(SegmentEffect(**each) for each in values["segments"])
        given["figures"] = tuple(Figure.from_dict(each) for each in values.get("figures", ()))
        return cls(**given)


def compare(
    *,
    spec: Problem,
    truth: npt.NDArray[Any],
    champion: Floats,
    challenger: Floats,
    row_ids: npt.NDArray[np.int64],
    trained_row_ids: npt.NDArray[np.int64],
    segments: Mapping[str, npt.NDArray[Any]],
    anchor: Floats | None = None,
    seconds: tuple[Floats, Floats] | None = None,
    policy: PromotionPolicy | None = None,
    rng: np.random.Generator | None = None,
) -> Comparison:
    """Compare two models that scored the same rows, by each row's loss (the paired comparison).

    `truth`, `row_ids` and each of `segments` have shape (rows,), the predictions (rows,) or (rows, classes). Rows whose
    id is in `trained_row_ids` (what either model was trained on) are dropped and counted; rows with a missing or
    infinite label, or prediction of the champion (or `anchor`, the best version ever), are counted and left out. Where
    the challenger's prediction is missing the champion's is scored, and it counts as a failure; ids that occur again
    are counted. `seconds` are both models' times of the same batches, shape (batches,). `rng` draws the bootstrap
    samples; by default the policy seeds it.
    """
    everywhere = np.ones(len(truth), dtype=bool)
    rows = _Rows(spec, truth, champion, challenger, row_ids, segments, everywhere, everywhere, anchor, True)
    return _compared(rows, trained_row_ids, seconds, policy or PromotionPolicy(), rng)


def compare_split(
    *,
    spec: Problem,
    truth: npt.NDArray[Any],
    champion: Floats,
    challenger: Floats,
    in_b: Mask,
    share_b: float,
    row_ids: npt.NDArray[np.int64],
    trained_row_ids: npt.NDArray[np.int64],
    segments: Mapping[str, npt.NDArray[Any]],
    seconds: tuple[Floats, Floats] | None = None,
    policy: PromotionPolicy | None = None,
    rng: np.random.Generator | None = None,
) -> Comparison:
    """Compare the champion on the rows outside `in_b` with the challenger on those within, by their mean losses.

    Everything has shape (rows,) as in `compare`; on rows of b the champion's prediction is read only where the
    challenger's is missing. `share_b` is the share of rows that b should have got, by which the arms' sizes are tested.
    """
    rows = _Rows(spec, truth, champion, challenger, row_ids, segments, ~in_b, in_b, None, False)
    compared = _compared(rows, trained_row_ids, seconds, policy or PromotionPolicy(), rng)
    sizes = compared.rows_champion, compared.rows_challenger
    ratio = sample_ratio_p_value(*sizes, share_b) if all(sizes) and 0 < share_b < 1 else None
    return replace(compared, sample_ratio=ratio)


def compare_arms(
    *, spec: Problem, truth_a: npt.NDArray[Any], champion_a: Floats, truth_b: npt.NDArray[Any], challenger_b: Floats
) -> Comparison:
    """Compare the champion on one arm's rows with the challenger on the other's, by their mean losses alone."""
    labelled_a, labelled_b = _labelled(truth_a, spec), _labelled(truth_b, spec)
    of_champion, of_challenger = _finite(champion_a), _finite(challenger_b)
    a = losses(truth_a, champion_a, spec)[labelled_a & of_champion]
    b = losses(truth_b, challenger_b, spec)[labelled_b & of_challenger]
    return Comparison(
        metric=spec.metric,
        paired=False,
        rows_champion=len(a),
        rows_challenger=len(b),
        trained_rows=0,
        duplicate_ids=0,
        missing_labels=int((~labelled_a).sum() + (~labelled_b).sum()),
        missing_champion=int((~of_champion).sum()),
        missing_challenger=int((~of_challenger).sum()),
        champion_loss=_mean(a),
        challenger_loss=_mean(b),
        effect=welch_effect(a, b).effect,
        spread=None,
        segments=(),
    )


@dataclass(frozen=True)
class _Rows:
    """The rows as given; the champion is judged on those of `in_a`, the challenger on those of `in_b`."""

    spec: Problem
    truth: npt.NDArray[Any]
    champion: Floats
    challenger: Floats
    row_ids: npt.NDArray[np.int64]
    segments: Mapping[str, npt.NDArray[Any]]
    in_a: Mask
    in_b: Mask
    anchor: Floats | None
    paired: bool

    def only(self, kept: Mask) -> _Rows:
        segments = {column: values[kept] for column, values in self.segments.items()}
        anchor = None if self.anchor is None else self.anchor[kept]
        return _Rows(
            self.spec, self.truth[kept], self.champion[kept], self.challenger[kept], self.row_ids[kept], segments,
            self.in_a[kept], self.in_b[kept], anchor, self.paired,
        )  # fmt: skip


def _compared(
    given: _Rows,
    trained_row_ids: npt.NDArray[np.int64],
    seconds: tuple[Floats, Floats] | None,
    policy: PromotionPolicy,
    rng: np.random.Generator | None,
) -> Comparison:
    fresh = ~np.isin(given.row_ids, trained_row_ids)
    usable, missing = _usable(given.only(fresh))
    scored = _scored(usable)
    a, b = scored.loss_a, scored.loss_b
    overall = (paired_effect if given.paired else welch_effect)(a, b)
    numeric, rng = min(len(a), len(b)) > 1 and not given.spec.classes, rng or policy.rng()
    return Comparison(
        metric=given.spec.metric,
        paired=given.paired,
        rows_champion=len(a),
        rows_challenger=len(b),
        trained_rows=int((~fresh).sum()),
        duplicate_ids=int(pd.Index(given.row_ids).duplicated().sum()),
        **missing,
        champion_loss=_mean(a),
        challenger_loss=_mean(b),
        effect=overall.effect,
        spread=_spread(overall, len(a) if given.paired else len(a) + len(b)),
        degrees=overall.degrees,
        largest_share=max(_largest_share(a), _largest_share(b)),
        segments=tuple(parts.segment_effects(usable.segments, usable.in_a, usable.in_b, scored)),
        anchor=_anchor(usable, scored),
        tail=parts.tail(scored, policy, rng) if numeric else None,
        bias=parts.bias(scored, policy) if numeric else None,
        latency=parts.latency(*seconds, policy, rng) if seconds else None,
        figures=tuple(parts.figures(scored, given.spec, policy)),
        only_class=_only_class(usable),
    )


def _usable(rows: _Rows) -> tuple[_Rows, dict[str, int]]:
    """Fill what the challenger lacks with the champion's, leave out what cannot be scored, and count both."""
    labels, of_champion, failed = _labelled(rows.truth, rows.spec), _finite(rows.champion), ~_finite(rows.challenger)
    lacking = (rows.in_a | failed & rows.in_b) & ~of_champion
    anchored = np.ones(len(labels), dtype=bool) if rows.anchor is None else _finite(rows.anchor)
    filled = replace(rows, challenger=_where(failed, rows.champion, rows.challenger))
    missing = {
        "missing_labels": int((~labels).sum()),
        "missing_champion": int(lacking.sum()),
        "missing_challenger": int((failed & rows.in_b).sum()),
        "missing_anchor": int((~anchored).sum()),
    }
    return filled.only(labels & ~lacking & anchored), missing


def _scored(rows: _Rows) -> Scored:
    a, b = rows.in_a, rows.in_b
    truth_a, truth_b = rows.truth[a], rows.truth[b]
    champion, challenger = rows.champion[a], rows.challenger[b]
    loss_a, loss_b = losses(truth_a, champion, rows.spec), losses(truth_b, challenger, rows.spec)
    return Scored(rows.paired, truth_a, champion, loss_a, truth_b, challenger, loss_b)


def _anchor(rows: _Rows, scored: Scored) -> AnchorEffect | None:
    if rows.anchor is None:
        return None
    loss = losses(rows.truth, rows.anchor, rows.spec)
    found = paired_effect(loss, scored.loss_b)
    return AnchorEffect(_mean(loss), found.effect, _spread(found, len(loss)))


def _spread(effect: Effect, rows: int) -> float | None:
    return None if effect.error is None else effect.error * math.sqrt(rows)


def _where(condition: Mask, chosen: Floats, other: Floats) -> Floats:
    return np.where(condition if other.ndim == 1 else condition[:, None], chosen, other)


def _labelled(truth: npt.NDArray[Any], spec: Problem) -> Mask:
    if spec.classes:
        return pd.Series(truth).isin(list(spec.classes)).to_numpy(dtype=bool)
    return np.isfinite(np.asarray(truth, dtype=np.float64))


def _finite(predicted: Floats) -> Mask:
    finite = np.isfinite(predicted)
    return finite if finite.ndim == 1 else np.all(finite, axis=1)


def _only_class(rows: _Rows) -> str | None:
    """Return the class of all rows when it is a single one of several: who always says it would win."""
    if len(rows.spec.classes) < 2:
        return None
    found = pd.Series(rows.truth).unique()
    return str(found[0]) if len(found) == 1 else None


def _largest_share(loss: Floats) -> float:
    return float(loss.max() / loss.sum()) if loss.any() else 0.0


def _mean(values: Floats) -> float | None:
    return float(values.mean()) if len(values) else None
