"""Opens of emails, what counts them, and sets whose engagement statistics count them."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    """Make the column and the tables."""
    added = sa.Column("engagement_opens", sa.Boolean, nullable=False, server_default=sa.false())
    op.add_column("configuration_sets", added)
    op.create_table(
        "opens",
        sa.Column("event_id", sa.String(32), primary_key=True),
        sa.Column("message_id", sa.String(32), nullable=False),
        sa.Column("opened_at", sa.BigInteger, nullable=False),
        sa.Column("verdict", sa.String(8), nullable=False),
        sa.Column("reasons", sa.Text, nullable=False),
        sa.Column("proxy", sa.String(16), nullable=False),
        sa.Column("ip", sa.Text, nullable=False),
        sa.Column("user_agent", sa.Text, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("opens_message", "opens", ["message_id", "event_id"])
    op.create_table(
        "open_counters",
        sa.Column("day", sa.String(10), primary_key=True),
        sa.Column("configuration_set", sa.String(64), primary_key=True),
        sa.Column("identity", sa.String(320), primary_key=True),
        sa.Column("provider", sa.String(32), primary_key=True),
        sa.Column("shard", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("opens", sa.BigInteger, nullable=False),
        sa.Column("human_opens", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
