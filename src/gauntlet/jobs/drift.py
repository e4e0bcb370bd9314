"""The drift check: the champion's own profile against the run's snapshot."""

from collections.abc import Sequence
from typing import Any

from gauntlet.domain import rows
from gauntlet.domain.drift import ROWS, DriftProfile, DriftReport
from gauntlet.jobs.flow import Outcome, Step
from gauntlet.jobs.production import require_version
from gauntlet.jobs.run import Ports, Results, Run, StepResult
from gauntlet.jobs.snapshot import load_snapshot, require_same_spec, require_usable_snapshot, stored_snapshot


def compare_distributions(run: Run, ports: Ports, results: Results) -> StepResult:
    """Compare every row whose types fit with the champion's reference; the report is kept whatever comes next."""
    spec = run.spec
    require_same_spec(run, results)
    champion = results[Step.CHECK_PRODUCTION_VERSION]
    version = require_version(ports, spec.name, champion["version"])
    profile = DriftProfile.from_bytes(ports.store.get(version.profile))
    snapshot = stored_snapshot(results)
    _, frame = load_snapshot(ports.store, snapshot)
    taken = results[Step.TAKE_SNAPSHOT]
    report = profile.compare(
        frame, run.drift_policy, served=taken["served"], misfits=taken["misfits"], threads=run.threads
    )
    ports.ledger.add_drift_report(spec.name, run.key, version.version, snapshot, report.to_record())
    if run.log_details:
        ports.tracking.log_drift(run.names, run.key, version.version, report, taken["left_out"])
    require_usable_snapshot(len(rows.check(frame, spec).kept), results, "current")
    return StepResult(data=_digest(report))


def check_drift(run: Run, ports: Ports, results: Results) -> StepResult:
    """Choose: drift (people are told) or a forced retrain leads to a challenger, anything else ends the run."""
    drift = results[Step.COMPARE_DISTRIBUTIONS]
    if drift["drifted"]:
        text = "\n".join([*drift["reasons"], "A challenger is trained and tested."])
        ports.notifier.tell(f"{run.spec.name}: drift in {named(drift['columns'])}", text)
        return StepResult(Outcome.DRIFT)
    return StepResult(Outcome.FORCED if run.force_retrain else Outcome.NO_DRIFT)


def named(columns: Sequence[str]) -> str:
    """Return drifted columns as people read them."""
    return ", ".join("the rows left out" if column == ROWS else column for column in columns)


def _digest(report: DriftReport) -> dict[str, Any]:
    return {
        "drifted": report.drifted,
        "columns": list(report.drifted_columns),
        "reasons": [f"{named([found.column])}: {found.reason}" for found in report.findings if found.drifted],
        "judged": len({finding.column for finding in report.findings} - {ROWS}),
        "rows": report.rows_current,
    }
