"""Unsubscribes and what counts them; contact lists, contacts, and what these say of topics."""

import sqlalchemy as sa
from alembic import op

from clicktrail.store.database.bytewise import bytewise

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "unsubscribes",
        sa.Column("event_id", bytewise(sa.String, 32), primary_key=True),
        sa.Column("message_id", bytewise(sa.String, 32), nullable=False),
        sa.Column("unsubscribed_at", sa.BigInteger, nullable=False),
        sa.Column("contact_list", bytewise(sa.String, 64), nullable=False),
        sa.Column("topic", bytewise(sa.String, 64), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("unsubscribes_message", "unsubscribes", ["message_id", "event_id"])
    op.create_table(
        "unsubscribe_counters",
        sa.Column("day", bytewise(sa.String, 10), primary_key=True),
        sa.Column("configuration_set", bytewise(sa.String, 64), primary_key=True),
        sa.Column("identity", bytewise(sa.String, 320), primary_key=True),
        sa.Column("provider", bytewise(sa.String, 32), primary_key=True),
        sa.Column("shard", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("unsubscribes", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "contact_lists",
        sa.Column("name", bytewise(sa.String, 64), primary_key=True),
        sa.Column("description", bytewise(sa.Text), nullable=False),
        sa.Column("topics", bytewise(sa.Text), nullable=False),
        sa.Column("tags", bytewise(sa.Text), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "contacts",
        sa.Column("contact_list", bytewise(sa.String, 64), primary_key=True),
        sa.Column("digest", sa.LargeBinary, primary_key=True),
        sa.Column("address", bytewise(sa.Text), nullable=False),
        sa.Column("unsubscribed", sa.Boolean, nullable=False),
        sa.Column("attributes", bytewise(sa.Text), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
    )
    op.create_index("contacts_address", "contacts", ["contact_list", "address"])
    op.create_table(
        "contact_topics",
        sa.Column("contact_list", bytewise(sa.String, 64), primary_key=True),
        sa.Column("digest", sa.LargeBinary, primary_key=True),
        sa.Column("topic", bytewise(sa.String, 64), primary_key=True),
        sa.Column("status", bytewise(sa.String, 8), nullable=False),
    )
