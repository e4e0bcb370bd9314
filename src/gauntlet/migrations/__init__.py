"""The database, step by step (Alembic): schemas ledger, router and mart."""
