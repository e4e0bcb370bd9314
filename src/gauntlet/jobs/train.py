"""Training: from a snapshot to a registered version."""

from gauntlet.domain import rows, training
from gauntlet.domain.aliases import Alias
from gauntlet.domain.drift import DriftProfile
from gauntlet.jobs.flow import Step
from gauntlet.jobs.ports import Candidate, Version
from gauntlet.jobs.run import Ports, Results, Run, StepResult
from gauntlet.jobs.snapshot import load_snapshot, require_usable_snapshot, stored_snapshot


def train(run: Run, ports: Ports, results: Results) -> StepResult:
    """Train on the run's snapshot and register the model; a run that has a version already returns that one."""
    with ports.ledger.lock(run.spec.name, f"train {run.key}"):
        version = ports.ledger.version_of_run(run.spec.name, run.key)
        if version is None:
            # a try killed between registry and ledger left its version in the registry alone
            found = ports.registry.find(run.names.model, run.key)
            version = ports.ledger.add_version(found or _train_and_publish(run, ports, results))
    return StepResult(data={"version": version.version, "recipe": version.recipe, "run_id": version.run_id})


def set_staging_model(run: Run, ports: Ports, results: Results) -> StepResult:
    """Point the alias `staging` at the challenger."""
    version = results[Step.TRAIN_NEW_MODEL]["version"]
    ports.registry.set_alias(run.names.model, Alias.STAGING, version)
    return StepResult(data={"version": version})


def _train_and_publish(run: Run, ports: Ports, results: Results) -> Version:
    snapshot = stored_snapshot(results)
    data, frame = load_snapshot(ports.store, snapshot)
    checked = rows.check(frame, run.spec)
    require_usable_snapshot(len(checked.kept), results, "training")
    trained = training.train(checked.kept, run.spec, jobs=run.threads)
    profile = DriftProfile.fit(frame, run.spec).to_bytes()
    candidate = Candidate(
        spec=run.spec,
        names=run.names,
        run_key=run.key,
        training=trained,
        snapshot=snapshot,
        snapshot_bytes=data,
        profile=ports.store.put(f"profiles/{run.spec.name}", "parquet", profile),
        profile_bytes=profile,
        rows=len(checked.kept),
        left_out=results[Step.TAKE_SNAPSHOT]["left_out"],
        traffic=results[Step.TAKE_SNAPSHOT]["traffic"],
    )
    return ports.registry.publish(candidate, log_details=run.log_details)
