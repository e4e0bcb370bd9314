"""The test: champion and challenger score the same fresh rows."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from gauntlet.domain import rows, training
from gauntlet.domain.comparison import Comparison, compare, compare_arms
from gauntlet.domain.promotion import PromotionRule, decide
from gauntlet.domain.spec import Spec
from gauntlet.jobs.flow import Step
from gauntlet.jobs.frames import row_ids, to_parquet
from gauntlet.jobs.ports import ArmSample, Version
from gauntlet.jobs.production import require_version
from gauntlet.jobs.run import Ports, Refused, Results, Run, StepResult
from gauntlet.jobs.snapshot import require_same_spec, require_usable

Floats = npt.NDArray[np.float64]
ARMS = ("a", "b")


@dataclass(frozen=True)
class ScoredRows:
    """The test rows with both models' predictions; `arm` holds "a" or "b" for each row of `frame`."""

    frame: pd.DataFrame
    arm: npt.NDArray[np.str_]
    champion: Floats
    challenger: Floats
    left_out: dict[str, int]


def ab_test(run: Run, ports: Ports, results: Results) -> StepResult:
    """Score the A/B rows with both models and decide by the policy; production is not touched here."""
    name = run.spec.name
    require_same_spec(run, results)
    champion = require_version(ports, name, results[Step.CHECK_PRODUCTION_VERSION]["version"])
    challenger = require_version(ports, name, results[Step.TRAIN_NEW_MODEL]["version"])
    sample = ports.traffic.test_rows(name, results[Step.TAKE_SNAPSHOT]["drift_cols"])
    scored = _score(run.spec, ports, sample, champion, challenger)
    comparison = _compare(run, ports, scored, champion, challenger)
    decision = decide(comparison, run.promotion_policy)
    tested = ports.store.put(f"tests/{name}", "parquet", to_parquet(test_rows(run.spec, scored)))
    return StepResult(
        data={
            "decision": decision.to_dict(),
            "policy": run.promotion_policy.to_dict(),
            "policy_sha256": run.promotion_policy.sha256(),
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


def _score(spec: Spec, ports: Ports, sample: ArmSample, champion: Version, challenger: Version) -> ScoredRows:
    served = pd.concat([sample.a, sample.b])
    arm = pd.Series(np.repeat(ARMS, [len(sample.a), len(sample.b)]), index=served.index)
    typed = rows.typed(served, spec)
    checked = rows.check(typed.frame, spec)
    left_out = {**typed.misfits, **checked.broken}
    require_usable(len(checked.kept), len(served), left_out, "A/B")
    return ScoredRows(
        frame=checked.kept,
        arm=arm.loc[checked.kept.index].to_numpy(dtype=np.str_),
        champion=_predict(ports, champion, spec, checked.kept),
        challenger=_predict(ports, challenger, spec, checked.kept),
        left_out=left_out,
    )


def _predict(ports: Ports, version: Version, spec: Spec, frame: pd.DataFrame) -> Floats:
    """Score with the spec the version was trained by, which must still fit the rows that are served."""
    own = Spec.from_json(version.spec_json)
    _require_same_problem(version.version, own, spec)
    model = training.load_model(ports.registry.model_bytes(version), spec.trusted_types)
    return training.predict(model, frame, own)


def _require_same_problem(version: int, own: Spec, spec: Spec) -> None:
    if (own.target, own.task, own.classes) != (spec.target, spec.task, spec.classes):
        raise Refused(
            f"Champion and challenger must predict the same target; version {version} predicts {own.target} "
            f"({own.task}), the spec now says {spec.target} ({spec.task}). Give the new problem a spec of its own."
        )
    gone = [*set(own.numeric_features) - set(spec.numeric), *set(own.categorical_features) - set(spec.categorical)]
    if gone:
        raise Refused(
            f"A spec must serve what its champion reads; version {version} reads {', '.join(sorted(gone))}, which the "
            "spec no longer has, or has as another kind. Put it back, or drop the alias `production` to train a first "
            "model."
        )


def _compare(run: Run, ports: Ports, scored: ScoredRows, champion: Version, challenger: Version) -> Comparison:
    truth = scored.frame[run.spec.target].to_numpy()
    if run.promotion_policy.rule is PromotionRule.ORIGINAL:
        in_a, in_b = scored.arm == "a", scored.arm == "b"
        return compare_arms(
            spec=run.spec,
            truth_a=truth[in_a],
            champion_a=scored.champion[in_a],
            truth_b=truth[in_b],
            challenger_b=scored.challenger[in_b],
        )
    trained_on = [row_ids(ports.store.get(version.snapshot)) for version in (champion, challenger)]
    return compare(
        spec=run.spec,
        truth=truth,
        champion=scored.champion,
        challenger=scored.challenger,
        row_ids=scored.frame.index.to_numpy(dtype=np.int64),
        trained_row_ids=np.concatenate(trained_on),
        segments={column: scored.frame[column].to_numpy() for column in run.spec.segments},
    )


def _arm_metrics(spec: Spec, scored: ScoredRows) -> dict[str, float]:
    """The field's usual figures: the champion on arm a, the challenger on arm b; an empty arm has none."""
    figures: dict[str, float] = {}
    for arm, predicted in zip(ARMS, (scored.champion, scored.challenger), strict=True):
        members = scored.arm == arm
        if members.any():
            values = training.metrics(scored.frame[spec.target][members], predicted[members], spec)
            figures |= {f"{arm}_{name}": value for name, value in values.items()}
    return figures


def _point(spec: Spec, predicted: Floats) -> npt.NDArray[Any]:
    """A prediction as one value a row: the number, or the likeliest class."""
    return np.asarray(spec.classes)[predicted.argmax(axis=1)] if spec.classes else predicted
