"""The suppression list, and options of the account."""

import sqlalchemy as sa
from alembic import op

from clicktrail.store.database.bytewise import bytewise

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "suppressed_destinations",
        sa.Column("digest", sa.LargeBinary, primary_key=True),
        sa.Column("address", bytewise(sa.String, 320), nullable=False, index=True),
        sa.Column("reason", bytewise(sa.String, 16), nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "account_options",
        sa.Column("name", bytewise(sa.String, 64), primary_key=True),
        sa.Column("options", bytewise(sa.Text), nullable=False),
    )
