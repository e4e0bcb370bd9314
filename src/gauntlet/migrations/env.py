"""Alembic's door: runs the steps on the connection, in the transaction, that `adapters.databases` hands over."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
