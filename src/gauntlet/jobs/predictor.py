"""Who predicts: a version, and the verdict on the run that made it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gauntlet.jobs.mart_port import Predictor

if TYPE_CHECKING:
    from gauntlet.jobs.ledger_port import Ledger
    from gauntlet.jobs.ports import Version


def predictor(ledger: Ledger, version: Version) -> Predictor:
    """Return what the ledger knows of a version, with the verdict on the run that made it."""
    settled = ledger.settled(version.spec, version.run_key)
    return Predictor(
        spec=version.spec,
        version=version.version,
        model=version.model,
        run_id=version.run_id,
        recipe=version.recipe,
        model_sha256=version.model_sha256,
        snapshot_uri=version.snapshot.uri,
        snapshot_sha256=version.snapshot.sha256,
        decision_id=settled.id if settled else None,
        verdict=str(settled.verdict) if settled and settled.verdict else None,
        reason=settled.reason if settled else None,
        decided_at=settled.at if settled else None,
    )
