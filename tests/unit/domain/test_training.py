"""Training on real estimators: choice, reproducibility, saving."""

import sys
import types
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.compose import TransformedTargetRegressor
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from gauntlet.domain.recipes import RecipeError, pipeline
from gauntlet.domain.rows import check, typed
from gauntlet.domain.spec import BUILT_IN_CANDIDATES, Spec
from gauntlet.domain.training import TRUSTED_TYPES, TrainingError, UntrustedModelError, load_model, predict, train

from .conftest import house_rows, loan_rows


def usable(frame: pd.DataFrame, spec: Spec) -> pd.DataFrame:
    return check(typed(frame, spec).frame, spec).kept


@pytest.fixture
def factories() -> Iterator[types.ModuleType]:
    """A module of the user's own, importable as `my_models`."""
    module = types.ModuleType("my_models")
    sys.modules["my_models"] = module
    yield module
    del sys.modules["my_models"]


def with_candidates(spec: Spec, *candidates: str) -> Spec:
    return spec.model_copy(update={"candidates": candidates})


def test_the_best_candidate_by_the_metric_is_fitted_on_all_rows(houses: Spec) -> None:
    rows = usable(house_rows(600), houses)
    training = train(rows, houses, jobs=1)
    assert [result.name for result in training.candidates] == list(houses.candidates)
    mae = {result.name: result.metrics["mae"] for result in training.candidates}
    assert training.best == min(mae, key=lambda name: mae[name]) == "hist_gradient_boosting"
    assert mae["hist_gradient_boosting"] < 100 < mae["linear"]
    alone = pipeline("hist_gradient_boosting", houses).fit(rows[["area", "town"]], rows["price"])
    assert (predict(training.model, rows, houses) == alone.predict(rows[["area", "town"]])).all()


def test_out_of_fold_results_are_whole_and_in_order(houses: Spec) -> None:
    rows = usable(house_rows(600), houses)
    ticks = iter(range(100))
    result = train(rows, houses, jobs=2, clock=lambda: float(next(ticks))).candidates[0]
    assert (result.truth == rows["price"].to_numpy()).all()
    assert result.predicted.shape == (600,)
    assert np.mean(result.fold_losses) == pytest.approx(result.metrics["mae"])
    assert len(result.fold_losses) == 5
    assert set(result.metrics) == {"mae", "rmse", "r2"}
    assert list(result.importances) == ["area", "town"]
    assert result.importances["area"] > result.importances["town"] > 0
    assert result.params["fit_intercept"] is True
    assert result.seconds == 1.0


def test_a_classification_gives_probabilities_in_the_specs_order(loans: Spec) -> None:
    rows = usable(loan_rows(600), loans)
    training = train(rows, loans, jobs=2)
    predicted = predict(training.model, rows, loans)
    assert predicted.shape == (600, 3)
    assert predicted.sum(axis=1) == pytest.approx(1)
    paid = rows["outcome"].to_numpy() == "paid"
    assert predicted[paid, 1].mean() > predicted[~paid, 1].mean() + 0.05
    assert set(training.candidates[0].metrics) == {"log_loss", "accuracy", "auc"}
    assert training.candidates[0].predicted.shape == (600, 3)


def test_a_class_that_no_row_has_gets_probability_0(loans: Spec) -> None:
    rows = usable(loan_rows(300), loans)
    rows = rows[rows["outcome"] != "lost"]
    model = train(rows, with_candidates(loans, "logistic"), jobs=1).model
    predicted = predict(model, rows, loans)
    assert (predicted[:, 2] == 0).all()
    assert predicted.sum(axis=1) == pytest.approx(1)


def test_a_class_rarer_than_the_folds_is_no_error(loans: Spec) -> None:
    rows = usable(loan_rows(300), loans)
    rows.loc[rows["outcome"] == "lost", "outcome"] = "late"
    rows.loc[rows.index[:2], "outcome"] = "lost"
    assert np.isfinite(train(rows, with_candidates(loans, "logistic"), jobs=1).candidates[0].metrics["log_loss"])


@pytest.mark.parametrize("task", ["houses", "loans"])
def test_equal_rows_give_equal_bytes_whatever_the_threads(task: str, request: pytest.FixtureRequest) -> None:
    spec: Spec = request.getfixturevalue(task)
    spec = with_candidates(spec, *BUILT_IN_CANDIDATES[spec.task])
    rows = usable(house_rows(150) if task == "houses" else loan_rows(150), spec)
    one, two = (train(rows, spec, jobs=jobs) for jobs in (1, 2))
    assert predict(one.model, rows, spec).tobytes() == predict(two.model, rows, spec).tobytes()
    for a, b in zip(one.candidates, two.candidates, strict=True):
        assert a.predicted.tobytes() == b.predicted.tobytes()
        assert a.importances == b.importances


@pytest.mark.parametrize("task", ["houses", "loans"])
def test_every_built_in_model_is_saved_loaded_and_meets_new_categories(
    task: str, request: pytest.FixtureRequest
) -> None:
    spec: Spec = request.getfixturevalue(task)
    rows = usable(house_rows(60) if task == "houses" else loan_rows(60), spec)
    new = rows.assign(**{spec.categorical_features[0]: "never seen"})
    for name in BUILT_IN_CANDIDATES[spec.task]:
        model = train(rows, with_candidates(spec, name), jobs=1).model
        data = skops.io.dumps(model)
        assert set(skops.io.get_untrusted_types(data=data)) <= set(TRUSTED_TYPES)
        loaded = load_model(data, spec.trusted_types)
        assert predict(loaded, rows, spec).tobytes() == predict(model, rows, spec).tobytes()
        assert np.isfinite(predict(loaded, new, spec)).all()


def test_a_spec_of_one_kind_of_feature_trains(houses: Spec) -> None:
    rows = usable(house_rows(100), houses)
    without_area = houses.model_copy(update={"numeric": {"price": houses.numeric["price"]}})
    without_town = houses.model_copy(update={"categorical": {}, "segments": ()})
    for spec in (without_area, without_town):
        assert np.isfinite(predict(train(rows, spec, jobs=1).model, rows, spec)).all()


def test_too_few_rows_and_a_single_class(houses: Spec, loans: Spec) -> None:
    with pytest.raises(TrainingError) as caught:
        train(usable(house_rows(9), houses), houses, jobs=1)
    assert str(caught.value) == "training needs at least 10 rows that fulfil the spec; got 9. Send more rows."
    with pytest.raises(TrainingError) as caught:
        train(usable(loan_rows(50), loans).assign(outcome="paid"), loans, jobs=1)
    assert str(caught.value) == (
        "training needs at least two classes of outcome; all 50 rows are paid. Send rows of other classes."
    )


def test_a_factory_of_the_users_own(houses: Spec, factories: types.ModuleType) -> None:
    seeds: list[int] = []

    def make(seed: int) -> Any:
        seeds.append(seed)
        return TransformedTargetRegressor(LinearRegression(), func=np.log1p, inverse_func=np.expm1)

    factories.make = make  # type: ignore[attr-defined]
    rows = usable(house_rows(200), houses)
    training = train(rows, with_candidates(houses, "my_models:make"), jobs=1)
    assert training.best == "my_models:make"
    assert set(seeds) == {7}
    assert np.isfinite(predict(training.model, rows, houses)).all()


def test_a_factorys_pipeline_gets_the_columns_as_they_are(houses: Spec, factories: types.ModuleType) -> None:
    seen: list[list[str]] = []

    def area(frame: pd.DataFrame) -> pd.DataFrame:
        seen.append(list(frame.columns))
        return frame[["area"]]

    factories.make = lambda _: make_pipeline(FunctionTransformer(area), LinearRegression())  # type: ignore[attr-defined]
    train(usable(house_rows(100), houses), with_candidates(houses, "my_models:make"), jobs=1)
    assert seen[0] == ["area", "town"]


def test_types_of_custom_models_must_be_named_in_the_spec(houses: Spec, factories: types.ModuleType) -> None:
    class Doubling(LinearRegression):  # type: ignore[misc]
        pass

    Doubling.__module__, Doubling.__qualname__ = "my_models", "Doubling"
    factories.Doubling = Doubling  # type: ignore[attr-defined]
    factories.make = lambda _: Doubling()  # type: ignore[attr-defined]
    rows = usable(house_rows(100), houses)
    data = skops.io.dumps(train(rows, with_candidates(houses, "my_models:make"), jobs=1).model)
    with pytest.raises(UntrustedModelError) as caught:
        load_model(data, houses.trusted_types)
    assert str(caught.value) == (
        "a model file must hold trusted types only; found my_models.Doubling. "
        "If they are your own, name them in trusted_types of the spec's file; else train a new model."
    )
    assert np.isfinite(predict(load_model(data, ["my_models.Doubling"]), rows, houses)).all()


def test_factories_that_do_not_do(houses: Spec, loans: Spec, factories: types.ModuleType) -> None:
    with pytest.raises(RecipeError) as caught:
        pipeline("no_such_package:make", houses)
    assert str(caught.value) == (
        "a candidate of your own must be importable; no_such_package:make is not (No module named 'no_such_package'). "
        "Install its package where training runs, or correct the spec."
    )
    with pytest.raises(RecipeError, match="must be importable; my_models:gone is not"):
        pipeline("my_models:gone", houses)
    factories.make = lambda _: DummyRegressor()  # type: ignore[attr-defined]
    with pytest.raises(RecipeError) as caught:
        pipeline("my_models:make", loans)
    assert str(caught.value) == (
        "a factory must return an estimator with fit and predict_proba; my_models:make returned DummyRegressor. "
        "Return one that fits task = classification."
    )


def test_boosting_wins_on_real_diamonds(diamonds: pd.DataFrame, diamonds_spec: Spec) -> None:
    training = train(diamonds[:3000], diamonds_spec, jobs=2)
    assert training.best == "hist_gradient_boosting"
    fresh = diamonds[3000:23_000]
    error = np.abs(predict(training.model, fresh, diamonds_spec) - fresh["price"]).mean()
    assert error < 380
    best = training.candidates[3]
    assert best.metrics["mae"] == pytest.approx(error, rel=0.1)
