"""What an email's newest clicks say of one another."""

import sqlalchemy as sa
from alembic import op

from clicktrail.store.database.bytewise import bytewise

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "evidence",
        sa.Column("message_id", bytewise(sa.String, 32), primary_key=True),
        sa.Column("records", bytewise(sa.Text), nullable=False),
        sa.Column("traps", bytewise(sa.Text), nullable=False),
        sqlite_with_rowid=False,
    )
