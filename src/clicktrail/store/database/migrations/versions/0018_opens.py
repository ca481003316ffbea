"""Opens of emails, what counts them, and sets whose engagement statistics count them."""

import sqlalchemy as sa
from alembic import op

from clicktrail.store.database.bytewise import bytewise

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    """Make the column and the tables."""
    added = sa.Column("engagement_opens", sa.Boolean, nullable=False, server_default=sa.false())
    op.add_column("configuration_sets", added)
    op.create_table(
        "opens",
        sa.Column("event_id", bytewise(sa.String, 32), primary_key=True),
        sa.Column("message_id", bytewise(sa.String, 32), nullable=False),
        sa.Column("opened_at", sa.BigInteger, nullable=False),
        sa.Column("verdict", bytewise(sa.String, 8), nullable=False),
        sa.Column("reasons", bytewise(sa.Text), nullable=False),
        sa.Column("proxy", bytewise(sa.String, 16), nullable=False),
        sa.Column("ip", bytewise(sa.Text), nullable=False),
        sa.Column("user_agent", bytewise(sa.Text), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("opens_message", "opens", ["message_id", "event_id"])
    op.create_table(
        "open_counters",
        sa.Column("day", bytewise(sa.String, 10), primary_key=True),
        sa.Column("configuration_set", bytewise(sa.String, 64), primary_key=True),
        sa.Column("identity", bytewise(sa.String, 320), primary_key=True),
        sa.Column("provider", bytewise(sa.String, 32), primary_key=True),
        sa.Column("shard", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("opens", sa.BigInteger, nullable=False),
        sa.Column("human_opens", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
