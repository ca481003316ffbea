"""The tables of the configuration, the suppression list, nodes, and keys that sealed links."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    String,
    Table,
    Text,
    false,
    true,
)

from clicktrail.store.database.metadata import metadata

configuration_version = Table(
    "configuration_version",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("version", BigInteger, nullable=False),
)
"""One row; its version grows with each change of the four tables below it, when the suppression
list gets its first entry, and when a person is erased."""

account_options = Table(
    "account_options",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("options", Text, nullable=False),
)
"""What API clients set for all configuration sets, as JSON by SES's names; a row for each that was
set (``SuppressionAttributes``)."""

configuration_sets = Table(
    "configuration_sets",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("engagement", Boolean, nullable=False),
    Column("engagement_opens", Boolean, nullable=False, server_default=false()),
    Column("redirect_domain", Text),
    Column("https_policy", String(16), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("sending", Boolean, nullable=False, server_default=true()),
    Column("tags", Text, nullable=False, server_default="[]"),
    Column("options", Text, nullable=False, server_default="{}"),
    Column("keep_html", Boolean, nullable=False, server_default=false()),
    Column("track_visible_urls", Boolean, nullable=False, server_default=true()),
    Column("rules", Text, nullable=False, server_default="{}"),
    Column("settle", Integer, nullable=False, server_default="0"),
)
"""``tags`` is JSON, ``[[key, value], …]``; ``options`` what API clients set and get back, though
nothing is done with it (``DeliveryOptions`` …), as JSON by their names; ``rules`` those of `Rules`
that are not as at first, as JSON."""

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
    Column("senders", Text, nullable=False, server_default="[]"),
)
"""``senders`` is JSON, ``["news", …]``. ``dkim_key`` is a sealed private key (`keys.vault`), empty
where emails are not signed; ``dkim_origin`` is ``AWS_SES`` for a key that was made here,
``EXTERNAL`` for a given one."""

suppressed_destinations = Table(
    "suppressed_destinations",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("address", String(320), nullable=False, index=True),
    Column("reason", String(16), nullable=False),
    Column("updated_at", BigInteger, nullable=False),
)
"""Who gets no email (`clicktrail.store.people.suppression`), by the SHA-256 of the address.
``address`` is empty where the person was erased: the wish stands, and nobody reads whose it is."""

do_not_track = Table(
    "do_not_track",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("name", String(320), nullable=False, index=True),
    Column("made_at", BigInteger, nullable=False),
    Column("made_by", Text, nullable=False),
    Column("searched", SmallInteger, nullable=False, index=True),
)
"""Who is not to be tracked (`clicktrail.store.people.do_not_track`), by the SHA-256 of the entry.
``name`` is empty where the person was erased. ``searched``: 1 when the emails that they had got
already are in the table below."""

untracked_messages = Table(
    "untracked_messages",
    metadata,
    Column("message_id", String(32), primary_key=True),
    Column("entry", LargeBinary, primary_key=True),
    sqlite_with_rowid=False,
)
"""Tracked emails whose clicks are not logged any more, by the digest of who is not tracked."""
Index("untracked_messages_entry", untracked_messages.c.entry)

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
"""Nodes that are there or were killed (`clicktrail.keys.nodes`). ``keys`` is JSON."""

link_changes = Table(
    "link_changes",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("url", Text, nullable=False),
    Column("destination", Text),
    Column("because", Text, nullable=False),
    Column("configuration_set", String(64), nullable=False),
    Column("since", BigInteger, nullable=False),
    Column("made_at", BigInteger, nullable=False),
    Column("made_by", Text, nullable=False),
    Column("undone_at", BigInteger, nullable=False),
    Column("undone_by", Text, nullable=False),
    sqlite_with_rowid=False,
)
"""Changes of links after they were sent (`clicktrail.model.LinkChange`)."""

orders_version = Table(
    "orders_version",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("version", String(32), nullable=False),
)
"""A row for each part of what redirects are told (`clicktrail.model.Orders`), or none where nothing
of it was ever ordered: a new id with each change."""

sealing_keys = Table(
    "sealing_keys",
    metadata,
    Column("key_id", Integer, primary_key=True, autoincrement=False),
    Column("fingerprint", String(16), primary_key=True),
)
"""Keys that tracking links were sealed with (`clicktrail.store.sealing`)."""

certificates = Table(
    "certificates",
    metadata,
    Column("name", String(253), primary_key=True),
    Column("chain", Text, nullable=False, server_default=""),
    Column("key", LargeBinary, nullable=False, server_default=""),
    Column("directory", Text, nullable=False, server_default=""),
    Column("issued_at", BigInteger, nullable=False, server_default="0"),
    Column("expires_at", BigInteger, nullable=False, server_default="0"),
    Column("renew_at", BigInteger, nullable=False, server_default="0"),
    Column("due_at", BigInteger, nullable=False, server_default="0"),
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("problem", Text, nullable=False, server_default=""),
    Column("holder", String(64), nullable=False, server_default=""),
    Column("held_until", BigInteger, nullable=False, server_default="0"),
)
"""Certificates of tracking domains (`clicktrail.store.certificates`): ``chain`` is PEM, ``key`` a
sealed PEM (`keys.vault`). ``due_at``: when the name is looked at next; ``holder`` does so now."""

acme_accounts = Table(
    "acme_accounts",
    metadata,
    Column("directory", Text, primary_key=True),
    Column("key", LargeBinary, nullable=False),
    Column("url", Text, nullable=False, server_default=""),
    Column("paused_until", BigInteger, nullable=False, server_default="0"),
)
"""Accounts at certificate authorities, by the URL of their directory (RFC 8555 § 7.1.1)."""

acme_challenges = Table(
    "acme_challenges",
    metadata,
    Column("name", String(253), primary_key=True),
    Column("kind", String(32), nullable=False),
    Column("token", String(255), nullable=False),
    Column("key_authorization", Text, nullable=False),
    Column("made_at", BigInteger, nullable=False),
)
"""Challenges that an authority is about to look at (RFC 8555 § 8), on whichever node."""
