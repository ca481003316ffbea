"""Counters by day (UTC) and dimension, and how they are read (behaviour § 8)."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import lru_cache
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Select,
    Subquery,
    Table,
    cast,
    delete,
    func,
    literal_column,
    select,
    tuple_,
    union_all,
)
from sqlalchemy.sql.dml import Insert

from clicktrail.base.ids import hour_of
from clicktrail.model import Where
from clicktrail.store.clicks.tables import (
    counters,
    hour_counters,
    link_counters,
    program_counters,
    tag_counters,
)
from clicktrail.store.database.bulk import BulkInsert
from clicktrail.store.database.core import Database, storable
from clicktrail.store.mail.pages import digest_of_page

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql, sqlite

K = TypeVar("K", bound=tuple[Any, ...])


class Dimensions(NamedTuple):
    """What every counter is kept by. ``""`` where an email has no set, identity or recipient."""

    time: str
    """An hour (``2026-11-23T18``) where it is counted, a day in the counters by day."""
    configuration_set: str
    identity: str
    provider: str

    def daily(self) -> "Dimensions":
        """Return the same of the whole day."""
        return Dimensions(self.time[:10], *self[1:])


@dataclass(slots=True)
class Counts:
    """What is counted.

    Emails that were sent and clicks count in the time when that happened. What is ``tracked`` and
    ``clicked`` counts in the time when the email was accepted, so that the second is a part of the
    first: their quotient is the click-through rate.
    """

    sent: int = 0
    """Emails, once for each recipient."""
    clicks: int = 0
    unique_clicks: int = 0
    """Each link of each email once."""
    human_clicks: int = 0
    tracked: int = 0
    """Emails that were sent with tracking links."""
    clicked: int = 0
    """Those of them that a person clicked."""

    @property
    def machine_clicks(self) -> int:
        """Clicks of machines, and of who is suspect."""
        return self.clicks - self.human_clicks

    @property
    def click_through_rate(self) -> float | None:
        """The share of tracked emails that a person clicked, in per cent; ``None`` of none."""
        return 100 * self.clicked / self.tracked if self.tracked else None

    def add(self, more: "Counts") -> None:
        """Add others."""
        for name in NAMES:
            setattr(self, name, getattr(self, name) + getattr(more, name))

    def of(self, day: str) -> "Day":
        """Return them as those of a day or an hour."""
        return Day(*_values(self), day=day)


@dataclass(slots=True, kw_only=True)
class Day(Counts):
    """One day, or one hour of UTC."""

    day: str


@dataclass(slots=True, kw_only=True)
class TagClicks(Counts):
    """What was counted of links with one value of one link tag; what was sent is not known."""

    tag: str
    value: str


@dataclass(slots=True, kw_only=True)
class Group(Counts):
    """What was counted of one configuration set, identity, provider or program; ``""``: none."""

    name: str


EVERYTHING = Where()


class Statistics:
    """Reads the counters. Every method may raise `StoreUnavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def daily(self, where: Where = EVERYTHING) -> list[Day]:
        """Return the days on which anything was counted, the earliest first."""
        table = _table_of(where)
        return await self._times(counters if table is None else table, where)

    async def hourly(self, where: Where = EVERYTHING) -> list[Day]:
        """Return the hours (``2026-11-23T18``) in which anything was counted, the earliest first.

        They are known for some weeks only.
        """
        return await self._times(hour_counters, where)

    async def groups(
        self,
        by: Literal["configuration_set", "identity", "provider", "program"],
        where: Where = EVERYTHING,
        limit: int = 1000,
    ) -> list[Group]:
        """Return sums by one dimension, the most clicked first; by program of whole days (UTC)."""
        found = program_counters if by == "program" else _found(where)
        column, numbers = found.c[by], _sums(found)
        sent, clicks, *_ = numbers
        statement = (
            select(column, *numbers)
            .where(*(chosen(program_counters, where) if by == "program" else ()))
            .group_by(column)
            .order_by(clicks.desc(), sent.desc(), column)
            .limit(limit)
        )
        return [Group(*row, name=name) for name, *row in await self._rows(statement)]

    async def names(self, by: str, where: Where = EVERYTHING, limit: int = 1000) -> list[str]:
        """Return of which of a dimension anything was counted: sooner than their sums."""
        name = _found(where).c[by]
        statement = select(name).distinct().order_by(name).limit(limit)
        return [row[0] for row in await self._rows(statement)]

    async def total(self, where: Where = EVERYTHING) -> Counts:
        """Return all of it together."""
        found = _found(where)
        (row,) = await self._rows(select(*(func.coalesce(each, 0) for each in _sums(found))))
        return Counts(*row)

    async def first_hour(self) -> str:
        """Return the hour from which on all that was counted is known by the hour, too.

        That is ``""`` where nothing was forgotten yet.
        """
        earliest = select(func.min(counters.c.day)).scalar_subquery()
        ((hour, day),) = await self._rows(select(func.min(hour_counters.c.hour), earliest))
        first_day = Where(since=day, until=day)
        if day is None or await self.total(first_day) == sum_of(await self.hourly(first_day)):
            return ""
        return f"{hour}U" if hour else "U"  # the first may be known in part, those after it whole

    async def tags(self, where: Where = EVERYTHING, limit: int = 1000) -> list[TagClicks]:
        """Return clicks by link tag and value, the most clicked first."""
        table = tag_counters
        _, clicks, *_ = numbers = _sums(table)
        statement = (
            select(table.c.tag, table.c.value, *numbers)
            .where(*chosen(table, where))
            .group_by(table.c.tag, table.c.value)
            .order_by(clicks.desc(), table.c.tag, table.c.value)
            .limit(limit)
        )
        rows = await self._rows(statement)
        return [TagClicks(*row, tag=tag, value=value) for tag, value, *row in rows]

    async def forget_hours(self, before: int, limit: int = 500) -> int:
        """Delete counters by hour of up to ``limit`` rows before a time; return how many."""
        key = list(hour_counters.primary_key.columns)
        old = select(*key).where(hour_counters.c.hour < hour_of(before)).order_by(*key).limit(limit)

        def work(connection: Connection) -> int:
            rows = [tuple(row) for row in connection.execute(old)]
            if rows:
                connection.execute(delete(hour_counters).where(tuple_(*key).in_(rows)))
            return len(rows)

        return await self._database.write(work)

    async def _times(self, table: Table, where: Where) -> list[Day]:
        time = _time(table)
        statement = (
            select(time, *_sums(table)).where(*chosen(table, where)).group_by(time).order_by(time)
        )
        return [Day(*row, day=day) for day, *row in await self._rows(statement)]

    async def _rows(self, statement: Select[*tuple[Any, ...]]) -> Sequence[Any]:
        return await self._database.read(lambda connection: connection.execute(statement).all())


def add_counts(connection: Connection, shard: int, hours: Mapping[Dimensions, Counts]) -> None:
    """Add to the counters by hour and by day; numbers may be negative.

    ``shard`` is the one that the transaction has taken (`turns.take_shard`).
    """
    days: defaultdict[Dimensions, Counts] = defaultdict(Counts)
    for key, count in hours.items():
        days[key.daily()].add(count)
    for inserting, counts in ((_ADD_HOURS, _remembered(connection, hours)), (_ADD, days)):
        rows = [(*key, shard, *_values(count)) for key, count in _in_order(counts)]
        inserting.run(connection, rows)


def _remembered(
    connection: Connection, hours: Mapping[Dimensions, Counts]
) -> dict[Dimensions, Counts]:
    """Return what is counted by the hour: an email may be clicked first when its hour is forgotten
    (`Statistics.forget_hours`), which must not be taken for one that is known."""
    late = {key for key, count in hours.items() if count == Counts(clicked=count.clicked)}
    if not late:
        return dict(hours)
    first = connection.scalar(select(func.min(hour_counters.c.hour)))
    first = first or min((key.time for key in hours if key not in late), default="U")
    return {key: n for key, n in hours.items() if key not in late or key.time >= first}


def add_link_counts(
    connection: Connection, shard: int, counts: Mapping[tuple[Dimensions, str], Counts]
) -> None:
    """Add to the counters by original URL."""
    rows = [
        (*key, digest(url), shard, url, *clicks_of(count), digest_of_page(url))
        for (key, url), count in counts.items()
    ]
    _ADD_LINKS.run(connection, sorted(rows, key=lambda row: row[:5]))


def add_tag_counts(
    connection: Connection, shard: int, counts: Mapping[tuple[Dimensions, str, str], Counts]
) -> None:
    """Add to the counters by link tag and value."""
    rows = [
        (*key, tag, value, shard, *_values_but_sent(count))
        for (key, tag, value), count in _in_order(counts)
    ]
    _ADD_TAGS.run(connection, rows)


def _in_order(counts: Mapping[K, Counts]) -> list[tuple[K, Counts]]:
    # Whoever adds to the same counters does so in the same order: nobody waits in a circle.
    return sorted(counts.items(), key=itemgetter(0))


@lru_cache(1000)
def digest(url: str) -> bytes:
    """Return the 16 bytes that stand for a URL in a key."""
    return hashlib.blake2b(url.encode("utf-8", "surrogatepass"), digest_size=16).digest()


NAMES = ("sent", "clicks", "unique_clicks", "human_clicks", "tracked", "clicked")
"""The fields of `Counts`, and the columns of tables that count."""
_DIMENSIONS = ("configuration_set", "identity", "provider")


def clicks_of(count: Counts) -> tuple[int, int, int]:
    """Return its clicks in the order of the columns."""
    return count.clicks, count.unique_clicks, count.human_clicks


_values, _values_but_sent = attrgetter(*NAMES), attrgetter(*NAMES[1:])


def adding(table: Table, counts: Sequence[str] = NAMES) -> BulkInsert:
    """Return what inserts rows, and adds their counts where their keys are there already."""

    def finish(statement: "sqlite.Insert | postgresql.Insert") -> Insert:
        names = [name for name in counts if name in table.c]
        added = {name: table.c[name] + statement.excluded[name] for name in names}
        keys = list(table.primary_key.columns)
        return statement.on_conflict_do_update(index_elements=keys, set_=added)

    return BulkInsert(table, finish=finish)


_ADD, _ADD_HOURS = adding(counters), adding(hour_counters)
_ADD_LINKS, _ADD_TAGS = adding(link_counters), adding(tag_counters)


def total(numbers: ColumnElement[int]) -> ColumnElement[int]:
    """Return their sum as a whole number: PostgreSQL makes ``numeric`` of it."""
    return cast(func.sum(numbers), BigInteger)


def _sums(counted: Table | Subquery) -> list[ColumnElement[int]]:
    """Return the sums of all that `Counts` has, in its order; 0 where a table knows nothing."""
    return [total(each) for each in _numbers(counted)]


def _numbers(counted: Table | Subquery) -> list[ColumnElement[int]]:
    return [
        counted.c[name] if name in counted.c else literal_column("0").label(name) for name in NAMES
    ]


def sum_of(counts: Iterable[Counts]) -> Counts:
    """Return all of them together."""
    sums = Counts()
    for each in counts:
        sums.add(each)
    return sums


def _found(where: Where) -> Subquery:
    """Return what is counted, by all dimensions.

    A period from hour to hour (``2026-11-23T18``; both belong to it) is looked up as the days
    within it, which are few rows, and the hours before and after them.
    """
    if (table := _table_of(where)) is not None:
        return _rows_of(table, where).subquery()
    since, until = where.since or "", where.until or ""
    if "T" not in since or "T" not in until:
        table = hour_counters if "T" in since + until else counters
        return _rows_of(table, where).subquery()
    first, last = _day_after(since[:10]), _day_after(until[:10], -1)
    if first > last:
        return _rows_of(hour_counters, where).subquery()
    return union_all(
        _rows_of(hour_counters, replace(where, until=_day_after(first, -1))),
        _rows_of(counters, replace(where, since=first, until=last)),
        _rows_of(hour_counters, replace(where, since=_day_after(last))),
    ).subquery()


def _table_of(where: Where) -> Table | None:
    """Return what is counted by what alone knows of a filter; ``None`` without such a filter."""
    if where.tag:
        return tag_counters
    return program_counters if where.program else None


def _rows_of(table: Table, where: Where) -> Select[*tuple[Any, ...]]:
    columns = (*(table.c[name] for name in _DIMENSIONS), *_numbers(table))
    return select(*columns).where(*chosen(table, where))


def _day_after(day: str, days: int = 1) -> str:
    return str(date.fromisoformat(day) + timedelta(days=days))


def _time(table: Table) -> Column[str]:
    return table.c.hour if table is hour_counters else table.c.day


def chosen(table: Table, where: Where) -> list[ColumnElement[bool]]:
    """Return what rows must have to be looked at."""
    wanted: list[ColumnElement[bool]] = []
    for name in _DIMENSIONS:
        if (value := getattr(where, name)) is not None:
            wanted.append(table.c[name] == storable(value))
    if where.since is not None:
        wanted.append(_time(table) >= where.since)
    if where.until is not None:
        # "U" comes after the "T" of each hour of the last day.
        wanted.append(_time(table) < f"{where.until}U")
    if where.tag is not None and table is tag_counters:
        tag, value = map(storable, where.tag)
        wanted += [table.c.tag == tag, table.c.value == value]
    if where.program is not None and table is program_counters:
        wanted.append(table.c.program == storable(where.program))
    return wanted
