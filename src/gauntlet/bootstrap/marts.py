"""The marts, and their retention."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from gauntlet.bootstrap.catalogue import load_spec
from gauntlet.bootstrap.environment import load_settings, reach_loopback_directly
from gauntlet.bootstrap.wiring import champions, database_url, object_store
from gauntlet.jobs.mart_port import BatchKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gauntlet.adapters.marts import PostgresMart
    from gauntlet.jobs.mart_port import Batch
    from gauntlet.jobs.retention import Gone
    from gauntlet.settings import Settings


def mart(settings: Settings) -> PostgresMart:
    """Return the marts; raises SettingsError when no address is set, MartError for one that is none."""
    from gauntlet.adapters.marts import PostgresMart

    return PostgresMart(mart_url(settings))


def mart_url(settings: Settings) -> str:
    """Return the marts' address: their own, else the ledger's; raises SettingsError when neither is set."""
    own = settings.mart_database_url
    return database_url(settings) if own is None else own.get_secret_value()


def batches(spec: str | None, kind: str | None, limit: int) -> Sequence[Batch]:
    """Return the newest batches, of one spec and kind or of all; raises SettingsError for a spec that is none."""
    settings = load_settings()
    name = load_spec(settings, spec).name if spec else None
    return mart(settings).batches(name, BatchKind(kind) if kind else None, limit)


def prune_marts(days: int, spec: str | None, *, dry_run: bool) -> Sequence[Gone]:
    """Remove batches that are older than so many days, as `jobs.retention` says; with `dry_run` only say which."""
    from gauntlet.adapters.marts.shelf import PostgresShelf
    from gauntlet.jobs.retention import retire

    settings = load_settings()
    reach_loopback_directly()
    in_production = {name: each.version for name, each in champions(settings).items()}
    before = datetime.now(UTC) - timedelta(days=days)
    shelf = PostgresShelf(mart_url(settings))
    return retire(shelf, object_store(settings), in_production, before, spec, dry_run=dry_run)
