"""The pipeline makes the marts' tables itself, from the specs."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Let the pipeline make tables in the schema mart, and nowhere else."""
    op.execute("grant create on schema mart to gauntlet_app")
