"""The snapshot: rows of the training pool, kept as one immutable object."""

import logging
from collections.abc import Mapping

import pandas as pd

from gauntlet.domain import rows
from gauntlet.jobs.flow import Step
from gauntlet.jobs.frames import from_parquet, to_parquet
from gauntlet.jobs.ports import ObjectStore, Stored
from gauntlet.jobs.run import Ports, Refused, Results, Run, StepResult

log = logging.getLogger(__name__)
LEFT_OUT_LIMIT = 0.20


def take_snapshot(run: Run, ports: Ports, _: Results) -> StepResult:
    """Fetch rows from the router and store those whose types fit; rows that break the spec are counted."""
    columns = _drifting_columns(run)
    sample = ports.traffic.training_rows(run.spec.name, columns)
    typed = rows.typed(sample.frame, run.spec)
    stored = ports.store.put(f"snapshots/{run.spec.name}", "parquet", to_parquet(typed.frame))
    checked = rows.check(typed.frame, run.spec)
    left_out = {**typed.misfits, **checked.broken}
    for rule, count in left_out.items():
        log.info("left out: %d of %d rows, since %s", count, len(sample.frame), rule)
    return StepResult(
        data={
            "spec": run.spec.to_json(),
            "uri": stored.uri,
            "sha256": stored.sha256,
            "served": len(sample.frame),
            "rows": len(typed.frame),
            "misfits": dict(typed.misfits),
            "left_out": left_out,
            "drift_cols": columns,
            "traffic": sample.traffic,
        }
    )


def stored_snapshot(results: Results) -> Stored:
    """The snapshot that this run took."""
    data = results[Step.TAKE_SNAPSHOT]
    return Stored(data["uri"], data["sha256"])


def require_same_spec(run: Run, results: Results, since: Step = Step.TAKE_SNAPSHOT) -> None:
    """Refuse to go on with a spec that was edited while the run was under way, since that step."""
    if results[since]["spec"] != run.spec.to_json():
        raise Refused(
            f"A run must keep the spec it started with; {run.spec.name} was edited meanwhile. Start a new run."
        )


def load_snapshot(store: ObjectStore, stored: Stored) -> tuple[bytes, pd.DataFrame]:
    """Fetch a snapshot: its bytes, and its frame."""
    data = store.get(stored)
    return data, from_parquet(data)


def require_usable(kept: int, served: int, left_out: Mapping[str, int], what: str) -> None:
    """Refuse to go on when more than a fifth of the rows served break the spec: what is left is no fair sample."""
    share = 1 - kept / served if served else 0.0
    if share <= LEFT_OUT_LIMIT:
        return
    counts = "; ".join(f"{rule}: {count:,}" for rule, count in sorted(left_out.items(), key=lambda item: -item[1]))
    raise Refused(
        f"At most {LEFT_OUT_LIMIT:.0%} of the {what} rows may break the spec; {share:.1%} of {served:,} do ({counts}). "
        "Mend the data or the drift at the router, or widen the ranges in the spec."
    )


def require_usable_snapshot(kept: int, results: Results, what: str) -> None:
    """`require_usable` for the run's snapshot, of which `kept` rows break no rule."""
    data = results[Step.TAKE_SNAPSHOT]
    require_usable(kept, data["served"], data["left_out"], what)


def _drifting_columns(run: Run) -> list[str]:
    """The columns that drift in this run only; chosen at random, the same at every try of the run."""
    variables = list(run.spec.variables)
    if not 0 <= run.simulate_drift <= len(variables):
        raise Refused(
            f"simulate_drift must lie in 0..{len(variables)}, the number of columns of spec {run.spec.name}; "
            f"got {run.simulate_drift}. Start the run with a number in that range."
        )
    chosen = run.rng.choice(len(variables), size=run.simulate_drift, replace=False)
    return [variables[position] for position in sorted(chosen)]
