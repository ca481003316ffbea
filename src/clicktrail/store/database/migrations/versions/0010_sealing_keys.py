"""The keys that tracking links were sealed with."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "sealing_keys",
        sa.Column("key_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("fingerprint", _bytewise(16), primary_key=True),
    )


def _bytewise(size: int) -> Any:
    """Return a kind of text that compares byte by byte (revision 0007)."""
    return sa.String(size).with_variant(sa.String(size, collation="C"), "postgresql")
