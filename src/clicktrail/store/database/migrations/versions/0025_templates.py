"""Templates of emails, kept under names."""

import sqlalchemy as sa
from alembic import op

from clicktrail.store.database.bytewise import bytewise

revision = "0025"
down_revision = "0024"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "email_templates",
        sa.Column("name", bytewise(sa.String, 64), primary_key=True),
        sa.Column("subject", bytewise(sa.Text), nullable=False),
        sa.Column("text", bytewise(sa.Text)),
        sa.Column("html", bytewise(sa.Text)),
        sa.Column("tags", bytewise(sa.Text), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
    )
