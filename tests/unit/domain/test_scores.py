"""Losses and metrics, against scikit-learn."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, log_loss, mean_absolute_error, r2_score, root_mean_squared_error

from gauntlet.domain.scores import LARGEST_LOSS, losses, metrics
from gauntlet.domain.spec import Spec


def test_regression_is_scikit_learns(houses: Spec) -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=200)
    predicted = truth + rng.normal(size=200)
    assert metrics(pd.Series(truth), predicted, houses) == pytest.approx(
        {
            "mae": mean_absolute_error(truth, predicted),
            "rmse": root_mean_squared_error(truth, predicted),
            "r2": r2_score(truth, predicted),
        }
    )
    assert losses(truth, predicted, houses).mean() == pytest.approx(mean_absolute_error(truth, predicted))


@pytest.mark.parametrize(("predicted", "r2"), [([5.0, 5.0], 1.0), ([5.0, 6.0], 0.0)])
def test_r2_of_a_constant_truth(predicted: list[float], r2: float, houses: Spec) -> None:
    assert metrics(np.array([5.0, 5.0]), np.array(predicted), houses)["r2"] == r2


def test_classification_is_scikit_learns(loans: Spec) -> None:
    rng = np.random.default_rng(1)
    truth = rng.choice(loans.classes, 300)
    predicted = rng.dirichlet([1, 1, 1], 300)
    figures = metrics(truth, predicted, loans)
    order = np.argsort(loans.classes)  # scikit-learn sorts classes
    assert figures["log_loss"] == pytest.approx(log_loss(truth, predicted[:, order], labels=sorted(loans.classes)))
    assert figures["accuracy"] == accuracy_score(truth, np.asarray(loans.classes)[predicted.argmax(axis=1)])
    assert 0.4 < figures["auc"] < 0.6


def test_auc_ranks_right_and_wrong(loans: Spec) -> None:
    truth = np.array(["late", "late", "paid", "paid"])
    right = np.array([[0.9, 0.1, 0], [0.8, 0.2, 0], [0.3, 0.7, 0], [0.2, 0.8, 0]])
    assert metrics(truth, right, loans)["auc"] == 1
    assert metrics(truth[::-1], right, loans)["auc"] == 0
    assert "auc" not in metrics(truth[:2], right[:2], loans)


def test_a_certain_error_is_finite_and_what_is_missing_is_nan(loans: Spec, houses: Spec) -> None:
    truth = np.array(["late", "late", "other", None], dtype=object)
    predicted = np.array([[0.0, 1.0, 0.0], [np.nan] * 3, [1.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    loss = losses(truth, predicted, loans)
    assert loss[0] == pytest.approx(-np.log(np.finfo(float).eps))
    assert np.isnan(loss).tolist() == [False, True, True, True]
    assert np.isnan(losses(np.array([1.0, np.nan]), np.array([np.nan, 1.0]), houses)).all()


def test_what_cannot_be_squared_is_the_largest_loss_and_what_is_infinite_stays_so(houses: Spec) -> None:
    truth = np.array([0.0, -1.7e308, 0.0, 1.0])
    loss = losses(truth, np.array([1e200, 1.7e308, np.inf, 2.0]), houses)
    assert loss.tolist() == [LARGEST_LOSS, LARGEST_LOSS, np.inf, 1.0]
    assert np.isfinite(list(metrics(np.array([0.0, 1.0]), np.array([1e200, 1.0]), houses).values())).all()
