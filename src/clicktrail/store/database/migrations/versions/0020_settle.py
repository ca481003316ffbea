"""Configuration sets that hold notifications back until verdicts have settled."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    """Add the column."""
    added = sa.Column("settle", sa.Integer, nullable=False, server_default="0")
    op.add_column("configuration_sets", added)
