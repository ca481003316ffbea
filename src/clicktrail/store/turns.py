"""What several writers must do one after the other, where the database lets them run side by side.

SQLite has one writer at a time: nothing is to be done there. On PostgreSQL these are advisory
locks (PostgreSQL § 13.3.5), held to the end of the transaction.
"""

from sqlalchemy import Connection

# "clicktrail" and a number: other programs may use locks in the same database.
_BASE = int.from_bytes(b"clicktr\0", "big")

MIGRATING = _BASE + 1
"""Bringing the database to the newest schema."""

APPENDING = _BASE + 2
"""Adding to the streams. Positions are drawn before the commit: without turns a reader could see
a position before a lower one, and would never come back for that."""

ERASING = _BASE + 3
"""Marking emails as erased, while nobody records what belongs to them."""


def take_turn(connection: Connection, key: int) -> None:
    """Wait until nobody else has the turn, and keep it until the transaction ends."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({key})")


def share_turn(connection: Connection, key: int) -> None:
    """As `take_turn`, together with others who share it."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock_shared({key})")
