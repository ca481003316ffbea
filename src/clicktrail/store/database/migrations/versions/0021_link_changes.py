"""Changes of links after they were sent, and where clicks were led."""

import sqlalchemy as sa
from alembic import op

from clicktrail.store.database.bytewise import bytewise

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    """Make the tables, and add the column."""
    op.add_column("clicks", sa.Column("destination", bytewise(sa.Text), server_default=""))
    op.create_table(
        "link_changes",
        sa.Column("id", bytewise(sa.String, 32), primary_key=True),
        sa.Column("url", bytewise(sa.Text), nullable=False),
        sa.Column("destination", bytewise(sa.Text)),
        sa.Column("because", bytewise(sa.Text), nullable=False),
        sa.Column("configuration_set", bytewise(sa.String, 64), nullable=False),
        sa.Column("since", sa.BigInteger, nullable=False),
        sa.Column("made_at", sa.BigInteger, nullable=False),
        sa.Column("made_by", bytewise(sa.Text), nullable=False),
        sa.Column("undone_at", sa.BigInteger, nullable=False),
        sa.Column("undone_by", bytewise(sa.Text), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "orders_version",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("version", bytewise(sa.String, 32), nullable=False),
    )
