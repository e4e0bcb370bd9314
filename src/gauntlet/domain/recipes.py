"""The candidate models: built-in recipes by name, and factories of the user's own."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from gauntlet.domain.errors import Final
from gauntlet.domain.spec import Spec, Task

# Small enough that 5-fold cross-validation on thousands of rows takes about a second a candidate. Early stopping is
# off, since it would hold rows back from the fit.
FOREST: Mapping[str, Any] = {"n_estimators": 50, "min_samples_leaf": 2, "max_features": 0.5}
BOOSTING: Mapping[str, Any] = {"max_iter": 200, "max_leaf_nodes": 15, "early_stopping": False}
# Probabilities need larger leaves and slower steps; boosting grows a tree for each class and iteration.
FOREST_CLASSES: Mapping[str, Any] = {**FOREST, "min_samples_leaf": 10}
BOOSTING_CLASSES: Mapping[str, Any] = {**BOOSTING, "max_iter": 100, "learning_rate": 0.05}

_ESTIMATORS: Mapping[Task, Mapping[str, Callable[[int], BaseEstimator]]] = {
    Task.REGRESSION: {
        "linear": lambda _: LinearRegression(),
        "ridge": lambda _: Ridge(),
        "random_forest": lambda seed: RandomForestRegressor(random_state=seed, **FOREST),
        "hist_gradient_boosting": lambda seed: HistGradientBoostingRegressor(random_state=seed, **BOOSTING),
    },
    Task.CLASSIFICATION: {
        "logistic": lambda _: LogisticRegression(max_iter=1000),
        "random_forest": lambda seed: RandomForestClassifier(random_state=seed, **FOREST_CLASSES),
        "hist_gradient_boosting": lambda seed: HistGradientBoostingClassifier(random_state=seed, **BOOSTING_CLASSES),
    },
}
_TREES = ("random_forest", "hist_gradient_boosting")


class RecipeError(Final):
    """A candidate cannot be made from its name."""


def pipeline(name: str, spec: Spec) -> Pipeline:
    """Return an unfitted pipeline on `spec.features` for a candidate of the spec.

    Trees get a category's position in the spec, other estimators indicator columns and standardised numbers. A factory
    that returns a Pipeline gets the columns as they are. Categories the spec does not know are no error when
    predicting. Raises RecipeError when a factory cannot be called or returns no estimator for the task.
    """
    if ":" not in name:
        estimator = _ESTIMATORS[spec.task][name](spec.seed)
        return Pipeline([("features", _positions(spec) if name in _TREES else _indicators(spec)), ("model", estimator)])
    estimator = _from_factory(name, spec)
    if isinstance(estimator, Pipeline):
        return estimator
    return Pipeline([("features", _indicators(spec)), ("model", estimator)])


def _indicators(spec: Spec) -> ColumnTransformer:
    categories = [list(spec.categorical[column]) for column in spec.categorical_features]
    encoder = OneHotEncoder(categories=categories, handle_unknown="ignore", sparse_output=False)
    return _by_kind(spec, StandardScaler(), encoder)


def _positions(spec: Spec) -> ColumnTransformer:
    categories = [list(spec.categorical[column]) for column in spec.categorical_features]
    encoder = OrdinalEncoder(categories=categories, handle_unknown="use_encoded_value", unknown_value=-1)
    return _by_kind(spec, "passthrough", encoder)


def _by_kind(spec: Spec, numbers: Any, categories: Any) -> ColumnTransformer:
    steps = [
        ("numeric", numbers, list(spec.numeric_features)),
        ("categorical", categories, list(spec.categorical_features)),
    ]
    return ColumnTransformer([step for step in steps if step[2]])


def _from_factory(path: str, spec: Spec) -> Any:
    module_name, _, attribute = path.partition(":")
    try:
        factory = getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError) as error:
        raise RecipeError(
            f"a candidate of your own must be importable; {path} is not ({error}). "
            "Install its package where training runs, or correct the spec."
        ) from error
    estimator = factory(spec.seed)
    method = "predict_proba" if spec.task is Task.CLASSIFICATION else "predict"
    if not (hasattr(estimator, "fit") and hasattr(estimator, method)):
        raise RecipeError(
            f"a factory must return an estimator with fit and {method}; {path} returned "
            f"{type(estimator).__name__}. Return one that fits task = {spec.task}."
        )
    return estimator
