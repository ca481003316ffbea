"""Tables by day, on PostgreSQL: what is too old goes with its day, not row by row.

The tables of `BY_DAY` are partitioned by their ids, which begin with the time they were made
(`base.ids`): the day of 2026-11-24 is the ids from the first of that day to the first of the
next (PostgreSQL § 5.11). An id that belongs to no day that is there, a late click's or one of a
clock that is wrong, goes to the default partition. SQLite has no partitions: nothing is done there.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from sqlalchemy import Column, Connection, text

from clicktrail.base.ids import day_of, first_id
from clicktrail.store.clicks.tables import clicked_links, clicks, delivered
from clicktrail.store.database.core import Database
from clicktrail.store.database.turns import DIVIDING, take_turn
from clicktrail.store.mail.tables import message_contents, message_html, message_texts, messages

DAY = 86_400_000_000
AHEAD = 7
"""Days that are there before they are needed: so long may nobody look after it."""

BY_DAY: dict[str, tuple[Column[str], ...]] = {
    "messages": (
        message_contents.c.message_id,
        message_html.c.message_id,
        message_texts.c.message_id,
    ),
    "clicks": (clicks.c.event_id,),
    "events": (delivered.c.event_id,),
    "origins": (messages.c.id, clicked_links.c.message_id),
}
"""The tables by what is kept for the same time, each with the id that it is divided by."""

PENDING_KILOBYTES = 64
"""What waits to be sorted into an index of trigrams or marks. PostgreSQL's own limit is 4 MB
(§ 70.4.1, `gin_pending_list_limit`), whose pages the index of each day keeps for good."""

_FIRST = date(1970, 1, 1).toordinal()
_LOCK_MILLISECONDS = 500
"""A table of a day comes or goes only while nobody reads the whole: who waits for that holds up
all others, so it gives up soon, and is done an hour later."""


@dataclass(frozen=True, slots=True)
class _Part:
    """The partition of a table for one day; ``number`` counts days since 1970."""

    table: str
    column: str
    number: int

    @property
    def name(self) -> str:
        return f"{self.table}_{day_of(self.number * DAY).replace('-', '')}"

    @property
    def bounds(self) -> tuple[str, str]:
        """The first id of the day, and that of the next day."""
        return first_id(self.number * DAY), first_id((self.number + 1) * DAY)


class Partitions:
    """Makes and drops days. Every method may raise `StoreUnavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def make(self, now: int) -> int:
        """Make the days from that time on that are missing; return how many tables that were."""
        return await self._database.write(lambda connection: make_ahead(connection, now))

    async def drop(self, what: str, before: int) -> int | None:
        """Drop the days of a key of `BY_DAY` that ended before a time; return how many tables.

        ``None`` where the database has no partitions.
        """
        old = await self._database.read(lambda connection: _parts(connection, what))
        if old is None:
            return None
        gone = [part for part in old if (part.number + 1) * DAY <= before]
        for part in gone:
            await self._database.write(lambda c, part=part: _drop(c, part))  # type: ignore[misc]
        return len(gone)


def make_ahead(connection: Connection, now: int) -> int:
    """Make what is missing of the day of a time and `AHEAD` days after; return how many tables."""
    return make_days(connection, now, now + AHEAD * DAY)


def make_days(connection: Connection, first: int, last: int) -> int:
    """Make the tables for all days from one time to another; return how many were missing.

    What of these days lies in the default partition is moved.
    """
    if connection.dialect.name != "postgresql":
        return 0
    days = range(first // DAY, last // DAY + 1)
    wanted = [part for what in BY_DAY for n in days for part in _of(what, n)]
    there = _names(connection)
    if all(part.name in there for part in wanted):
        return 0
    take_turn(connection, DIVIDING)
    there = _names(connection)
    missing = [part for part in wanted if part.name not in there]
    for part in missing:
        _make(connection, part)
    return len(missing)


def _of(what: str, number: int) -> Iterator[_Part]:
    for column in BY_DAY[what]:
        yield _Part(column.table.fullname, column.name, number)


def _make(connection: Connection, part: _Part) -> None:
    """Make a partition beside the table, and then attach it: others go on reading meanwhile."""
    first, end = part.bounds
    run = connection.exec_driver_sql
    run(f"SET LOCAL lock_timeout = {_LOCK_MILLISECONDS}")
    run(f'CREATE TABLE "{part.name}" (LIKE "{part.table}" INCLUDING ALL)')
    if part.table == message_texts.name:
        limit_pending(connection, part.name)
    run(f'LOCK TABLE "{part.table}_default" IN ACCESS EXCLUSIVE MODE')
    run(
        f'WITH moved AS (DELETE FROM "{part.table}_default"'  # noqa: S608 - names and ids of ours
        f" WHERE {part.column} >= '{first}' AND {part.column} < '{end}' RETURNING *)"
        f' INSERT INTO "{part.name}" SELECT * FROM moved'
    )
    run(
        f'ALTER TABLE "{part.table}" ATTACH PARTITION "{part.name}"'
        f" FOR VALUES FROM ('{first}') TO ('{end}')"
    )


def limit_pending(connection: Connection, tables: str) -> None:
    """Let little wait for the indexes of tables whose names begin so, on PostgreSQL.

    Not by the index of the whole, whose options PostgreSQL cannot change.
    """
    for name in connection.scalars(_PENDING, {"tables": tables}).all():
        connection.exec_driver_sql(
            f'ALTER INDEX "{name}" SET (gin_pending_list_limit = {PENDING_KILOBYTES})'
        )


def _drop(connection: Connection, part: _Part) -> None:
    take_turn(connection, DIVIDING)
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = {_LOCK_MILLISECONDS}")
    connection.exec_driver_sql(f'DROP TABLE IF EXISTS "{part.name}"')


_PARTITIONS = text(
    "SELECT part.relname FROM pg_inherits"
    " JOIN pg_class part ON part.oid = inhrelid JOIN pg_class whole ON whole.oid = inhparent"
    " WHERE whole.relnamespace = current_schema()::regnamespace AND whole.relkind = 'p'"
)

_PENDING = text(
    "SELECT of_it.relname FROM pg_index JOIN pg_class of_it ON of_it.oid = indexrelid"
    " JOIN pg_class part ON part.oid = indrelid JOIN pg_am ON pg_am.oid = of_it.relam"
    " WHERE part.relnamespace = current_schema()::regnamespace"
    " AND starts_with(part.relname, :tables) AND amname = 'gin' AND of_it.relkind = 'i'"
)


def _names(connection: Connection) -> set[str]:
    return set(connection.scalars(_PARTITIONS))


def _parts(connection: Connection, what: str) -> list[_Part] | None:
    """Return the days that are there, the oldest first; ``None`` where there can be none."""
    if connection.dialect.name != "postgresql":
        return None
    found = []
    for name in sorted(_names(connection)):
        table, _, day = name.rpartition("_")
        if day.isdigit():
            number = date.fromisoformat(day).toordinal() - _FIRST
            found += [part for part in _of(what, number) if part.table == table]
    return found
