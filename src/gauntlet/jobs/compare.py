"""The test: champion and challenger score the same fresh rows."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from gauntlet.domain import rows, training
from gauntlet.domain.comparison import Comparison, compare, compare_arms, compare_split
from gauntlet.domain.promotion import PromotionPolicy, PromotionRule, decide
from gauntlet.domain.spec import Spec
from gauntlet.jobs.anchor import anchor
from gauntlet.jobs.flow import Step
from gauntlet.jobs.frames import row_ids, to_parquet
from gauntlet.jobs.measure import measure
from gauntlet.jobs.ports import ArmSample, Version
from gauntlet.jobs.production import require_version
from gauntlet.jobs.run import Ports, Results, Run, StepResult
from gauntlet.jobs.scoring import scorer
from gauntlet.jobs.snapshot import require_same_spec, require_usable

Floats = npt.NDArray[np.float64]
ARMS = ("a", "b")


@dataclass(frozen=True)
class ScoredRows:
    """The test rows with all predictions, NaN where a model failed; `arm` holds "a" or "b" for each row of `frame`.

    `seconds` are the champion's and the challenger's times of the same batches; `best` is the anchor's prediction.
    """

    frame: pd.DataFrame
    arm: npt.NDArray[np.str_]
    champion: Floats
    challenger: Floats
    best: Floats | None
    seconds: tuple[Floats, Floats]
    left_out: dict[str, int]


def ab_test(run: Run, ports: Ports, results: Results) -> StepResult:
    """Score the A/B rows with both models and decide by the policy; production is not touched here.

    The policy and its hash are fixed before any row is asked for.
    """
    name, policy = run.spec.name, run.promotion_policy
    fixed = {"policy": policy.to_dict(), "policy_sha256": policy.sha256()}
    require_same_spec(run, results)
    champion = require_version(ports, name, results[Step.CHECK_PRODUCTION_VERSION]["version"])
    challenger = require_version(ports, name, results[Step.TRAIN_NEW_MODEL]["version"])
    best = anchor(ports, name) if policy.rule is PromotionRule.NON_INFERIORITY else None
    versions = [champion, challenger, *([best] if best else [])]
    sample = ports.traffic.test_rows(name, results[Step.TAKE_SNAPSHOT]["drift_cols"])
    scored = _score(run, ports, sample, versions)
    trained_on = np.concatenate([row_ids(ports.store.get(version.snapshot)) for version in versions])
    comparison = _compare(run.spec, policy, scored, trained_on, json.loads(sample.traffic))
    decision = decide(comparison, policy)
    tested = ports.store.put(f"tests/{name}", "parquet", to_parquet(test_rows(run.spec, scored)))
    return StepResult(
        data={
            "decision": decision.to_dict(),
            **fixed,
            "anchor": best.version if best else None,
            "comparison": comparison.to_dict(),
            "metrics": _arm_metrics(run.spec, scored),
            "traffic": sample.traffic,
            "rows_uri": tested.uri,
            "rows_sha256": tested.sha256,
            "left_out": scored.left_out,
        }
    )


def test_rows(spec: Spec, scored: ScoredRows) -> pd.DataFrame:
    """The scored rows as a table: arm, truth, both predictions and their losses, then the columns of the spec."""
    truth = scored.frame[spec.target]
    columns: dict[str, Any] = {
        "arm": scored.arm,
        "truth": truth,
        "champion": _point(spec, scored.champion),
        "challenger": _point(spec, scored.challenger),
        "champion_loss": training.losses(truth, scored.champion, spec),
        "challenger_loss": training.losses(truth, scored.challenger, spec),
    }
    features = scored.frame[list(spec.features)]
    return pd.concat([pd.DataFrame(columns, index=scored.frame.index), features], axis=1)


def _score(run: Run, ports: Ports, sample: ArmSample, versions: list[Version]) -> ScoredRows:
    served = pd.concat([sample.a, sample.b])
    arm = np.repeat(ARMS, [len(sample.a), len(sample.b)])
    typed = rows.typed(served.reset_index(drop=True), run.spec)  # an id that is served twice must not break this
    checked = rows.check(typed.frame, run.spec)
    left_out = {**typed.misfits, **checked.broken}
    require_usable(len(checked.kept), len(served), left_out, "A/B")
    kept = checked.kept.index.to_numpy()
    frame = checked.kept.set_index(served.index[kept])
    scorers = [scorer(ports, version, run.spec) for version in versions]
    measured = measure(scorers, frame, len(run.spec.classes), run.clock)
    return ScoredRows(
        frame=frame,
        arm=arm[kept].astype(np.str_),
        champion=measured[0].predicted,
        challenger=measured[1].predicted,
        best=measured[2].predicted if len(measured) > 2 else None,
        seconds=(measured[0].seconds, measured[1].seconds),
        left_out=left_out,
    )


def _compare(
    spec: Spec,
    policy: PromotionPolicy,
    scored: ScoredRows,
    trained_on: npt.NDArray[np.int64],
    traffic: Mapping[str, Any],
) -> Comparison:
    truth, in_b = scored.frame[spec.target].to_numpy(), scored.arm == "b"
    if policy.rule is PromotionRule.ORIGINAL:
        return compare_arms(
            spec=spec,
            truth_a=truth[~in_b],
            champion_a=scored.champion[~in_b],
            truth_b=truth[in_b],
            challenger_b=scored.challenger[in_b],
        )
    given: dict[str, Any] = {
        "spec": spec,
        "truth": truth,
        "champion": scored.champion,
        "challenger": scored.challenger,
        "row_ids": scored.frame.index.to_numpy(dtype=np.int64),
        "trained_row_ids": trained_on,
        "segments": {column: scored.frame[column].to_numpy() for column in spec.segments},
        "seconds": scored.seconds,
        "policy": policy,
    }
    if policy.rule is PromotionRule.SPLIT:
        return compare_split(**given, in_b=in_b, share_b=float(traffic["b"]))
    return compare(**given, anchor=scored.best)


def _arm_metrics(spec: Spec, scored: ScoredRows) -> dict[str, float]:
    """The field's usual figures: the champion on arm a, the challenger on arm b; an empty arm has none."""
    figures: dict[str, float] = {}
    for arm, predicted in zip(ARMS, (scored.champion, scored.challenger), strict=True):
        finite = np.isfinite(predicted)
        members = (scored.arm == arm) & (finite if finite.ndim == 1 else finite.all(axis=1))
        if members.any():
            values = training.metrics(scored.frame[spec.target][members], predicted[members], spec)
            figures |= {f"{arm}_{name}": value for name, value in values.items()}
    return figures


def _point(spec: Spec, predicted: Floats) -> npt.NDArray[Any]:
    """A prediction as one value a row: the number, or the likeliest class."""
    if not spec.classes:
        return predicted
    likeliest: npt.NDArray[Any] = np.asarray(spec.classes, dtype=object)[predicted.argmax(axis=1)]
    likeliest[~np.isfinite(predicted).all(axis=1)] = None
    return likeliest
