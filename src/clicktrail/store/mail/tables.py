"""The tables of emails, and of what finds them."""

from sqlalchemy import BigInteger, Column, Index, LargeBinary, SmallInteger, String, Table, Text

from clicktrail.store.database.metadata import metadata

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
"""Headers, addresses, tags and links, as MessagePack (`clicktrail.store.mail.messages`)."""

message_html = Table(
    "message_html",
    metadata,
    Column("message_id", String(32), primary_key=True),
    Column("html", LargeBinary, nullable=False),
)
"""What is shown of emails whose configuration set keeps it (`clicktrail.store.mail.html`)."""

message_terms = Table(
    "message_terms",
    metadata,
    Column("term", BigInteger, primary_key=True, autoincrement=False),
    Column("message_id", String(32), primary_key=True),
    sqlite_with_rowid=False,
)
"""What emails are found by (`clicktrail.store.mail.search`); a term is a digest."""

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
