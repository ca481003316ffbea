"""Nodes and the keys that they have."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "nodes",
        sa.Column("name", _bytewise(sa.String, 255), primary_key=True),
        sa.Column("roles", _bytewise(sa.Text), nullable=False),
        sa.Column("version", _bytewise(sa.String, 32), nullable=False),
        sa.Column("keys", _bytewise(sa.Text), nullable=False),
        sa.Column("seals", sa.Integer, nullable=False),
        sa.Column("seen_at", sa.BigInteger, nullable=False),
    )


def _bytewise(kind: type[sa.String], size: int | None = None) -> Any:
    """Return a kind of text that compares byte by byte (revision 0007)."""
    return kind(size).with_variant(kind(size, collation="C"), "postgresql")
