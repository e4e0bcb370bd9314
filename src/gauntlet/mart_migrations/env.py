"""Alembic's door: runs the steps on the connection, in the transaction, that `adapters.marts` hands over."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], version_table_schema="mart")
context.run_migrations()
