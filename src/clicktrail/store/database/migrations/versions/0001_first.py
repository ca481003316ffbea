"""The first schema. What the tables are for is told in `clicktrail.store.schema`."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _key(name: str, kind: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, primary_key=True, nullable=False, autoincrement=False)


def _column(name: str, kind: Any, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=nullable)


def upgrade() -> None:
    """Make all tables."""
    _configuration()
    _messages()
    _clicks()
    _counters()
    _notifications()


def _configuration() -> None:
    version = op.create_table(
        "configuration_version",
        sa.Column("id", sa.Integer, primary_key=True),
        _column("version", sa.BigInteger),
    )
    op.bulk_insert(version, [{"id": 1, "version": 1}])
    op.create_table(
        "configuration_sets",
        _key("name", sa.String(64)),
        _column("engagement", sa.Boolean),
        _column("redirect_domain", sa.Text, nullable=True),
        _column("https_policy", sa.String(16)),
        _column("created_at", sa.BigInteger),
    )
    op.create_table(
        "event_destinations",
        sa.Column(
            "configuration_set",
            sa.String(64),
            sa.ForeignKey("configuration_sets.name", ondelete="CASCADE"),
            primary_key=True,
            nullable=False,
        ),
        _key("name", sa.String(64)),
        _column("arn", sa.Text),
        _column("types", sa.Text),
        _column("enabled", sa.Boolean),
        _column("created_at", sa.BigInteger),
    )
    op.create_table(
        "identities",
        _key("name", sa.String(320)),
        sa.Column("id", sa.String(32), nullable=False, unique=True),
        sa.Column(
            "configuration_set",
            sa.String(64),
            sa.ForeignKey("configuration_sets.name", ondelete="SET NULL"),
        ),
        _column("created_at", sa.BigInteger),
    )
    op.create_table(
        "smtp_users",
        _key("name", sa.String(256)),
        _column("password", sa.LargeBinary),
        _column("created_at", sa.BigInteger),
    )


def _messages() -> None:
    op.create_table(
        "messages",
        _key("id", sa.String(32)),
        _column("accepted_at", sa.BigInteger),
        _column("state", sa.SmallInteger),
        _column("configuration_set", sa.String(64)),
        _column("identity_id", sa.String(32)),
        _column("identity", sa.String(320)),
        _column("provider", sa.String(32)),
        _column("reason", sa.String(32)),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "message_contents",
        _key("message_id", sa.String(32)),
        _column("recipients", sa.LargeBinary),
        _column("content", sa.LargeBinary),
    )
    op.create_table("announcements", _key("message_id", sa.String(32)), sqlite_with_rowid=False)


def _clicks() -> None:
    op.create_table(
        "clicks",
        _key("event_id", sa.String(32)),
        _column("message_id", sa.String(32)),
        _column("link", sa.Integer),
        _column("clicked_at", sa.BigInteger),
        _column("verdict", sa.String(8)),
        _column("reasons", sa.Text),
        _column("ip", sa.Text),
        _column("user_agent", sa.Text),
        _column("url", sa.Text),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "clicked_links",
        _key("message_id", sa.String(32)),
        _key("link", sa.Integer),
        sqlite_with_rowid=False,
    )


def _counters() -> None:
    def dimensions() -> list[sa.Column[Any]]:
        return [
            _key("day", sa.String(10)),
            _key("configuration_set", sa.String(64)),
            _key("identity", sa.String(320)),
            _key("provider", sa.String(32)),
        ]

    def counts(*names: str) -> list[sa.Column[Any]]:
        return [_column(name, sa.BigInteger) for name in names]

    clicks = ("clicks", "unique_clicks", "human_clicks")
    op.create_table("counters", *dimensions(), *counts("sent", *clicks), sqlite_with_rowid=False)
    op.create_table(
        "link_counters",
        *dimensions(),
        _key("digest", sa.LargeBinary),
        _column("url", sa.Text),
        *counts(*clicks),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "tag_counters",
        *dimensions(),
        _key("tag", sa.Text),
        _key("value", sa.Text),
        *counts(*clicks),
        sqlite_with_rowid=False,
    )


def _notifications() -> None:
    outbox = op.create_table(
        "outbox",
        sa.Column("id", _SERIAL, primary_key=True),
        _column("event_id", sa.String(64)),
        _column("configuration_set", sa.String(64)),
        _column("destination", sa.String(64)),
        _column("arn", sa.Text),
        _column("created_at", sa.BigInteger),
        _column("started_at", sa.BigInteger),
        _column("next_at", sa.BigInteger, nullable=True),
        _column("attempts", sa.Integer),
        _column("last_error", sa.Text),
        _column("died_at", sa.BigInteger, nullable=True),
        _column("payload", sa.LargeBinary),
        sqlite_autoincrement=True,
    )
    op.create_index("outbox_due", "outbox", ["configuration_set", "destination", "next_at"])
    died = outbox.c.died_at.is_not(None)
    op.create_index("outbox_dead", "outbox", ["id"], sqlite_where=died, postgresql_where=died)
    op.create_table(
        "deliveries",
        _key("configuration_set", sa.String(64)),
        _key("destination", sa.String(64)),
        _column("last_success_at", sa.BigInteger, nullable=True),
        _column("last_failure_at", sa.BigInteger, nullable=True),
        _column("last_error", sa.Text),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "stream_events",
        sa.Column("position", _SERIAL, primary_key=True),
        _column("stream", sa.String(128)),
        _column("event_id", sa.String(64)),
        _column("at", sa.BigInteger),
        _column("payload", sa.LargeBinary),
        sqlite_autoincrement=True,
    )
    op.create_index("stream_events_stream", "stream_events", ["stream", "position"])
