"""Configuration sets that leave links alone whose text is their URL."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Add the column."""
    added = sa.Column("track_visible_urls", sa.Boolean, nullable=False, server_default=sa.true())
    op.add_column("configuration_sets", added)
