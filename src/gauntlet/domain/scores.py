"""How far predictions are from the truth: per row, and over all rows."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.metrics import roc_auc_score

Floats = npt.NDArray[np.float64]

SMALLEST_PROBABILITY = float(np.finfo(np.float64).eps)
"""Probabilities are raised to this before their logarithm is taken, as scikit-learn does."""

LARGEST_LOSS = 1e50
"""What a loss is at most where truth and prediction are finite: sums of squares of larger ones would be infinite."""


class Problem(Protocol):
    """What a comparison must know of a spec: the metric, and the classes in order (none for a regression)."""

    @property
    def metric(self) -> str:
        """The metric's name, mae or log_loss."""
        ...

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes in the order of a prediction's columns."""
        ...


def losses(truth: Any, predicted: Floats, spec: Problem) -> Floats:
    """Return each row's loss, shape (rows,): |truth - predicted|, or -log of the true class's probability.

    `predicted` has shape (rows,) or (rows, classes in the spec's order). NaN where truth (or its class) or prediction
    is missing; infinite where one is, and nowhere else.
    """
    if not spec.classes:
        return _absolute(np.asarray(truth, dtype=np.float64), predicted)
    position = class_positions(truth, spec)
    chosen = predicted[np.arange(len(position)), position]
    with np.errstate(invalid="ignore"):
        loss = -np.log(np.clip(chosen, SMALLEST_PROBABILITY, 1.0))
    return np.where(position < 0, np.nan, loss)


def _absolute(truth: Floats, predicted: Floats) -> Floats:
    with np.errstate(over="ignore"):
        error = np.abs(truth - predicted)
    return np.where(np.isfinite(truth) & np.isfinite(predicted), np.minimum(error, LARGEST_LOSS), error)


def metrics(truth: Any, predicted: Floats, spec: Problem) -> dict[str, float]:
    """Return mae, rmse and r2, or log_loss, accuracy and auc, over at least one row without missing values.

    r2 = 1 - sum(e^2) / sum((y - mean y)^2), and 0 or 1 when the truth is constant. auc is the mean over classes of one
    class against the rest; it is left out when a single class is there.
    """
    loss = losses(truth, predicted, spec)
    if not spec.classes:
        return _regression(np.asarray(truth, dtype=np.float64), loss)
    position = class_positions(truth, spec)
    figures = {"log_loss": float(loss.mean()), "accuracy": float((predicted.argmax(axis=1) == position).mean())}
    present = np.unique(position)
    if len(present) > 1:
        areas = [roc_auc_score(position == one, predicted[:, one]) for one in present]
        figures["auc"] = float(np.mean(areas))
    return figures


def _regression(truth: Floats, error: Floats) -> dict[str, float]:
    squared, spread = float(np.square(error).sum()), float(np.square(truth - truth.mean()).sum())
    r2 = 1 - squared / spread if spread else float(squared == 0)
    return {"mae": float(error.mean()), "rmse": float(np.sqrt(squared / len(truth))), "r2": r2}


def class_positions(truth: Any, spec: Problem) -> npt.NDArray[np.intp]:
    """Return each label's position, shape (rows,), among the spec's classes, -1 for a missing or unknown one."""
    return pd.Index(spec.classes).get_indexer(pd.Index(truth))
