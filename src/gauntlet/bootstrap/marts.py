"""The marts, and their retention."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gauntlet.bootstrap.wiring import database_url

if TYPE_CHECKING:
    from gauntlet.adapters.marts import PostgresMart
    from gauntlet.settings import Settings


def mart(settings: Settings) -> PostgresMart:
    """Return the marts; raises SettingsError when no address is set, MartError for one that is none."""
    from gauntlet.adapters.marts import PostgresMart

    return PostgresMart(mart_url(settings))


def mart_url(settings: Settings) -> str:
    """Return the marts' address: their own, else the ledger's; raises SettingsError when neither is set."""
    own = settings.mart_database_url
    return database_url(settings) if own is None else own.get_secret_value()
