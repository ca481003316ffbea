"""The tables of clicks, of what counts them, and of their notifications: outbox and streams."""

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    String,
    Table,
    Text,
)

from clicktrail.store.database.metadata import Serial, metadata

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
    Column("destination", Text, server_default=""),
    sqlite_with_rowid=False,
)
"""``destination`` is that of `Click`."""

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

evidence = Table(
    "evidence",
    metadata,
    Column("message_id", String(32), primary_key=True),
    Column("records", Text, nullable=False),
    Column("traps", Text, nullable=False),
    sqlite_with_rowid=False,
)
"""What an email's newest clicks say of one another, by which they are judged together
(`clicktrail.store.clicks.judging.evidence`)."""

crowds = Table(
    "crowds",
    metadata,
    Column("place", String(64), primary_key=True),
    Column("records", Text, nullable=False),
    sqlite_with_rowid=False,
)
"""Clicks from one network, of emails that were accepted in the same hour: ``place`` begins with it
(`clicktrail.store.clicks.judging.crowds`)."""

crowd_findings = Table(
    "crowd_findings",
    metadata,
    Column("event_id", String(32), primary_key=True),
    Column("message_id", String(32), nullable=False),
    Column("is_gateway", SmallInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""Earlier clicks of which their crowd says something else now: ``is_gateway`` is 1 where they are a
gateway's, 0 where they are not any more. They wait until the next transaction."""


def _shard() -> Column[int]:
    """Return the column that lets several writers add to the same counts (`database.turns`)."""
    return Column("shard", SmallInteger, primary_key=True, autoincrement=False)


mailing_links = Table(
    "mailing_links",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("version", LargeBinary, primary_key=True),
    Column("link", Integer, primary_key=True, autoincrement=False),
    _shard(),
    Column("url", Text, nullable=False),
    Column("clicks", BigInteger, nullable=False),
    Column("unique_clicks", BigInteger, nullable=False),
    Column("human_clicks", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""Clicks by mailing, version and place in the email; ``url`` is that of the first click.

Emails are of one version where their links lead to the same (`clicktrail.store.mail.pages`); of
clicks before there were versions, it is empty."""

mailing_counts = Table(
    "mailing_counts",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    _shard(),
    Column("clicked", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""Emails by mailing that a person clicked."""


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


def _cohort() -> list[Column[int]]:
    """Return the columns of tracked emails, which count in the time when each was accepted."""
    return [
        Column("tracked", BigInteger, nullable=False, server_default="0"),
        Column("clicked", BigInteger, nullable=False, server_default="0"),
    ]


opens = Table(
    "opens",
    metadata,
    Column("event_id", String(32), primary_key=True),
    Column("message_id", String(32), nullable=False),
    Column("opened_at", BigInteger, nullable=False),
    Column("verdict", String(8), nullable=False),
    Column("reasons", Text, nullable=False),
    Column("proxy", String(16), nullable=False),
    Column("ip", Text, nullable=False),
    Column("user_agent", Text, nullable=False),
    sqlite_with_rowid=False,
)
Index("opens_message", opens.c.message_id, opens.c.event_id)

open_counters = Table(
    "open_counters",
    metadata,
    *_dimensions(),
    _shard(),
    Column("opens", BigInteger, nullable=False),
    Column("human_opens", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

unsubscribes = Table(
    "unsubscribes",
    metadata,
    Column("event_id", String(32), primary_key=True),
    Column("message_id", String(32), nullable=False),
    Column("unsubscribed_at", BigInteger, nullable=False),
    Column("contact_list", String(64), nullable=False),
    Column("topic", String(64), nullable=False),
    sqlite_with_rowid=False,
)
"""Requests to unsubscribe. Who is off a list is kept with the list (`contacts`)."""
Index("unsubscribes_message", unsubscribes.c.message_id, unsubscribes.c.event_id)

unsubscribe_counters = Table(
    "unsubscribe_counters",
    metadata,
    *_dimensions(),
    _shard(),
    Column("unsubscribes", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

counters = Table(
    "counters",
    metadata,
    *_dimensions(),
    _shard(),
    Column("sent", BigInteger, nullable=False),
    *_click_counts(),
    *_cohort(),
    sqlite_with_rowid=False,
)
"""``tracked`` emails were sent with tracking links; ``clicked`` are those of them that a person
clicked (`clicktrail.store.clicks.cohorts`)."""

hour_counters = Table(
    "hour_counters",
    metadata,
    *_dimensions("hour"),
    _shard(),
    Column("sent", BigInteger, nullable=False),
    *_click_counts(),
    *_cohort(),
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
    Column("page", LargeBinary, nullable=False, server_default=""),
    sqlite_with_rowid=False,
)
"""``digest`` stands for the URL, which may be long, ``page`` for what it leads to without what is a
recipient's own (`clicktrail.store.mail.pages`)."""

tag_counters = Table(
    "tag_counters",
    metadata,
    *_dimensions(),
    Column("tag", Text, primary_key=True),
    Column("value", Text, primary_key=True),
    _shard(),
    *_click_counts(),
    *_cohort(),
    sqlite_with_rowid=False,
)
"""Emails count here where they have a link with the tag, and where a person clicked such a one."""

program_counters = Table(
    "program_counters",
    metadata,
    *_dimensions(),
    Column("program", String(64), primary_key=True),
    _shard(),
    *_click_counts(),
    sqlite_with_rowid=False,
)
"""Clicks by what their User-Agents name (`clicktrail.base.text.programs`)."""

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
