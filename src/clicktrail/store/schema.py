"""The tables. Migrations (`clicktrail.store.migrations`) make them; a test compares the two.

Ids and event ids sort by the time they were made (`clicktrail.ids`), so as primary keys they grow
at the end: a click costs the same with ten million stored. Times are microseconds since 1970 UTC.
Where "none" must be part of a primary key it is ``""``.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    false,
    true,
)

metadata = MetaData()

# SQLite numbers rows by itself only where the column's type is exactly INTEGER.
Serial = BigInteger().with_variant(Integer(), "sqlite")


configuration_version = Table(
    "configuration_version",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("version", BigInteger, nullable=False),
)
"""One row; its version grows with each change of the five tables below it, and when a person is
erased."""

configuration_sets = Table(
    "configuration_sets",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("engagement", Boolean, nullable=False),
    Column("redirect_domain", Text),
    Column("https_policy", String(16), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("sending", Boolean, nullable=False, server_default=true()),
    Column("tags", Text, nullable=False, server_default="[]"),
    Column("options", Text, nullable=False, server_default="{}"),
    Column("keep_html", Boolean, nullable=False, server_default=false()),
)
"""``tags`` is JSON, ``[[key, value], …]``; ``options`` what API clients set and get back, though
nothing is done with it (``DeliveryOptions`` …), as JSON by their names."""

event_destinations = Table(
    "event_destinations",
    metadata,
    Column(
        "configuration_set",
        String(64),
        ForeignKey("configuration_sets.name", ondelete="CASCADE"),
        primary_key=True,
    ),
    Column("name", String(64), primary_key=True),
    Column("arn", Text, nullable=False),
    Column("types", Text, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("role_arn", Text, nullable=False, server_default=""),
)
"""``role_arn`` is the ``IamRoleArn`` of API clients, which they get back."""

identities = Table(
    "identities",
    metadata,
    Column("name", String(320), primary_key=True),
    Column("id", String(32), nullable=False, unique=True),
    Column(
        "configuration_set",
        String(64),
        ForeignKey("configuration_sets.name", ondelete="SET NULL"),
    ),
    Column("created_at", BigInteger, nullable=False),
    Column("tags", Text, nullable=False, server_default="[]"),
    Column("dkim_selector", String(63), nullable=False, server_default=""),
    Column("dkim_key", LargeBinary, nullable=False, server_default=""),
    Column("dkim_origin", String(16), nullable=False, server_default=""),
    Column("dkim_enabled", Boolean, nullable=False, server_default=true()),
)
"""``dkim_key`` is a sealed private key (`clicktrail.vault`), empty where emails are not signed;
``dkim_origin`` is ``AWS_SES`` for a key that was made here, ``EXTERNAL`` for a given one."""

smtp_users = Table(
    "smtp_users",
    metadata,
    Column("name", String(256), primary_key=True),
    Column("password", LargeBinary, nullable=False),
    Column("created_at", BigInteger, nullable=False),
)

access_keys = Table(
    "access_keys",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("secret", LargeBinary, nullable=False),
    Column("scopes", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("disabled_at", BigInteger),
)
"""Who may call the API. ``secret`` is sealed (`clicktrail.vault`); commas join the ``scopes``."""

console_accounts = Table(
    "console_accounts",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("password", Text, nullable=False),
    Column("role", String(16), nullable=False),
    Column("created_at", BigInteger, nullable=False),
)
"""Who may sign in to the console. ``password`` is a hash, empty until one was set."""


def _account() -> Column[str]:
    return Column(
        "account",
        String(64),
        ForeignKey("console_accounts.name", ondelete="CASCADE"),
        nullable=False,
        index=True,
    )


console_links = Table(
    "console_links",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    _account(),
    Column("expires_at", BigInteger, nullable=False),
)
"""Links to set a password, by the digest of their token."""

console_sessions = Table(
    "console_sessions",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    _account(),
    Column("created_at", BigInteger, nullable=False),
    Column("seen_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
)

nodes = Table(
    "nodes",
    metadata,
    Column("name", String(255), primary_key=True),
    Column("roles", Text, nullable=False),
    Column("version", String(32), nullable=False),
    Column("keys", Text, nullable=False),
    Column("seals", Integer, nullable=False),
    Column("seen_at", BigInteger, nullable=False),
)
"""Nodes that are there or were killed (`clicktrail.nodes`). ``keys`` is JSON."""

messages = Table(
    "messages",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("accepted_at", BigInteger, nullable=False),
    Column("state", SmallInteger, nullable=False),
    Column("configuration_set", String(64), nullable=False),
    Column("identity_id", String(32), nullable=False),
    Column("identity", String(320), nullable=False),
    Column("provider", String(32), nullable=False),
    Column("reason", String(32), nullable=False),
    sqlite_with_rowid=False,
)
"""What counting and choosing destinations need. Small, and kept when the contents are forgotten."""

message_contents = Table(
    "message_contents",
    metadata,
    Column("message_id", String(32), primary_key=True),
    Column("recipients", LargeBinary, nullable=False),
    Column("content", LargeBinary, nullable=False),
)
"""Headers, addresses, tags and links, as MessagePack (`clicktrail.store.messages`)."""

message_html = Table(
    "message_html",
    metadata,
    Column("message_id", String(32), primary_key=True),
    Column("html", LargeBinary, nullable=False),
)
"""What is shown of emails whose configuration set keeps it (`clicktrail.store.html`)."""

message_terms = Table(
    "message_terms",
    metadata,
    Column("term", BigInteger, primary_key=True, autoincrement=False),
    Column("message_id", String(32), primary_key=True),
    sqlite_with_rowid=False,
)
"""What emails are found by (`clicktrail.store.search`); a term is a digest."""

unindexed = Table(
    "unindexed",
    metadata,
    Column("message_id", String(32), primary_key=True),
    sqlite_with_rowid=False,
)
"""Emails that cannot be found yet: whoever has time indexes them."""

mailings = Table(
    "mailings",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("kind", String(8), nullable=False),
    Column("name", Text, nullable=False),
    Column("configuration_set", String(64), nullable=False),
    Column("sent", BigInteger, nullable=False),
    Column("first_at", BigInteger, nullable=False),
    Column("last_at", BigInteger, nullable=False),
    Column("message_id", String(32), nullable=False),
)
"""Tracked emails of one configuration set with the same subject, or with the same tag."""
Index("mailings_newest", mailings.c.kind, mailings.c.last_at)

announcements = Table(
    "announcements",
    metadata,
    Column("message_id", String(32), primary_key=True),
    sqlite_with_rowid=False,
)
"""Emails whose Send event is still to be made."""

erased_messages = Table(
    "erased_messages",
    metadata,
    Column("message_id", String(32), primary_key=True),
    sqlite_with_rowid=False,
)
"""Emails whose recipient was erased: nothing more of a person is kept of them."""

clicks = Table(
    "clicks",
    metadata,
    Column("event_id", String(32), primary_key=True),
    Column("message_id", String(32), nullable=False),
    Column("link", Integer, nullable=False),
    Column("clicked_at", BigInteger, nullable=False),
    Column("verdict", String(8), nullable=False),
    Column("reasons", Text, nullable=False),
    Column("ip", Text, nullable=False),
    Column("user_agent", Text, nullable=False),
    Column("url", Text, nullable=False),
    sqlite_with_rowid=False,
)

clicked_links = Table(
    "clicked_links",
    metadata,
    Column("message_id", String(32), primary_key=True),
    Column("link", Integer, primary_key=True, autoincrement=False),
    Column("clicks", BigInteger, nullable=False, server_default="1"),
    Column("human_clicks", BigInteger, nullable=False, server_default="0"),
    Column("first_at", BigInteger, nullable=False, server_default="0"),
    Column("last_at", BigInteger, nullable=False, server_default="0"),
    Column("recent", Text, nullable=False, server_default=""),
    sqlite_with_rowid=False,
)
"""Which links of which emails were clicked, and how often: the first makes a click unique.

``recent`` are the ids of the newest clicks, one behind the other, the newest first."""


def _shard() -> Column[int]:
    """Return the column that lets several writers add to the same counts (`store.turns`)."""
    return Column("shard", SmallInteger, primary_key=True, autoincrement=False)


mailing_links = Table(
    "mailing_links",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("link", Integer, primary_key=True, autoincrement=False),
    _shard(),
    Column("url", Text, nullable=False),
    Column("clicks", BigInteger, nullable=False),
    Column("unique_clicks", BigInteger, nullable=False),
    Column("human_clicks", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""Clicks by mailing and place in the email; ``url`` is that of the first click."""


def _dimensions(time: str = "day") -> list[Column[str]]:
    return [
        Column(time, String(16 if time == "hour" else 10), primary_key=True),
        Column("configuration_set", String(64), primary_key=True),
        Column("identity", String(320), primary_key=True),
        Column("provider", String(32), primary_key=True),
    ]


def _click_counts() -> list[Column[int]]:
    return [
        Column("clicks", BigInteger, nullable=False),
        Column("unique_clicks", BigInteger, nullable=False),
        Column("human_clicks", BigInteger, nullable=False),
    ]


counters = Table(
    "counters",
    metadata,
    *_dimensions(),
    _shard(),
    Column("sent", BigInteger, nullable=False),
    *_click_counts(),
    sqlite_with_rowid=False,
)

hour_counters = Table(
    "hour_counters",
    metadata,
    *_dimensions("hour"),
    _shard(),
    Column("sent", BigInteger, nullable=False),
    *_click_counts(),
    sqlite_with_rowid=False,
)
"""As ``counters``, by hour (``2026-11-23T18``). Kept for some weeks."""

link_counters = Table(
    "link_counters",
    metadata,
    *_dimensions(),
    Column("digest", LargeBinary, primary_key=True),
    _shard(),
    Column("url", Text, nullable=False),
    *_click_counts(),
    sqlite_with_rowid=False,
)
"""``digest`` stands for the URL, which may be long."""

tag_counters = Table(
    "tag_counters",
    metadata,
    *_dimensions(),
    Column("tag", Text, primary_key=True),
    Column("value", Text, primary_key=True),
    _shard(),
    *_click_counts(),
    sqlite_with_rowid=False,
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("event_id", String(64), nullable=False),
    Column("configuration_set", String(64), nullable=False),
    Column("destination", String(64), nullable=False),
    Column("arn", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("next_at", BigInteger),
    Column("attempts", Integer, nullable=False),
    Column("last_error", Text, nullable=False),
    Column("died_at", BigInteger),
    Column("payload", LargeBinary, nullable=False),
    sqlite_autoincrement=True,
)
"""Notifications on their way. ``next_at`` is when to try next; none for a dead letter."""
Index("outbox_due", outbox.c.configuration_set, outbox.c.destination, outbox.c.next_at)
Index(
    "outbox_dead",
    outbox.c.id,
    sqlite_where=outbox.c.died_at.is_not(None),
    postgresql_where=outbox.c.died_at.is_not(None),
)

Index("outbox_event", outbox.c.event_id)

delivered = Table(
    "delivered",
    metadata,
    Column("event_id", String(64), primary_key=True),
    Column("configuration_set", String(64), nullable=False),
    Column("destination", String(64), nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False),
    sqlite_with_rowid=False,
)
"""Notifications that arrived, for as long as events are kept."""

deliveries = Table(
    "deliveries",
    metadata,
    Column("configuration_set", String(64), primary_key=True),
    Column("destination", String(64), primary_key=True),
    Column("last_success_at", BigInteger),
    Column("last_failure_at", BigInteger),
    Column("last_error", Text, nullable=False),
    sqlite_with_rowid=False,
)
"""Every destination that ever had a row in the outbox, and how it has been doing."""

stream_events = Table(
    "stream_events",
    metadata,
    Column("position", Serial, primary_key=True),
    Column("stream", String(128), nullable=False),
    Column("event_id", String(64), nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    sqlite_autoincrement=True,
)
"""The built-in streams, one beside the other; positions grow over all of them."""
Index("stream_events_stream", stream_events.c.stream, stream_events.c.position)
Index("stream_events_event", stream_events.c.event_id)
