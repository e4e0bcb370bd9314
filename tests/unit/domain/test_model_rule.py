"""The rule that says which version scores: what can be written, and what is said of everything else."""

import pickle

import numpy as np
import pytest

from gauntlet.domain.model_rule import HIGHER_IS_BETTER, ModelRule, RuleError, RuleKind
from gauntlet.domain.scores import metrics
from gauntlet.domain.spec_rules import Task


@pytest.mark.parametrize(
    ("text", "task", "rule"),
    [
        ("production", "regression", ModelRule(RuleKind.PRODUCTION)),
        ("best:rmse", "regression", ModelRule(RuleKind.BEST, metric="rmse")),
        ("best:auc", "classification", ModelRule(RuleKind.BEST, metric="auc")),
        ("best:auc", None, ModelRule(RuleKind.BEST, metric="auc")),
        ("version:12", "regression", ModelRule(RuleKind.VERSION, version=12)),
    ],
)
def test_a_rule_is_read(text: str, task: str | None, rule: ModelRule) -> None:
    assert ModelRule.parse(text, task) == rule


@pytest.mark.parametrize("text", ["", "best", "version", "latest", "Production", "production:1", "v3"])
def test_another_word_is_refused_with_the_three_rules(text: str) -> None:
    with pytest.raises(RuleError) as error:
        ModelRule.parse(text, "regression")
    assert str(error.value) == (
        f'must be "production", "best:METRIC" or "version:N"; found "{text}". For example "best:mae" or "version:3".'
    )
    assert str(pickle.loads(pickle.dumps(error.value))) == str(error.value)  # noqa: S301 - made in the line above


@pytest.mark.parametrize("number", ["", "0", "-1", "1.5", "x", " 1", "٣", "9999999999"])
def test_a_version_is_a_whole_number(number: str) -> None:
    with pytest.raises(RuleError, match="a version must be a whole number from 1"):
        ModelRule.parse(f"version:{number}", "regression")


def test_a_metric_belongs_to_its_task() -> None:
    with pytest.raises(RuleError) as error:
        ModelRule.parse("best:auc", "regression")
    assert str(error.value) == (
        'the metric of a regression must be one of mae, rmse, r2; found "auc". For example "best:mae".'
    )


class Regression:
    metric, classes = "mae", ()


class Classification:
    metric, classes = "log_loss", ("no", "yes")


def test_every_metric_that_is_computed_can_be_named_and_points_the_right_way() -> None:
    truth = np.array([1.0, 2.0, 3.0])
    exact, wrong = metrics(truth, truth, Regression()), metrics(truth, truth[::-1], Regression())
    assert set(exact) == set(HIGHER_IS_BETTER[Task.REGRESSION])
    for name in exact:
        assert (exact[name] > wrong[name]) == ModelRule.parse(f"best:{name}", "regression").higher_is_better
    sure = np.array([[0.9, 0.1], [0.1, 0.9]])
    right, bad = (metrics(["no", "yes"], each, Classification()) for each in (sure, sure[::-1]))
    assert set(right) == set(HIGHER_IS_BETTER[Task.CLASSIFICATION])
    for name in right:
        assert (right[name] > bad[name]) == ModelRule.parse(f"best:{name}", "classification").higher_is_better
