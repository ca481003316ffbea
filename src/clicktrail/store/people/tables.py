"""The tables of who may send, call the API, or sign in to the console."""

from sqlalchemy import BigInteger, Column, ForeignKey, LargeBinary, String, Table, Text

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
