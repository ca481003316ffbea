"""Certificates of tracking domains, accounts at their authorities, and challenges."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "certificates",
        sa.Column("name", _bytewise(sa.String, 253), primary_key=True),
        sa.Column("chain", _bytewise(sa.Text), nullable=False, server_default=""),
        sa.Column("key", sa.LargeBinary, nullable=False, server_default=""),
        sa.Column("directory", _bytewise(sa.Text), nullable=False, server_default=""),
        *(_number(name) for name in ("issued_at", "expires_at", "renew_at", "due_at")),
        sa.Column("failures", sa.Integer, nullable=False, server_default="0"),
        sa.Column("problem", _bytewise(sa.Text), nullable=False, server_default=""),
        sa.Column("holder", _bytewise(sa.String, 64), nullable=False, server_default=""),
        _number("held_until"),
    )
    op.create_table(
        "acme_accounts",
        sa.Column("directory", _bytewise(sa.Text), primary_key=True),
        sa.Column("key", sa.LargeBinary, nullable=False),
        sa.Column("url", _bytewise(sa.Text), nullable=False, server_default=""),
        _number("paused_until"),
    )
    op.create_table(
        "acme_challenges",
        sa.Column("name", _bytewise(sa.String, 253), primary_key=True),
        sa.Column("kind", _bytewise(sa.String, 32), nullable=False),
        sa.Column("token", _bytewise(sa.String, 255), nullable=False),
        sa.Column("key_authorization", _bytewise(sa.Text), nullable=False),
        sa.Column("made_at", sa.BigInteger, nullable=False),
    )


def _number(name: str) -> "sa.Column[int]":
    return sa.Column(name, sa.BigInteger, nullable=False, server_default="0")


def _bytewise(kind: type[sa.String], size: int | None = None) -> Any:
    """Return a kind of text that compares byte by byte (revision 0007)."""
    return kind(size).with_variant(kind(size, collation="C"), "postgresql")
