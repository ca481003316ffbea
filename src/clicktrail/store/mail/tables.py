"""The tables of emails, and of what finds them."""

from sqlalchemy import (
    ARRAY,
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

from clicktrail.store.database.metadata import derived, metadata

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
"""Headers, addresses, tags and links, as MessagePack (`clicktrail.store.mail.kept.contents`)."""

dictionaries = Table(
    "dictionaries",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("content", LargeBinary, nullable=False),
    Column("made_at", BigInteger, nullable=False),
)
"""What the contents of many emails have in common (`clicktrail.store.mail.kept.books`)."""

message_html = Table(
    "message_html",
    metadata,
    Column("message_id", String(32), primary_key=True),
    Column("html", LargeBinary, nullable=False),
)
"""What is shown of emails whose configuration set keeps it (`clicktrail.store.mail.html`)."""

message_numbers = Table(
    "message_numbers",
    derived,
    Column("number", Integer, primary_key=True),
    Column("message_id", String(32), nullable=False, unique=True),
)
"""Emails by their rows in SQLite's full-text index (`clicktrail.store.finding.trigrams`): small
numbers, which take little there, in the order in which emails are indexed."""

message_texts = Table(
    "message_texts",
    derived,
    Column("message_id", String(32), primary_key=True),
    Column("text", Text, nullable=False),
    Column("facets", ARRAY(BigInteger), nullable=False),
)
"""What emails are found by, on PostgreSQL."""

unindexed = Table(
    "unindexed",
    metadata,
    Column("message_id", String(32), primary_key=True),
    Column("grouped", SmallInteger, nullable=False, server_default="0"),
    sqlite_with_rowid=False,
)
"""Emails that cannot be found yet: whoever has time indexes them. ``grouped``: 1 where the index
was made anew, and the email is in its mailings."""

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

mailing_versions = Table(
    "mailing_versions",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("version", LargeBinary, primary_key=True),
    Column("sent", BigInteger, nullable=False),
    Column("last_at", BigInteger, nullable=False),
    Column("message_id", String(32), nullable=False),
    sqlite_with_rowid=False,
)
"""Emails of a mailing whose links lead to the same, and the newest of them."""

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

email_templates = Table(
    "email_templates",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("subject", Text, nullable=False),
    Column("text", Text),
    Column("html", Text),
    Column("tags", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
)
"""Templates that emails name (`clicktrail.store.mail.templates`). ``tags`` as those of
``configuration_sets``."""
