"""What several writers must do one after the other, where the database lets them run side by side.

SQLite has one writer at a time: nothing is to be done there. On PostgreSQL these are advisory
locks (PostgreSQL § 13.3.5), held to the end of the transaction.
"""

import random

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


INDEXING = _BASE + 4
"""Indexing emails: two who do it at once would wait for each other at every mailing."""

DIVIDING = _BASE + 5
"""Making and dropping the tables of days."""

USING = _BASE + 6
"""Being connected to write: shared by all, and held for as long as the connection is there."""

SHARDS = 16
"""So many writers can add to the counters at once without waiting for one another."""

_COUNTING = _BASE + 0x10
_TAKE_SHARD = (
    f"SELECT n FROM generate_series(0, {SHARDS - 1}) AS n"  # noqa: S608 - numbers of ours
    f" WHERE pg_try_advisory_xact_lock({_COUNTING} + n) LIMIT 1"
)


def take_turn(connection: Connection, key: int) -> None:
    """Wait until nobody else has the turn, and keep it until the transaction ends."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({key})")


def share_turn(connection: Connection, key: int) -> None:
    """As `take_turn`, together with others who share it."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock_shared({key})")


def take_shard(connection: Connection) -> int:
    """Return the lowest shard of the counters that nobody adds to, until the transaction ends.

    What everybody counts, such as the clicks of today, would otherwise be one row for which all
    writers wait. Who is alone always gets 0: then there are no more rows than without.
    """
    if connection.dialect.name != "postgresql":
        return 0
    found = connection.exec_driver_sql(_TAKE_SHARD).scalar()
    if found is None:
        found = random.randrange(SHARDS)  # noqa: S311
        take_turn(connection, _COUNTING + found)
    return int(found)


def try_turn(connection: Connection, key: int) -> bool:
    """Take the turn where nobody has it; return whether that worked."""
    if connection.dialect.name != "postgresql":
        return True
    return bool(connection.exec_driver_sql(f"SELECT pg_try_advisory_xact_lock({key})").scalar())
