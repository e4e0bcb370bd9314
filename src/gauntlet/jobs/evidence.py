"""The evidence of a verdict, put together for people to read."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from gauntlet.domain.comparison import Comparison
from gauntlet.domain.drift import DriftReport
from gauntlet.domain.promotion import Decision, PromotionPolicy
from gauntlet.domain.report import ComparisonPart, Report
from gauntlet.jobs.ports import Entry, Version
from gauntlet.jobs.run import Ports, Run


def report(
    run: Run,
    ports: Ports,
    versions: tuple[Version, Version],
    test: Mapping[str, Any],
    settled: Entry | None = None,
) -> Report:
    """Return the report on champion and challenger: of the test, and of what the ledger has made of its verdict."""
    champion, challenger = versions
    decision = Decision.from_dict(test["decision"])
    if settled is not None and settled.verdict is not None:
        decision = replace(decision, verdict=settled.verdict, reason=settled.reason)
    drift = ports.ledger.drift_report(run.spec.name, run.key)
    return Report(
        title=f"{run.names.model}: v{challenger.version} against v{champion.version}",
        drift=DriftReport.from_record(drift) if drift else None,
        comparison=ComparisonPart(
            champion=champion.version,
            challenger=challenger.version,
            decision=decision,
            comparison=Comparison.from_dict(test["comparison"]),
            policy=PromotionPolicy.from_dict(test["policy"]),
            held=settled.held if settled else None,
        ),
        ids={
            "run": run.key,
            "champion's snapshot": champion.snapshot.sha256,
            "challenger's snapshot": challenger.snapshot.sha256,
            "policy": test["policy_sha256"],
        },
    )
