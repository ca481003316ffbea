"""The mailboxes of a domain that may send."""

import sqlalchemy as sa
from alembic import op

from clicktrail.store.database.bytewise import bytewise

revision = "0026"
down_revision = "0025"


def upgrade() -> None:
    """Add the column."""
    added = sa.Column("senders", bytewise(sa.Text), nullable=False, server_default="[]")
    op.add_column("identities", added)
