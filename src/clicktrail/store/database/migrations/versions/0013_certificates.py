"""Certificates of tracking domains, accounts at their authorities, and challenges."""

import sqlalchemy as sa
from alembic import op

from clicktrail.store.database.bytewise import bytewise

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "certificates",
        sa.Column("name", bytewise(sa.String, 253), primary_key=True),
        sa.Column("chain", bytewise(sa.Text), nullable=False, server_default=""),
        sa.Column("key", sa.LargeBinary, nullable=False, server_default=""),
        sa.Column("directory", bytewise(sa.Text), nullable=False, server_default=""),
        *(_number(name) for name in ("issued_at", "expires_at", "renew_at", "due_at")),
        sa.Column("failures", sa.Integer, nullable=False, server_default="0"),
        sa.Column("problem", bytewise(sa.Text), nullable=False, server_default=""),
        sa.Column("holder", bytewise(sa.String, 64), nullable=False, server_default=""),
        _number("held_until"),
    )
    op.create_table(
        "acme_accounts",
        sa.Column("directory", bytewise(sa.Text), primary_key=True),
        sa.Column("key", sa.LargeBinary, nullable=False),
        sa.Column("url", bytewise(sa.Text), nullable=False, server_default=""),
        _number("paused_until"),
    )
    op.create_table(
        "acme_challenges",
        sa.Column("name", bytewise(sa.String, 253), primary_key=True),
        sa.Column("kind", bytewise(sa.String, 32), nullable=False),
        sa.Column("token", bytewise(sa.String, 255), nullable=False),
        sa.Column("key_authorization", bytewise(sa.Text), nullable=False),
        sa.Column("made_at", sa.BigInteger, nullable=False),
    )


def _number(name: str) -> "sa.Column[int]":
    return sa.Column(name, sa.BigInteger, nullable=False, server_default="0")
