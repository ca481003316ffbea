"""What an email's newest clicks say of one another."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "evidence",
        sa.Column("message_id", _bytewise(sa.String, 32), primary_key=True),
        sa.Column("records", _bytewise(sa.Text), nullable=False),
        sa.Column("traps", _bytewise(sa.Text), nullable=False),
        sqlite_with_rowid=False,
    )


def _bytewise(kind: type[sa.String], size: int | None = None) -> Any:
    """Return a kind of text that compares byte by byte (revision 0007)."""
    return kind(size).with_variant(kind(size, collation="C"), "postgresql")
