"""Training: from a snapshot to a registered version."""

from gauntlet.domain import rows, training
from gauntlet.domain.aliases import Alias
from gauntlet.domain.drift import DriftProfile
from gauntlet.jobs.flow import Step
from gauntlet.jobs.ports import Candidate, Version
from gauntlet.jobs.run import Ports, Results, Run, StepResult
from gauntlet.jobs.snapshot import load_snapshot, require_same_spec, require_usable_snapshot, stored_snapshot


def train(run: Run, ports: Ports, results: Results) -> StepResult:
    """Train on the run's snapshot and register the model; a run that has a version already returns that one."""
    require_same_spec(run, results)
    version = _made_before(run, ports)
    if version is None:
        candidate = _train(run, ports, results)
        # a second try may have been training beside this one: only one of them publishes
        with ports.ledger.lock(run.spec.name, f"publish {run.key}"):
            version = _made_before(run, ports) or ports.ledger.add_version(
                ports.registry.publish(candidate, log_details=run.log_details)
            )
    return StepResult(data={"version": version.version, "recipe": version.recipe, "run_id": version.run_id})


def set_staging_model(run: Run, ports: Ports, results: Results) -> StepResult:
    """Point the alias `staging` at the challenger."""
    version = results[Step.TRAIN_NEW_MODEL]["version"]
    ports.registry.set_alias(run.names.model, Alias.STAGING, version)
    return StepResult(data={"version": version})


def _made_before(run: Run, ports: Ports) -> Version | None:
    """The run's version, if an earlier try got that far; one killed on the way left it in the registry alone.

    Anyone may write the registry's tags: they are believed only where they speak of this run's own spec.
    """
    recorded = ports.ledger.version_of_run(run.spec.name, run.key)
    if recorded is not None:
        return recorded
    found = ports.registry.find(run.names.model, run.key)
    if found is None or found.spec_json != run.spec.to_json():
        return None
    return ports.ledger.add_version(found)


def _train(run: Run, ports: Ports, results: Results) -> Candidate:
    snapshot = stored_snapshot(results)
    data, frame = load_snapshot(ports.store, snapshot)
    checked = rows.check(frame, run.spec)
    require_usable_snapshot(len(checked.kept), results, "training")
    trained = training.train(checked.kept, run.spec, jobs=run.threads)
    served = results[Step.TAKE_SNAPSHOT]["served"]
    profile = DriftProfile.fit(frame, run.spec, served=served, threads=run.threads).to_bytes()
    return Candidate(
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
