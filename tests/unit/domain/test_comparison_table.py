"""A table of any project as a comparison."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from gauntlet.domain.comparison import Comparison
from gauntlet.domain.comparison_table import ColumnsError, compare_table
from gauntlet.domain.promotion import PromotionPolicy, decide
from gauntlet.domain.verdict import Verdict

MAE = PromotionPolicy()
LOG_LOSS = PromotionPolicy(metric="log_loss")


def prices(rows: int = 2000, better: float = 0.1) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    truth = rng.normal(100, 20, rows)
    shared = rng.normal(0, 5, rows)
    return pd.DataFrame(
        {
            "row_id": [f"r{number}" for number in range(rows)],
            "truth": truth,
            "champion": truth + shared + rng.normal(0, 2, rows),
            "challenger": truth + (1 - better) * (shared + rng.normal(0, 2, rows)),
            "town": rng.choice(["Ulm", "Bern"], rows),
            "floor": rng.integers(1, 4, rows),
            "note": [f"note {number}" for number in range(rows)],
        }
    )


def loans(rows: int = 2000) -> pd.DataFrame:
    rng = np.random.default_rng(2)
    chance = rng.uniform(0.05, 0.95, rows)
    noisy = np.clip(chance + rng.normal(0, 0.2, rows), 0.02, 0.98)
    return pd.DataFrame(
        {"truth": (rng.uniform(size=rows) < chance).astype(int), "champion": noisy, "challenger": chance}
    )


def test_the_columns_of_a_regression() -> None:
    found = compare_table(prices(), MAE)
    assert decide(found.comparison, MAE).verdict is Verdict.PROMOTE
    assert found.segments == ("town",)
    assert found.unused == ("floor", "note")
    assert found.comparison.rows == 2000
    assert found.comparison.latency is None


def test_the_type_of_a_text_column_does_not_matter() -> None:
    frame = prices()
    plain = compare_table(frame, MAE)
    for dtype in ("object", "category", "string"):
        assert compare_table(frame.astype({"town": dtype}), MAE) == plain


def test_repeated_row_ids_are_invalid() -> None:
    frame = pd.concat([prices(1000)] * 5)
    decision = decide(compare_table(frame, MAE).comparison, MAE)
    assert decision.verdict is Verdict.INVALID
    assert decision.reason == "every row must count once; 4,000 rows repeat the id of another"


def test_missing_values_are_judged_by_the_rule() -> None:
    frame = prices()
    frame.loc[:20, "challenger"] = np.nan
    assert compare_table(frame, MAE).comparison.missing_challenger == 21
    frame.loc[0, "truth"] = np.nan
    assert decide(compare_table(frame, MAE).comparison, MAE).verdict is Verdict.INVALID


def test_times_make_the_latency_guardrail() -> None:
    frame = prices()
    frame["champion_seconds"], frame["challenger_seconds"] = np.nan, np.nan
    frame.loc[:39, "champion_seconds"], frame.loc[:39, "challenger_seconds"] = 0.2, 0.8
    decision = decide(compare_table(frame, MAE).comparison, MAE)
    assert decision.verdict is Verdict.KEEP
    assert "latency: p95 of 40 batches 0.8 s against 0.2 s: 4.00 times" in decision.reason


def test_two_classes_by_the_probability_of_the_second() -> None:
    frame = loans()
    found = compare_table(frame, LOG_LOSS).comparison
    assert found.champion_loss == pytest.approx(log_loss(frame["truth"], frame["champion"]))
    figures = {each.name: each for each in found.figures}
    assert figures["auc"].challenger.value == pytest.approx(roc_auc_score(frame["truth"], frame["challenger"]))
    right = (frame["challenger"] > 0.5) == (frame["truth"] == 1)
    assert figures["accuracy"].challenger.value == pytest.approx(right.mean())
    assert figures["accuracy"].p_value is not None
    assert decide(found, LOG_LOSS).verdict is Verdict.PROMOTE
    assert Comparison.from_dict(json.loads(json.dumps(found.to_dict(), allow_nan=False))) == found


def test_many_classes_by_a_column_each() -> None:
    frame = loans()
    wide = pd.DataFrame({"truth": frame["truth"].map({0: "no", 1: "yes"})})
    for model in ("champion", "challenger"):
        wide[f"{model}.no"], wide[f"{model}.yes"] = 1 - frame[model], frame[model]
    narrow = compare_table(frame, LOG_LOSS).comparison
    assert compare_table(wide, LOG_LOSS).comparison == narrow
    for model in ("champion", "challenger"):
        wide[f"{model}.maybe"] = 0.0
    three = compare_table(wide, LOG_LOSS).comparison
    assert three.champion_loss == pytest.approx(narrow.champion_loss)
    assert three.figures[1].champion.value == pytest.approx(narrow.figures[1].champion.value)


def test_arms_and_anchor_are_read_by_the_rules_that_need_them() -> None:
    frame = prices(4000, better=0.3)
    frame["arm"] = np.where(np.arange(4000) % 2, "b", "a")
    frame["anchor"] = frame["challenger"]
    assert compare_table(frame, MAE).unused == ("floor", "note", "arm", "anchor")
    split = PromotionPolicy.from_dict({"rule": "split"})
    assert decide(compare_table(frame, split).comparison, split).verdict is Verdict.PROMOTE
    uneven = PromotionPolicy.from_dict({"rule": "split", "share_b": 0.6})
    assert decide(compare_table(frame, uneven).comparison, uneven).verdict is Verdict.INVALID
    original = PromotionPolicy.from_dict({"rule": "original"})
    assert decide(compare_table(frame, original).comparison, original).interval is None
    anchored = PromotionPolicy.from_dict({"rule": "non_inferiority"})
    assert decide(compare_table(frame, anchored).comparison, anchored).effect == 0.0
    alone = compare_table(frame.drop(columns="anchor"), anchored).comparison
    assert decide(alone, anchored).effect == pytest.approx(-0.3, abs=0.05)


def changed(frame: pd.DataFrame, **columns: Any) -> pd.DataFrame:
    return frame.assign(**columns)


@pytest.mark.parametrize(
    ("frame", "policy", "text"),
    [
        (
            prices().rename(columns={"challenger": "chalenger"}),
            MAE,
            "the table must have the columns truth, champion, challenger; challenger is missing. "
            'Did you mean "chalenger"?',
        ),
        (
            prices().rename(columns={"champion": "champion.price"}),
            MAE,
            'champion is missing. Did you mean "champion.price"?',
        ),
        (prices().rename(columns={"challenger": "challenger.1"}), LOG_LOSS, "challenger is missing."),
        (
            changed(prices(), champion="12.0"),
            MAE,
            "champion must hold numbers; found '12.0' and the like in 2,000 rows. Correct them.",
        ),
        (changed(prices(), row_id=None), MAE, "every row must have its row_id; 2,000 have none."),
        (changed(prices(), champion_seconds=0.1), MAE, "challenger_seconds is missing"),
        (prices(), PromotionPolicy.from_dict({"rule": "split"}), "there is no column arm"),
        (
            changed(prices(), arm="c"),
            PromotionPolicy.from_dict({"rule": "split"}),
            "arm must be \"a\" (the champion's) or \"b\" (the challenger's); found 'c'.",
        ),
        (changed(loans(), truth=2), LOG_LOSS, "the truth must be 0 or 1"),
        (changed(loans(), champion=1.2), LOG_LOSS, "champion must hold probabilities from 0 to 1; found 1.2."),
        (
            pd.DataFrame({"truth": ["x"], "champion.x": [1.0], "challenger.x": [1.0]}),
            LOG_LOSS,
            "there must be at least two classes; found champion.x alone.",
        ),
        (
            pd.DataFrame({"truth": ["z"], **{f"{m}.{c}": [0.5] for m in ("champion", "challenger") for c in "xy"}}),
            LOG_LOSS,
            'every truth must be one of the classes; found "z".',
        ),
        (
            pd.DataFrame({"truth": ["x"], **{f"{m}.{c}": [0.7] for m in ("champion", "challenger") for c in "xy"}}),
            LOG_LOSS,
            "a row's probabilities must add up to 1; found others in 1 rows of champion, first row 0.",
        ),
        (
            pd.DataFrame({"truth": ["x"], "champion.x": [0.5], "champion.y": [0.5], "challenger.x": [1.0]}),
            LOG_LOSS,
            "challenger.y is missing",
        ),
    ],
)
def test_columns_that_make_no_comparison(frame: pd.DataFrame, policy: PromotionPolicy, text: str) -> None:
    with pytest.raises(ColumnsError) as raised:
        compare_table(frame, policy)
    assert text in str(raised.value)
