"""The policy: its file, its errors, its hash."""

import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gauntlet.domain.promotion import PolicyError, PromotionPolicy, PromotionRule
from gauntlet.domain.promotion_policy import SPEC_KEYS
from gauntlet.domain.spec import Thresholds


def test_a_policy_is_identified_by_its_content() -> None:
    """A number that changes by mistake changes this hash, which the ledger keeps with every verdict."""
    assert PromotionPolicy().to_dict() == {
        "rule": "paired",
        "metric": "mae",
        "alpha": 0.025,
        "challengers": 1,
        "mde": 0.05,
        "power": 0.8,
        "margin": 0.02,
        "min_rows": 1000,
        "sample_ratio": 0.001,
        "share_b": 0.5,
        "guardrail_alpha": 0.05,
        "segment_rows": 100,
        "segment_loss": 0.05,
        "tail": 0.95,
        "bias": 0.02,
        "failures": 0.005,
        "latency_ratio": 1.2,
        "latency_floor": 0.5,
        "replicates": 1000,
    }
    assert PromotionPolicy().sha256() == "550238b9ef2ecdaf3168fa977731ae6554826a8d8faf257d8632430b4e93b4b8"


@given(
    alpha=st.floats(0.001, 0.4),
    rule=st.sampled_from(list(PromotionRule)),
    min_rows=st.integers(2, 10**6),
    segment_loss=st.floats(0, 3),
)
def test_a_policy_survives_json(alpha: float, rule: PromotionRule, min_rows: int, segment_loss: float) -> None:
    policy = PromotionPolicy(rule=rule, alpha=alpha, min_rows=min_rows, segment_loss=segment_loss)
    read = PromotionPolicy.from_dict(json.loads(json.dumps(policy.to_dict())))
    assert read == policy
    assert read.sha256() == policy.sha256()


def test_a_whole_number_is_the_same_policy_as_its_fraction() -> None:
    assert PromotionPolicy.from_dict({"latency_floor": 1}).sha256() == PromotionPolicy(latency_floor=1.0).sha256()


def test_what_a_file_leaves_out_is_the_default() -> None:
    assert PromotionPolicy.from_dict({}) == PromotionPolicy()
    assert PromotionPolicy.from_dict({"rule": "split", "mde": 0.1}) == PromotionPolicy(PromotionRule.SPLIT, mde=0.1)


def test_every_error_is_told_at_once() -> None:
    wrong = {"metrik": "mae", "alpha": 0.5, "rule": "pared", "min_rows": 1.5, "mde": "x", "power": True, "bias": 0}
    with pytest.raises(PolicyError) as raised:
        PromotionPolicy.from_dict(wrong)
    assert str(raised.value) == (
        "policy: 7 errors\n"
        '  metrik: is not a key of a policy; found "metrik". Did you mean "metric"?\n'
        "  alpha: must be a number more than 0 and less than 0.5; found 0.5. Correct it.\n"
        "  rule: must be one of paired, non_inferiority, split, original; found 'pared'. Did you mean \"paired\"?\n"
        "  min_rows: must be a whole number from 2 to 1,000,000,000; found 1.5. Correct it.\n"
        "  mde: must be a number more than 0 and less than 1; found 'x'. Correct it.\n"
        "  power: must be a number more than 0 and less than 1; found True. Correct it.\n"
        "  bias: must be a number more than 0; found 0. Correct it."
    )
    assert str(pickle.loads(pickle.dumps(raised.value))) == str(raised.value)  # noqa: S301 - our own, from a process


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None, [0.1], {}])
def test_a_value_of_any_wrong_kind_is_refused(value: object) -> None:
    for key in PromotionPolicy().to_dict():
        with pytest.raises(PolicyError, match=rf"^policy: 1 error\n  {key}: must be"):
            PromotionPolicy.from_dict({key: value})


def test_a_spec_may_set_what_the_policy_knows() -> None:
    assert set(SPEC_KEYS) <= set(PromotionPolicy().to_dict())
    assert set(SPEC_KEYS) <= set(Thresholds.model_fields)
