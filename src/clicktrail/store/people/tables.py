"""The tables of who may send, call the API, or sign in to the console, and of who gets emails."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    LargeBinary,
    String,
    Table,
    Text,
)

from clicktrail.store.database.metadata import metadata

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
"""Who may call the API. ``secret`` is sealed (`keys.vault`); commas join the ``scopes``."""

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

contact_lists = Table(
    "contact_lists",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("description", Text, nullable=False),
    Column("topics", Text, nullable=False),
    Column("tags", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
)
"""Contact lists; ``topics`` and ``tags`` are JSON."""

contacts = Table(
    "contacts",
    metadata,
    Column("contact_list", String(64), primary_key=True),
    Column("digest", LargeBinary, primary_key=True),
    Column("address", Text, nullable=False),
    Column("unsubscribed", Boolean, nullable=False),
    Column("attributes", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
)
"""Who is on a contact list, by the SHA-256 of the address. ``address`` is empty where a person was
erased who had unsubscribed: the wish stands, and nobody reads whose it is."""
Index("contacts_address", contacts.c.contact_list, contacts.c.address)

contact_topics = Table(
    "contact_topics",
    metadata,
    Column("contact_list", String(64), primary_key=True),
    Column("digest", LargeBinary, primary_key=True),
    Column("topic", String(64), primary_key=True),
    Column("status", String(8), nullable=False),
)
"""What contacts have said of topics: ``OPT_IN`` or ``OPT_OUT``."""
