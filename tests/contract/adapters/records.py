"""Records that the contract tests hand to the ports."""

import hashlib
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from gauntlet.domain.promotion import Decision
from gauntlet.domain.spec import Spec
from gauntlet.domain.training import CandidateResult, Training
from gauntlet.domain.verdict import Verdict
from gauntlet.jobs.ports import Candidate, Case, Names, Stored, Version

SPEC_TEXT = """
title = "Price of a thing"
data = "things.csv"
target = "price"
task = "regression"
metric = "mae"
candidates = ["linear", "ridge"]
[numeric]
price = { min = 0, max = 100 }
size = { min = 0, max = 10 }
[categorical]
kind = ["good", "bad"]
"""


def stored(text: str) -> Stored:
    return Stored(f"file:///objects/{text}", hashlib.sha256(text.encode()).hexdigest())


def make_version(spec: str, number: int, run_key: str | None = None) -> Version:
    return Version(
        spec=spec,
        model=f"Model-{spec}",
        version=number,
        run_id=f"run{number}",
        run_key=run_key or f"train-{number}",
        spec_json=Spec.parse("things", SPEC_TEXT).to_json(),
        recipe="ridge",
        seed=20,
        snapshot=stored(f"snapshot {number}"),
        profile=stored(f"profile {number}"),
        model_sha256=stored(f"model {number}").sha256,
    )


def make_case(spec: str, run_key: str, champion: int | None, challenger: int, **changes: Any) -> Case:
    decision = Decision(
        verdict=Verdict.PROMOTE, reason="5 % better", effect=-0.05, interval=(-0.07, -0.03), rows=5000, rows_needed=4000
    )
    case = Case(
        spec=spec,
        model=f"Model-{spec}",
        run_key=run_key,
        champion=None if champion is None else make_version(spec, champion),
        challenger=make_version(spec, challenger),
        decision=decision,
        policy={"mde": 0.05},
        policy_sha256="a" * 64,
        evidence={"a_mae": 100.0, "segments": {"good": [1, 2]}},
        code_version="0.1.0",
        decided_by="gauntlet",
    )
    return replace(case, **changes)


def make_candidate(names: Names, run_key: str, rows: int = 500) -> Candidate:
    rng = np.random.default_rng(0)
    size = rng.uniform(0, 10, rows)
    frame = pd.DataFrame({"size": size, "kind": rng.choice(["good", "bad"], rows)})
    truth = size * 9 + rng.normal(0, 1, rows)
    columns = ColumnTransformer([("kind", OneHotEncoder(), ["kind"])], remainder="passthrough")
    model = make_pipeline(columns, LinearRegression()).fit(frame, truth)
    results = tuple(
        CandidateResult(
            name=name,
            params={"alpha": 1.0},
            metrics={"mae": 0.8, "rmse": 1.0, "r2": 0.99},
            fold_losses=(0.8, 0.8),
            importances={"size": 0.9, "kind": 0.1},
            truth=truth,
            predicted=np.asarray(model.predict(frame)),
            seconds=0.1,
        )
        for name in ("linear", "ridge")
    )
    return Candidate(
        spec=Spec.parse("things", SPEC_TEXT),
        names=names,
        run_key=run_key,
        training=Training(best="linear", model=model, candidates=results),
        snapshot=stored("snapshot"),
        snapshot_bytes=b"the snapshot",
        profile=stored("profile"),
        profile_bytes=b"the profile",
        rows=rows,
        left_out={"size must lie in 0..10": 3},
        traffic='{"a": 0.5}',
    )
