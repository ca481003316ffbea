"""What clicks from one network say of one another, and what is found out of earlier ones."""

import sqlalchemy as sa
from alembic import op

from clicktrail.store.database.bytewise import bytewise

revision = "0030"
down_revision = "0029"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "crowds",
        sa.Column("place", bytewise(sa.String, 64), primary_key=True),
        sa.Column("records", bytewise(sa.Text), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "crowd_findings",
        sa.Column("event_id", bytewise(sa.String, 32), primary_key=True),
        sa.Column("message_id", bytewise(sa.String, 32), nullable=False),
        sa.Column("is_gateway", sa.SmallInteger, nullable=False),
        sqlite_with_rowid=False,
    )
