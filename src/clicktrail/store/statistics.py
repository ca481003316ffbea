"""Counters by day (UTC) and dimension, and how they are read (behaviour § 8)."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeVar

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Select,
    Table,
    cast,
    delete,
    func,
    literal_column,
    select,
    tuple_,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.dml import Insert

from clicktrail.ids import hour_of
from clicktrail.store.bulk import BulkInsert
from clicktrail.store.database import Database, storable
from clicktrail.store.schema import counters, hour_counters, link_counters, tag_counters

K = TypeVar("K", bound=tuple[Any, ...])


class Dimensions(NamedTuple):
    """What every counter is kept by. ``""`` where an email has no set, identity or recipient."""

    day: str
    configuration_set: str
    identity: str
    provider: str

    def daily(self) -> "Dimensions":
        """Return the same of the whole day, where ``day`` is an hour (``2026-11-23T18``)."""
        return self._replace(day=self.day[:10])


@dataclass(slots=True)
class Counts:
    """What is counted."""

    sent: int = 0
    clicks: int = 0
    unique_clicks: int = 0
    human_clicks: int = 0


@dataclass(frozen=True, slots=True)
class Day:
    """One UTC day, or one hour of it."""

    day: str
    sent: int
    clicks: int
    unique_clicks: int
    human_clicks: int


@dataclass(frozen=True, slots=True)
class LinkClicks:
    """The clicks of one original URL."""

    url: str
    clicks: int
    unique_clicks: int
    human_clicks: int


@dataclass(frozen=True, slots=True)
class TagClicks:
    """The clicks of links with one value of one link tag."""

    tag: str
    value: str
    clicks: int
    unique_clicks: int
    human_clicks: int


@dataclass(frozen=True, slots=True)
class Group:
    """What was counted of one configuration set, identity or provider; ``""`` for none."""

    name: str
    sent: int
    clicks: int
    unique_clicks: int
    human_clicks: int


class Statistics:
    """Reads the counters. Every method may raise `StoreUnavailable`.

    Days are ``2026-11-23``; both ends of a period belong to it. A filter that is not given lets
    everything through; ``""`` stands for "none" (no configuration set, no identity).
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def daily(
        self,
        configuration_set: str | None = None,
        identity: str | None = None,
        provider: str | None = None,
        since: str | None = None,
        until: str | None = None,
    ) -> list[Day]:
        """Return the days on which anything was counted, the earliest first."""
        table = counters
        where = _filters(table, configuration_set, identity, provider, since, until)
        return await self._days(table, table.c.sent, where)

    async def hourly(
        self,
        configuration_set: str | None = None,
        identity: str | None = None,
        provider: str | None = None,
        since: str | None = None,
        until: str | None = None,
    ) -> list[Day]:
        """Return the hours (``2026-11-23T18``) in which anything was counted, the earliest first.

        ``since`` and ``until`` are days. Hours are known for some weeks only.
        """
        table = hour_counters
        last = f"{until}T99" if until else None
        where = _filters(table, configuration_set, identity, provider, since, last)
        return await self._days(table, table.c.sent, where)

    async def daily_of_tag(
        self,
        tag: tuple[str, str],
        configuration_set: str | None = None,
        identity: str | None = None,
        provider: str | None = None,
        since: str | None = None,
        until: str | None = None,
    ) -> list[Day]:
        """Return clicks by day of links with a tag and value; nothing is sent there."""
        table = tag_counters
        where = _filters(table, configuration_set, identity, provider, since, until)
        where += _is_tag(tag)
        return await self._days(table, literal_column("0"), where)

    async def _days(
        self, table: Table, sent: ColumnElement[Any], where: list[ColumnElement[bool]]
    ) -> list[Day]:
        day = table.c.day
        statement = select(day, total(sent), *_sums(table)).where(*where)
        ordered = statement.group_by(day).order_by(day)
        return [Day(*row) for row in await self._rows(ordered)]

    async def groups(
        self,
        by: Literal["configuration_set", "identity", "provider"],
        configuration_set: str | None = None,
        identity: str | None = None,
        provider: str | None = None,
        since: str | None = None,
        until: str | None = None,
        limit: int = 1000,
        tag: tuple[str, str] | None = None,
    ) -> list[Group]:
        """Return sums by one dimension, the most clicked first.

        With ``tag``, clicks of links with that tag and value; nothing is sent there.
        """
        table = tag_counters if tag else counters
        column, (clicks, *others) = table.c[by], _sums(table)
        sent = total(literal_column("0") if tag else counters.c.sent)
        where = _filters(table, configuration_set, identity, provider, since, until)
        if tag:
            where += _is_tag(tag)
        statement = (
            select(column, sent, clicks, *others)
            .where(*where)
            .group_by(column)
            .order_by(clicks.desc(), sent.desc(), column)
            .limit(limit)
        )
        return [Group(*row) for row in await self._rows(statement)]

    async def links(
        self,
        configuration_set: str | None = None,
        identity: str | None = None,
        provider: str | None = None,
        since: str | None = None,
        until: str | None = None,
        limit: int = 1000,
    ) -> list[LinkClicks]:
        """Return clicks by original URL, the most clicked first."""
        table = link_counters
        clicks, *others = _sums(table)
        statement = (
            select(func.min(table.c.url), clicks, *others)
            .where(*_filters(table, configuration_set, identity, provider, since, until))
            .group_by(table.c.digest)
            .order_by(clicks.desc(), func.min(table.c.url))
            .limit(limit)
        )
        return [LinkClicks(*row) for row in await self._rows(statement)]

    async def tags(
        self,
        configuration_set: str | None = None,
        identity: str | None = None,
        provider: str | None = None,
        since: str | None = None,
        until: str | None = None,
        limit: int = 1000,
    ) -> list[TagClicks]:
        """Return clicks by link tag and value, the most clicked first."""
        table = tag_counters
        clicks, *others = _sums(table)
        statement = (
            select(table.c.tag, table.c.value, clicks, *others)
            .where(*_filters(table, configuration_set, identity, provider, since, until))
            .group_by(table.c.tag, table.c.value)
            .order_by(clicks.desc(), table.c.tag, table.c.value)
            .limit(limit)
        )
        return [TagClicks(*row) for row in await self._rows(statement)]

    async def forget_hours(self, before: int, limit: int = 500) -> int:
        """Delete counters by hour of up to ``limit`` rows before a time; return how many."""
        key = list(hour_counters.primary_key.columns)
        old = select(*key).where(hour_counters.c.day < hour_of(before)).order_by(*key).limit(limit)

        def work(connection: Connection) -> int:
            rows = [tuple(row) for row in connection.execute(old)]
            if rows:
                connection.execute(delete(hour_counters).where(tuple_(*key).in_(rows)))
            return len(rows)

        return await self._database.write(work)

    async def _rows(self, statement: Select[*tuple[Any, ...]]) -> Sequence[Any]:
        return await self._database.read(lambda connection: connection.execute(statement).all())


def add_counts(connection: Connection, counts: Mapping[Dimensions, Counts]) -> None:
    """Add to the counters; numbers may be negative."""
    _ADD.run(
        connection,
        [(*key, count.sent, *_clicks(count)) for key, count in _in_order(counts)],
    )


def add_hour_counts(connection: Connection, counts: Mapping[Dimensions, Counts]) -> None:
    """Add to the counters by hour."""
    _ADD_HOURS.run(
        connection,
        [(*key, count.sent, *_clicks(count)) for key, count in _in_order(counts)],
    )


def add_link_counts(
    connection: Connection, counts: Mapping[tuple[Dimensions, str], Counts]
) -> None:
    """Add to the counters by original URL."""
    rows = [(*key, digest(url), url, *_clicks(count)) for (key, url), count in counts.items()]
    _ADD_LINKS.run(connection, sorted(rows, key=lambda row: row[:5]))


def add_tag_counts(
    connection: Connection, counts: Mapping[tuple[Dimensions, str, str], Counts]
) -> None:
    """Add to the counters by link tag and value."""
    _ADD_TAGS.run(
        connection,
        [(*key, tag, value, *_clicks(count)) for (key, tag, value), count in _in_order(counts)],
    )


def _in_order(counts: Mapping[K, Counts]) -> list[tuple[K, Counts]]:
    # Whoever adds to the same counters does so in the same order: nobody waits in a circle.
    return sorted(counts.items(), key=lambda item: item[0])


def digest(url: str) -> bytes:
    """Return the 16 bytes that stand for a URL in a key."""
    return hashlib.blake2b(url.encode("utf-8", "surrogatepass"), digest_size=16).digest()


_NAMES = ("sent", "clicks", "unique_clicks", "human_clicks")


def _clicks(count: Counts) -> tuple[int, int, int]:
    return count.clicks, count.unique_clicks, count.human_clicks


def _adding(table: Table) -> BulkInsert:
    def finish(statement: sqlite.Insert | postgresql.Insert) -> Insert:
        names = [name for name in _NAMES if name in table.c]
        added = {name: table.c[name] + statement.excluded[name] for name in names}
        keys = list(table.primary_key.columns)
        return statement.on_conflict_do_update(index_elements=keys, set_=added)

    return BulkInsert(table, finish=finish)


_ADD, _ADD_HOURS = _adding(counters), _adding(hour_counters)
_ADD_LINKS, _ADD_TAGS = _adding(link_counters), _adding(tag_counters)


def total(numbers: ColumnElement[int]) -> ColumnElement[int]:
    """Return their sum as a whole number: PostgreSQL makes ``numeric`` of it."""
    return cast(func.sum(numbers), BigInteger)


def _sums(table: Table) -> list[ColumnElement[int]]:
    return [total(table.c[name]) for name in _NAMES[1:]]


def _is_tag(tag: tuple[str, str]) -> list[ColumnElement[bool]]:
    return [tag_counters.c.tag == storable(tag[0]), tag_counters.c.value == storable(tag[1])]


def _filters(
    table: Table,
    configuration_set: str | None,
    identity: str | None,
    provider: str | None,
    since: str | None,
    until: str | None,
) -> list[ColumnElement[bool]]:
    wanted: list[ColumnElement[bool]] = []
    if configuration_set is not None:
        wanted.append(table.c.configuration_set == configuration_set)
    if identity is not None:
        wanted.append(table.c.identity == identity)
    if provider is not None:
        wanted.append(table.c.provider == provider)
    if since is not None:
        wanted.append(table.c.day >= since)
    if until is not None:
        wanted.append(table.c.day <= until)
    return wanted
