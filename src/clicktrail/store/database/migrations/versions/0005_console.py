"""Accounts of the console, their sessions and one-time links."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "console_accounts",
        sa.Column("name", sa.String(64), primary_key=True, nullable=False),
        sa.Column("password", sa.Text, nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
    )
    op.create_table("console_links", *_token(), _at("expires_at"))
    op.create_table(
        "console_sessions", *_token(), _at("created_at"), _at("seen_at"), _at("expires_at")
    )
    for table in ("console_links", "console_sessions"):
        op.create_index(f"ix_{table}_account", table, ["account"])


def _token() -> tuple[sa.Column[Any], sa.Column[Any]]:
    return (
        sa.Column("digest", sa.LargeBinary, primary_key=True, nullable=False),
        sa.Column(
            "account",
            sa.String(64),
            sa.ForeignKey("console_accounts.name", ondelete="CASCADE"),
            nullable=False,
        ),
    )


def _at(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger, nullable=False)
