"""Champion against challenger on test rows: losses, their relative difference, and what is wrong with the rows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from gauntlet.domain.scores import Floats, losses
from gauntlet.domain.spec import Spec


@dataclass(frozen=True)
class SegmentEffect:
    """The effect within the rows of one category; None where it cannot be told."""

    column: str
    category: str
    rows: int
    effect: float | None
    standard_error: float | None


@dataclass(frozen=True)
class Comparison:
    """What two models' losses on test rows say.

    `effect` r = mean loss of the challenger / mean loss of the champion - 1: below 0 the challenger is better; None
    where a mean is missing or the champion's is 0. `spread` is the standard deviation of what one row contributes to
    r, so that its standard error is spread / sqrt(rows); None unless the models scored the same rows.
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

    @property
    def standard_error(self) -> float | None:
        """The standard error of the effect."""
        return None if self.spread is None else self.spread / math.sqrt(self.rows_champion)

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison as JSON values."""
        return {**asdict(self), "standard_error": self.standard_error}


class _Effect(NamedTuple):
    effect: float | None
    spread: float | None


def compare(
    *,
    spec: Spec,
    truth: npt.NDArray[Any],
    champion: Floats,
    challenger: Floats,
    row_ids: npt.NDArray[np.int64],
    trained_row_ids: npt.NDArray[np.int64],
    segments: Mapping[str, npt.NDArray[Any]],
) -> Comparison:
    """Compare two models that scored the same rows, by each row's loss (the paired comparison).

    `truth`, `row_ids` and each of `segments` have shape (rows,), the predictions (rows,) or (rows, classes). Rows whose
    id is in `trained_row_ids` (what either model was trained on) are dropped and counted, and so are rows with a
    missing or infinite label or prediction; ids that occur again are counted.
    """
    fresh = ~np.isin(row_ids, trained_row_ids)
    truth, champion, challenger = truth[fresh], champion[fresh], challenger[fresh]
    champion_loss, challenger_loss = losses(truth, champion, spec), losses(truth, challenger, spec)
    labels, of_champion, of_challenger = _labelled(truth, spec), _finite(champion), _finite(challenger)
    usable = labels & of_champion & of_challenger
    a, b = champion_loss[usable], challenger_loss[usable]
    overall = _effect(a, b)
    return Comparison(
        metric=spec.metric,
        paired=True,
        rows_champion=len(a),
        rows_challenger=len(b),
        trained_rows=int((~fresh).sum()),
        duplicate_ids=len(row_ids) - len(np.unique(row_ids)),
        missing_labels=int((~labels).sum()),
        missing_champion=int((~of_champion).sum()),
        missing_challenger=int((~of_challenger).sum()),
        champion_loss=_mean(a),
        challenger_loss=_mean(b),
        effect=overall.effect,
        spread=overall.spread,
        segments=tuple(_segments({name: values[fresh][usable] for name, values in segments.items()}, a, b)),
    )


def compare_arms(
    *, spec: Spec, truth_a: npt.NDArray[Any], champion_a: Floats, truth_b: npt.NDArray[Any], challenger_b: Floats
) -> Comparison:
    """Compare the champion on one arm's rows with the challenger on the other's, by their mean losses alone."""
    labelled_a, labelled_b = _labelled(truth_a, spec), _labelled(truth_b, spec)
    of_champion, of_challenger = _finite(champion_a), _finite(challenger_b)
    a = losses(truth_a, champion_a, spec)[labelled_a & of_champion]
    b = losses(truth_b, challenger_b, spec)[labelled_b & of_challenger]
    champion_loss, challenger_loss = _mean(a), _mean(b)
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
        champion_loss=champion_loss,
        challenger_loss=challenger_loss,
        effect=_ratio(champion_loss, challenger_loss),
        spread=None,
        segments=(),
    )


def _effect(a: Floats, b: Floats) -> _Effect:
    """Return r = mean b / mean a - 1 and its spread by the delta method: sd(b - (1 + r) a) / mean a."""
    mean_a, mean_b = _mean(a), _mean(b)
    effect = _ratio(mean_a, mean_b)
    if effect is None or not mean_a or len(a) < 2:
        return _Effect(effect, None)
    return _Effect(effect, float(np.std(b - (1 + effect) * a, ddof=1)) / mean_a)


def _ratio(champion: float | None, challenger: float | None) -> float | None:
    if champion is None or challenger is None:
        return None
    if champion == 0:
        return 0.0 if challenger == 0 else None
    return challenger / champion - 1


def _segments(segments: Mapping[str, npt.NDArray[Any]], a: Floats, b: Floats) -> Iterator[SegmentEffect]:
    for column, values in segments.items():
        codes, categories = pd.factorize(pd.Series(values), sort=True)
        for code, category in enumerate(categories):
            members = codes == code
            rows = int(members.sum())
            effect, spread = _effect(a[members], b[members])
            error = None if spread is None else spread / math.sqrt(rows)
            yield SegmentEffect(column, str(category), rows, effect, error)


def _labelled(truth: npt.NDArray[Any], spec: Spec) -> npt.NDArray[np.bool_]:
    if spec.classes:
        return pd.Series(truth).isin(list(spec.classes)).to_numpy(dtype=bool)
    return np.isfinite(np.asarray(truth, dtype=np.float64))


def _finite(predicted: Floats) -> npt.NDArray[np.bool_]:
    finite = np.isfinite(predicted)
    return finite if finite.ndim == 1 else np.all(finite, axis=1)


def _mean(values: Floats) -> float | None:
    return float(values.mean()) if len(values) else None
