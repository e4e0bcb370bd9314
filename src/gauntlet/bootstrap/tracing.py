"""Checks of what the marts hold, put together from the settings: one row, one batch, or all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gauntlet.bootstrap.catalogue import load_specs
from gauntlet.bootstrap.environment import load_settings, reach_loopback_directly
from gauntlet.bootstrap.wiring import ledger, object_store

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gauntlet.jobs.audit_port import AuditPorts, Check
    from gauntlet.jobs.reproduce import Reproduced
    from gauntlet.jobs.trace import Traced
    from gauntlet.settings import Settings


def trace_row(batch: int, row_id: int | None, row_number: int | None, doing: Callable[[str], None]) -> Traced:
    """Return everything behind a row of a batch, which is named by its id or by its number in the file."""
    from gauntlet.jobs.trace import RowName, trace

    settings = load_settings()
    doing("fetching the file and the model")
    return trace(_ports(settings), batch, RowName(row_id, row_number), settings.scratch_dir)


def reproduce_batch(batch: int, doing: Callable[[str], None]) -> Reproduced:
    """Make a batch again and compare every row with the marts."""
    from gauntlet.jobs.reproduce import Again

    settings = load_settings()
    specs, _ = load_specs(settings)
    again = Again(
        ports=_ports(settings),
        scratch=settings.scratch_dir,
        threads=settings.training_threads,
        share=settings.ab_pool_share,
        trusted_types={name: spec.trusted_types for name, spec in specs.items()},
        doing=doing,
    )
    return again.reproduce(batch)


def verify_marts(spec: str | None, doing: Callable[[str], None]) -> Mapping[str, tuple[Check, ...]]:
    """Check the marts of one spec, or of every one that they know, against files, registry and ledger."""
    from gauntlet.jobs.verify import verify

    settings = load_settings()
    return verify(_ports(settings), spec, settings.scratch_dir, doing)


def _ports(settings: Settings) -> AuditPorts:
    from gauntlet.adapters.marts.audit import PostgresAudit
    from gauntlet.adapters.mlflow_registry import MlflowRegistry
    from gauntlet.bootstrap.marts import mart, mart_url
    from gauntlet.jobs.audit_port import AuditPorts

    settings.require("mlflow_tracking_uri", "object_store")
    reach_loopback_directly()
    store = object_store(settings)
    return AuditPorts(
        files=store,
        store=store,
        registry=MlflowRegistry(str(settings.mlflow_tracking_uri)),
        ledger=ledger(settings),
        mart=mart(settings),
        audit=PostgresAudit(mart_url(settings)),
    )
