"""What the console shows: search, mailings, clicks by link and by hour, delivered notifications."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Make the tables and columns, and fill them from what there is."""
    op.add_column("configuration_sets", _added("keep_html", sa.Boolean, sa.false()))
    op.create_table("message_html", _id(), _c("html", sa.LargeBinary))
    op.create_table(
        "message_terms",
        _c("term", sa.BigInteger, primary_key=True, autoincrement=False),
        _id(),
        sqlite_with_rowid=False,
    )
    op.create_table("unindexed", _id(), sqlite_with_rowid=False)
    op.create_table(
        "mailings",
        _c("digest", sa.LargeBinary, primary_key=True),
        _c("kind", sa.String(8)),
        _c("name", sa.Text),
        _c("configuration_set", sa.String(64)),
        _c("sent", sa.BigInteger),
        _c("first_at", sa.BigInteger),
        _c("last_at", sa.BigInteger),
        _c("message_id", sa.String(32)),
    )
    op.create_index("mailings_newest", "mailings", ["kind", "last_at"])
    for name in ("clicks", "human_clicks", "first_at", "last_at"):
        default = "1" if name == "clicks" else "0"
        op.add_column("clicked_links", _added(name, sa.BigInteger, default))
    op.add_column("clicked_links", _added("recent", sa.Text, ""))
    op.create_table(
        "mailing_links",
        _c("digest", sa.LargeBinary, primary_key=True),
        _c("link", sa.Integer, primary_key=True, autoincrement=False),
        _c("url", sa.Text),
        *_counts(),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "hour_counters",
        _c("day", sa.String(16), primary_key=True),
        _c("configuration_set", sa.String(64), primary_key=True),
        _c("identity", sa.String(320), primary_key=True),
        _c("provider", sa.String(32), primary_key=True),
        _c("sent", sa.BigInteger),
        *_counts(),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "delivered",
        _c("event_id", sa.String(64), primary_key=True),
        _c("configuration_set", sa.String(64)),
        _c("destination", sa.String(64)),
        _c("at", sa.BigInteger),
        _c("attempts", sa.Integer),
        sqlite_with_rowid=False,
    )
    op.create_index("outbox_event", "outbox", ["event_id"])
    op.create_index("stream_events_event", "stream_events", ["event_id"])
    op.execute("INSERT INTO unindexed (message_id) SELECT message_id FROM message_contents")
    # Where the clicks themselves are forgotten, a link stays at one click.
    op.execute(
        "INSERT INTO clicked_links (message_id, link, clicks, human_clicks, first_at, last_at)"
        " SELECT message_id, link, count(*), sum(CASE verdict WHEN 'human' THEN 1 ELSE 0 END),"
        " min(clicked_at), max(clicked_at) FROM clicks WHERE true GROUP BY message_id, link"
        " ON CONFLICT (message_id, link) DO UPDATE SET clicks = excluded.clicks,"
        " human_clicks = excluded.human_clicks, first_at = excluded.first_at,"
        " last_at = excluded.last_at"
    )


def _c(name: str, kind: Any, **options: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False, **options)


def _added(name: str, kind: Any, default: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False, server_default=default)


def _id() -> sa.Column[Any]:
    return _c("message_id", sa.String(32), primary_key=True)


def _counts() -> list[sa.Column[Any]]:
    return [_c(name, sa.BigInteger) for name in ("clicks", "unique_clicks", "human_clicks")]
