"""Promotion: the verdict goes into the ledger first, and from there into the registry's aliases."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from gauntlet.domain.aliases import Alias
from gauntlet.domain.promotion import Decision
from gauntlet.domain.report import Report, markdown
from gauntlet.domain.verdict import Verdict
from gauntlet.jobs.approval import settled_by
from gauntlet.jobs.evidence import report
from gauntlet.jobs.flow import Outcome, Step
from gauntlet.jobs.frames import from_parquet
from gauntlet.jobs.ports import Case, ComparisonLog, Entry, Production, Stored, Version
from gauntlet.jobs.production import reconcile, require_version
from gauntlet.jobs.run import Ports, Results, Run, StepResult

FIRST_MODEL = Decision.first_model()


def check_production_version(run: Run, ports: Ports, _: Results) -> StepResult:
    """Say which version is in production, after bringing ledger and aliases together."""
    production = reconcile(ports, run.spec.name, run.names)
    if ports.registry.alias(run.names.model, Alias.STAGING) is not None:  # an earlier run failed before its verdict
        ports.registry.set_alias(run.names.model, Alias.STAGING, None)
    return StepResult(data={"version": production.version if production else None})


def train_compare(_: Run, __: Ports, results: Results) -> StepResult:
    """Choose: without a champion train the first model, with one compare the data."""
    version = results[Step.CHECK_PRODUCTION_VERSION]["version"]
    return StepResult(Outcome.NO_PRODUCTION if version is None else Outcome.PRODUCTION)


def set_initial_model(run: Run, ports: Ports, results: Results) -> StepResult:
    """Put the first model in production, unless another run was quicker."""
    first = require_version(ports, run.spec.name, results[Step.TRAIN_INITIAL_MODEL]["version"])
    policy = run.promotion_policy.to_dict(), run.promotion_policy.sha256()
    entry = ports.ledger.settle(_case(run, None, first, FIRST_MODEL, policy, {}))
    _tell_held(ports, entry)
    _tell(ports, entry, reconcile(ports, run.spec.name, run.names))
    return StepResult()


def model_to_prod(run: Run, ports: Ports, results: Results) -> StepResult:
    """Settle the verdict in the ledger, drop `staging`, log the comparison; choose by what was settled."""
    name, model = run.spec.name, run.names.model
    champion = require_version(ports, name, results[Step.CHECK_PRODUCTION_VERSION]["version"])
    challenger = require_version(ports, name, results[Step.TRAIN_NEW_MODEL]["version"])
    test = results[Step.AB_TEST]
    reconcile(ports, name, run.names)  # an alias moved by hand since the test makes the verdict INVALID
    decision = Decision.from_dict(test["decision"])
    policy = test["policy"], test["policy_sha256"]  # as they were when the test was made
    held, decided_by = settled_by(run, ports, results)
    if decision.verdict is Verdict.PROMOTE and ports.registry.describe(model, challenger.version) is None:
        held = held or f"v{challenger.version} was deleted in MLflow"  # no alias could name it
    case = _case(run, champion, challenger, decision, policy, test)
    entry = ports.ledger.settle(replace(case, held=held, decided_by=decided_by))
    if ports.registry.alias(model, Alias.STAGING) == challenger.version:
        ports.registry.set_alias(model, Alias.STAGING, None)
    if (entry.champion, entry.challenger) == (champion.version, challenger.version):
        _show(run, ports, (champion, challenger), entry, test)  # else an old run was cleared, and settled long ago
    _tell_held(ports, entry)
    return StepResult(Outcome.PROMOTED if entry.promoted else Outcome.NOT_PROMOTED)


def set_new_prod_model(run: Run, ports: Ports, _: Results) -> StepResult:
    """Let the aliases show the production that the ledger already holds, and tell people."""
    production = reconcile(ports, run.spec.name, run.names)
    _tell(ports, ports.ledger.settled(run.spec.name, run.key), production)
    return StepResult()


def _tell(ports: Ports, entry: Entry | None, now: Production | None) -> None:
    """Tell of a promotion; not of one that is history, when the step of an old run is done again."""
    if entry is not None and entry.promoted and now is not None and now.version == entry.challenger:
        before = "" if entry.champion is None else f" v{entry.champion} is previous."
        ports.notifier.tell(f"{entry.spec}: v{entry.challenger} is in production", f"{entry.reason}.{before}")


def _tell_held(ports: Ports, entry: Entry) -> None:
    """Tell of a verdict that was held back, while it is the newest line: later it is history."""
    newest = next(iter(ports.ledger.history(entry.spec, 1)), None)
    if entry.verdict is Verdict.PROMOTE and entry.held is not None and newest is not None and newest.id == entry.id:
        stays = "production stays empty" if entry.champion is None else f"v{entry.champion} stays"
        title = f"{entry.spec}: v{entry.challenger} has earned production, and {stays}"
        ports.notifier.tell(title, f"Held: {entry.held}. {entry.reason}.")


def _case(
    run: Run,
    champion: Version | None,
    challenger: Version,
    decision: Decision,
    policy: tuple[Mapping[str, Any], str],
    evidence: Mapping[str, Any],
) -> Case:
    return Case(
        spec=run.spec.name,
        model=run.names.model,
        run_key=run.key,
        champion=champion,
        challenger=challenger,
        decision=decision,
        policy=policy[0],
        policy_sha256=policy[1],
        evidence=evidence,
        code_version=run.code_version,
        decided_by=run.decided_by,
    )


def _show(run: Run, ports: Ports, versions: tuple[Version, Version], entry: Entry, test: Mapping[str, Any]) -> None:
    """Show the verdict and its evidence in MLflow: as a comparison run, and beside the challenger."""
    shown = report(run, ports, versions, test, entry)
    if ports.registry.describe(versions[1].model, versions[1].version) is not None:  # else it was deleted meanwhile
        ports.registry.annotate(versions[1], markdown(shown))
    if run.log_details:
        ports.tracking.log_comparison(run.names, _comparison_log(run, ports, versions, entry, test, shown))


def _comparison_log(
    run: Run,
    ports: Ports,
    versions: tuple[Version, Version],
    entry: Entry,
    test: Mapping[str, Any],
    shown: Report,
) -> ComparisonLog:
    champion, challenger = versions
    tested = from_parquet(ports.store.get(Stored(test["rows_uri"], test["rows_sha256"])))
    metrics = dict(test["metrics"])
    if entry.effect is not None:
        metrics["effect"] = entry.effect
    if entry.interval is not None:
        metrics["effect_low"], metrics["effect_high"] = entry.interval
    return ComparisonLog(
        run_name=f"prod_v{champion.version}_vs_stg_v{challenger.version}",
        run_key=run.key,
        params={
            "traffic_info": test["traffic"],
            "prod_model_version": str(champion.version),
            "prod_model_id": champion.run_id,
            "stg_model_version": str(challenger.version),
            "stg_model_id": challenger.run_id,
            "new_prod_model": str(challenger.version if entry.promoted else champion.version),
            "verdict": str(entry.verdict),
            **({"held": entry.held} if entry.held else {}),
            "reason": entry.reason,
            "rows": str(entry.rows),
            "snapshot_sha256": challenger.snapshot.sha256,
            "policy_sha256": test["policy_sha256"],
        },
        metrics=metrics,
        a_data=_arm(tested, "a"),
        b_data=_arm(tested, "b"),
        report=shown,
    )


def _arm(tested: pd.DataFrame, arm: str) -> pd.DataFrame:
    return tested[tested["arm"] == arm].drop(columns="arm").reset_index()
