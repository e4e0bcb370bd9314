"""Comparisons: paired by row, or arm against arm."""

import json
import math
from typing import Any

import numpy as np
import pytest

from gauntlet.domain.comparison import Comparison, compare, compare_arms
from gauntlet.domain.promotion import decide
from gauntlet.domain.promotion_policy import PromotionPolicy
from gauntlet.domain.spec import Spec
from gauntlet.domain.verdict import Verdict

NO_IDS = np.array([], dtype=np.int64)


def paired(spec: Spec, truth: Any, champion: Any, challenger: Any, **changes: Any) -> Comparison:
    given = {"row_ids": np.arange(len(truth)), "trained_row_ids": NO_IDS, "segments": {}, **changes}
    return compare(
        spec=spec, truth=np.asarray(truth), champion=np.asarray(champion), challenger=np.asarray(challenger), **given
    )


def test_the_effect_and_its_error_by_hand(houses: Spec) -> None:
    result = paired(houses, [0.0] * 4, [1.0, 2.0, -3.0, 4.0], [1.0, -1.0, 2.0, 4.0])
    assert (result.champion_loss, result.challenger_loss) == (2.5, 2.0)
    assert result.effect == pytest.approx(-0.2)
    residuals = np.array([1, 1, 2, 4]) - 0.8 * np.array([1, 2, 3, 4])
    assert result.spread == pytest.approx(residuals.std(ddof=1) / 2.5)
    assert result.standard_error == pytest.approx(residuals.std(ddof=1) / 2.5 / 2)
    assert (result.rows_champion, result.rows_challenger, result.paired, result.metric) == (4, 4, True, "mae")


def test_the_error_is_that_of_repeated_samples(houses: Spec) -> None:
    """The delta method's standard error against the scatter of the effect over 400 samples."""
    rng = np.random.default_rng(8)
    effects: list[float] = []
    errors: list[float] = []
    for _ in range(400):
        noise = rng.normal(size=800)
        champion, challenger = noise + rng.normal(0, 0.5, 800), 0.9 * noise + rng.normal(0, 0.5, 800)
        result = paired(houses, np.zeros(800), champion, challenger)
        assert result.effect is not None
        assert result.standard_error is not None
        effects.append(result.effect)
        errors.append(result.standard_error)
    assert np.mean(errors) == pytest.approx(np.std(effects), rel=0.1)


def test_rows_either_model_was_trained_on_are_dropped_and_counted(houses: Spec) -> None:
    predicted = np.array([0.0, 0.0, 1.0, 1.0])
    result = paired(
        houses,
        np.zeros(4),
        predicted,
        predicted * 2,
        row_ids=np.array([5, 6, 7, 8]),
        trained_row_ids=np.array([6, 5, 99]),
    )
    assert (result.trained_rows, result.rows_champion) == (2, 2)
    assert result.champion_loss == 1.0


def test_repeated_ids_are_counted(houses: Spec) -> None:
    ones = np.ones(6)
    assert paired(houses, ones, ones, ones, row_ids=np.array([1, 2, 2, 2, 3, 3])).duplicate_ids == 3


def test_missing_labels_and_predictions_are_counted(houses: Spec) -> None:
    nan, inf = math.nan, math.inf
    result = paired(houses, [0.0, nan, 0.0, 0.0, 0.0], [1.0, 1.0, nan, inf, 1.0], [2.0, 1.0, 1.0, 1.0, nan])
    assert (result.missing_labels, result.missing_champion, result.missing_challenger) == (1, 2, 1)
    assert (result.rows_champion, result.champion_loss, result.challenger_loss) == (
        2,
        1.0,
        1.5,
    )  # the last: as the champion
    json.dumps(result.to_dict(), allow_nan=False)


def test_a_classification_is_compared_by_log_loss(loans: Spec) -> None:
    truth = np.array(["late", "paid", "lost", "odd"], dtype=object)
    champion, challenger = np.full((4, 3), 1 / 3), np.tile([0.5, 0.25, 0.25], (4, 1))
    challenger[2] = np.nan
    result = paired(loans, truth, champion, challenger)
    assert (result.metric, result.missing_labels, result.missing_challenger) == ("log_loss", 1, 1)
    assert result.champion_loss == pytest.approx(math.log(3))
    assert result.challenger_loss == pytest.approx((math.log(2) + math.log(4) + math.log(3)) / 3)


def test_rows_of_a_single_class_decide_nothing(loans: Spec) -> None:
    rows = 1200
    truth, champion = np.full(rows, "paid", dtype=object), np.full((rows, 3), 1 / 3)
    challenger = np.tile(
        np.where(np.array(loans.classes) == "paid", 0.98, 0.01), (rows, 1)
    )  # says what is there always
    result = paired(loans, truth, champion, challenger)
    assert result.only_class == "paid"
    decision = decide(result, PromotionPolicy(metric="log_loss"))
    assert (decision.verdict, decision.reason) == (
        Verdict.INVALID, "the test needs rows of more than one class; all are paid",
    )  # fmt: skip
    truth[0] = "late"
    assert paired(loans, truth, champion, challenger).only_class is None


def test_each_category_of_a_segment_has_its_own_effect(houses: Spec) -> None:
    town = np.array(["Ulm", "Bern", "Ulm", None, "Bern", "Graz"], dtype=object)
    champion = np.array([1.0, 1.0, 3.0, 9.0, 1.0, 0.0])
    challenger = np.array([1.0, 2.0, 1.0, 9.0, 2.0, 1.0])
    result = paired(houses, np.zeros(6), champion, challenger, segments={"town": town})
    found = [(item.column, item.category, item.rows, item.effect) for item in result.segments]
    assert found == [("town", "Bern", 2, 1.0), ("town", "Graz", 1, None), ("town", "Ulm", 2, -0.5)]
    assert result.segments[0].standard_error == 0.0
    json.dumps(result.to_dict(), allow_nan=False)


def test_no_rows_at_all(houses: Spec) -> None:
    result = paired(houses, np.array([]), np.array([]), np.array([]), segments={"town": np.array([])})
    assert (result.rows_champion, result.effect, result.spread, result.standard_error) == (0, None, None, None)


def test_arms_are_compared_by_their_means(houses: Spec) -> None:
    result = compare_arms(
        spec=houses,
        truth_a=np.zeros(3),
        champion_a=np.array([1.0, 2.0, 3.0]),
        truth_b=np.array([0.0, np.nan]),
        challenger_b=np.array([1.0, 1.0]),
    )
    assert (result.paired, result.rows_champion, result.rows_challenger, result.missing_labels) == (False, 3, 1, 1)
    assert (result.champion_loss, result.challenger_loss, result.effect) == (2.0, 1.0, -0.5)
    assert (result.spread, result.segments) == (None, ())
