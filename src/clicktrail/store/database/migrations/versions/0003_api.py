"""What the API needs: access keys; sending, tags and options of sets; DKIM keys of identities."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the table and the columns."""
    op.create_table(
        "access_keys",
        sa.Column("id", sa.String(32), primary_key=True, nullable=False),
        sa.Column("secret", sa.LargeBinary, nullable=False),
        sa.Column("scopes", sa.Text, nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("disabled_at", sa.BigInteger),
    )
    _add("configuration_sets", "sending", sa.Boolean, sa.true())
    _add("configuration_sets", "tags", sa.Text, "[]")
    _add("configuration_sets", "options", sa.Text, "{}")
    _add("event_destinations", "role_arn", sa.Text, "")
    _add("identities", "tags", sa.Text, "[]")
    _add("identities", "dkim_selector", sa.String(63), "")
    _add("identities", "dkim_key", sa.LargeBinary, "")
    _add("identities", "dkim_origin", sa.String(16), "")


def _add(table: str, name: str, kind: Any, default: Any) -> None:
    op.add_column(table, sa.Column(name, kind, nullable=False, server_default=default))
