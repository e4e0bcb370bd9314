"""The marts in Postgres."""

from gauntlet.adapters.marts.mart import PostgresMart

__all__ = ["PostgresMart"]
