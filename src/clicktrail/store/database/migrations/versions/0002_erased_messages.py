"""Marks of emails whose recipient was erased."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the table of marks."""
    op.create_table(
        "erased_messages",
        sa.Column("message_id", sa.String(32), primary_key=True, nullable=False),
        sqlite_with_rowid=False,
    )
