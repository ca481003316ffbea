"""Who is not to be tracked."""

import sqlalchemy as sa
from alembic import op

from clicktrail.store.database.bytewise import bytewise

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "do_not_track",
        sa.Column("digest", sa.LargeBinary, primary_key=True),
        sa.Column("name", bytewise(sa.String, 320), nullable=False, index=True),
        sa.Column("made_at", sa.BigInteger, nullable=False),
        sa.Column("made_by", bytewise(sa.Text), nullable=False),
        sa.Column("searched", sa.SmallInteger, nullable=False, index=True),
    )
    op.create_table(
        "untracked_messages",
        sa.Column("message_id", bytewise(sa.String, 32), primary_key=True),
        sa.Column("entry", sa.LargeBinary, primary_key=True),
        sqlite_with_rowid=False,
    )
    op.create_index("untracked_messages_entry", "untracked_messages", ["entry"])
