"""DKIM keys may rest."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the column."""
    op.add_column(
        "identities",
        sa.Column("dkim_enabled", sa.Boolean, nullable=False, server_default=sa.true()),
    )
