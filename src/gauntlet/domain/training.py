"""Training: every candidate of a spec on the same folds, the best one on all rows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import skops.io
from joblib import parallel_config
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.pipeline import Pipeline
from skops.io.exceptions import UntrustedTypesFoundException
from threadpoolctl import threadpool_limits

from gauntlet.domain.errors import Final
from gauntlet.domain.recipes import pipeline
from gauntlet.domain.scores import Floats, losses, metrics
from gauntlet.domain.spec import Spec, Task

__all__ = [
    "CandidateResult", "Training", "TrainingError", "UntrustedModelError", "load_model", "losses", "metrics", "predict",
    "train",
]  # fmt: skip

FOLDS = 5
MIN_ROWS = 2 * FOLDS
IMPORTANCE_ROWS = 400
"""How many rows of the last fold each feature is shuffled in."""
OPENMP_ROWS = 50_000
"""From here on boosting uses more than one thread; below, they wait for each other longer than they work."""

TRUSTED_TYPES = ("sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor", "sklearn.tree._tree.Tree")
"""What the built-in candidates need beyond the types that skops trusts by itself.

Both run no code when loaded, but a forged one can crash the process that predicts: check the file's hash first.
"""


class TrainingError(Final):
    """The rows cannot be trained on."""


class UntrustedModelError(Final):
    """A model file holds types that nobody has said may be loaded; nothing in it was run."""


@dataclass(frozen=True)
class CandidateResult:
    """A candidate's cross-validation.

    `truth`, shape (rows,), and `predicted`, shape (rows,) or (rows, classes), are out of fold and in the frame's order;
    `metrics` are theirs; `fold_losses` the mean loss of each fold; `importances` the rise in mean loss when a feature
    is shuffled; `seconds` the time it took.
    """

    name: str
    params: dict[str, Any]
    metrics: dict[str, float]
    fold_losses: tuple[float, ...]
    importances: dict[str, float]
    truth: npt.NDArray[Any]
    predicted: Floats
    seconds: float


@dataclass(frozen=True)
class Training:
    """All candidates in the spec's order, the name of the best, and that one fitted on all rows."""

    best: str
    model: Pipeline
    candidates: tuple[CandidateResult, ...]


def train(frame: pd.DataFrame, spec: Spec, *, jobs: int, clock: Callable[[], float] = time.perf_counter) -> Training:
    """Cross-validate the spec's candidates on one set of folds and fit the best by `spec.metric` on all rows.

    `frame` holds checked rows; `jobs` is the number of threads. Equal rows and spec give equal predictions.
    Raises TrainingError when there are too few rows or a single class, RecipeError when a candidate cannot be made.
    """
    features, truth = frame[list(spec.features)], _truth(frame, spec)
    _require_trainable(truth, spec)
    pipelines = {name: pipeline(name, spec) for name in spec.candidates}
    folds = list(_folds(truth, spec).split(features, truth))
    with _threads(jobs, len(frame)):
        results = tuple(
            _cross_validate(name, model, features, truth, folds, spec, clock) for name, model in pipelines.items()
        )
        best = min(results, key=lambda result: result.metrics[spec.metric]).name
        model = pipeline(best, spec).fit(features, truth)
    return Training(best, model, results)


def predict(model: Any, frame: pd.DataFrame, spec: Spec) -> Floats:
    """Return predictions, shape (rows,), or probabilities, shape (rows, classes), the classes in the spec's order."""
    features = frame[list(spec.features)]
    if spec.task is Task.REGRESSION:
        return np.asarray(model.predict(features), dtype=np.float64)
    probabilities = np.zeros((len(frame), len(spec.classes)))
    probabilities[:, [spec.classes.index(name) for name in model.classes_]] = model.predict_proba(features)
    return probabilities


def load_model(data: bytes, trusted_types: Sequence[str]) -> Any:
    """Return a model from skops bytes; `trusted_types` name what may be loaded beyond TRUSTED_TYPES.

    Take them from the spec's file, never from what is kept with the model: whoever can write the one could name
    types in the other. Raises UntrustedModelError, before anything is loaded, when another type is in the file.
    """
    trusted = [*TRUSTED_TYPES, *trusted_types]
    try:
        return skops.io.loads(data, trusted=trusted)
    except UntrustedTypesFoundException:
        unknown = sorted(set(skops.io.get_untrusted_types(data=data)) - set(trusted))
        raise UntrustedModelError(
            f"a model file must hold trusted types only; found {', '.join(unknown)}. "
            "If they are your own, name them in trusted_types of the spec's file; else train a new model."
        ) from None


def _cross_validate(
    name: str,
    model: Pipeline,
    features: pd.DataFrame,
    truth: npt.NDArray[Any],
    folds: list[tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]],
    spec: Spec,
    clock: Callable[[], float],
) -> CandidateResult:
    started = clock()
    predicted = np.empty((len(truth), len(spec.classes)) if spec.classes else len(truth))
    for kept, held_out in folds:
        model.fit(features.iloc[kept], truth[kept])
        predicted[held_out] = _predict_in_order(model, features.iloc[held_out], spec)
    loss = losses(truth, predicted, spec)
    shuffled = folds[-1][1][:IMPORTANCE_ROWS]
    return CandidateResult(
        name=name,
        params=_params(model),
        metrics=metrics(truth, predicted, spec),
        fold_losses=tuple(float(loss[held_out].mean()) for _, held_out in folds),
        importances=_importances(model, features.iloc[shuffled], truth[shuffled], spec),
        truth=truth,
        predicted=predicted,
        seconds=clock() - started,
    )


def _importances(model: Pipeline, features: pd.DataFrame, truth: npt.NDArray[Any], spec: Spec) -> dict[str, float]:
    """Return the rise in mean loss when one feature is shuffled (Breiman 2001), all features in one prediction."""
    order = np.random.default_rng(spec.seed).permutation(len(features))
    variants = [features] + [
        features.assign(**{column: features[column].to_numpy()[order]}) for column in spec.features
    ]
    predicted = _predict_in_order(model, pd.concat(variants), spec)
    loss = losses(np.tile(truth, len(variants)), predicted, spec).reshape(len(variants), -1).mean(axis=1)
    return {column: float(rise) for column, rise in zip(spec.features, loss[1:] - loss[0], strict=True)}


def _predict_in_order(model: Pipeline, features: pd.DataFrame, spec: Spec) -> Floats:
    """Predict on one thread: a forest's threads add their trees up in the order in which they finish."""
    with parallel_config(n_jobs=1):
        return predict(model, features, spec)


def _params(model: Pipeline) -> dict[str, Any]:
    estimator = model[-1]
    values = estimator.get_params(deep=False) if hasattr(estimator, "get_params") else {}
    return {name: value for name, value in values.items() if isinstance(value, str | int | float | bool)}


def _truth(frame: pd.DataFrame, spec: Spec) -> npt.NDArray[Any]:
    dtype = np.float64 if spec.task is Task.REGRESSION else np.str_
    return frame[spec.target].to_numpy().astype(dtype)


def _folds(truth: npt.NDArray[Any], spec: Spec) -> Any:
    enough = spec.task is Task.CLASSIFICATION and np.unique(truth, return_counts=True)[1].min() >= FOLDS
    return (StratifiedKFold if enough else KFold)(FOLDS, shuffle=True, random_state=spec.seed)


def _require_trainable(truth: npt.NDArray[Any], spec: Spec) -> None:
    if len(truth) < MIN_ROWS:
        raise TrainingError(
            f"training needs at least {MIN_ROWS} rows that fulfil the spec; got {len(truth)}. Send more rows."
        )
    if spec.task is Task.CLASSIFICATION and (truth == truth[0]).all():
        raise TrainingError(
            f"training needs at least two classes of {spec.target}; all {len(truth):,} rows are {truth[0]}. "
            "Send rows of other classes."
        )


@contextmanager
def _threads(jobs: int, rows: int) -> Iterator[None]:
    """Hold parallel work to `jobs` threads, never processes; one for BLAS, whose sums depend on their number."""
    openmp = jobs if rows >= OPENMP_ROWS else 1
    with threadpool_limits({"openmp": openmp, "blas": 1}), parallel_config(backend="threading", n_jobs=jobs):
        yield
