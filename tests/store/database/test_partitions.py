"""PostgreSQL: tables by day, and counters that several writers add to at once."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator

import psycopg
import pytest
from sqlalchemy import Connection

from clicktrail.base.ids import day_of, first_id, new_id, now_us
from clicktrail.errors import StoreUnavailable
from clicktrail.model import Click, Message
from clicktrail.publish.retention import Periods, Retention
from clicktrail.store import Store
from clicktrail.store.clicks.clicks import LoggedClick
from clicktrail.store.clicks.statistics import Counts, Dimensions, add_counts
from clicktrail.store.database.connect import open_database
from clicktrail.store.database.core import Database
from clicktrail.store.database.partitions import AHEAD, BY_DAY, DAY, PENDING_KILOBYTES, make_days
from clicktrail.store.database.turns import SHARDS, take_shard
from support.counting import counted
from support.postgres import NEEDS_POSTGRES, Postgres
from support.service import PATIENCE

pytestmark = NEEDS_POSTGRES
TABLES = [column.table.name for columns in BY_DAY.values() for column in columns]
PLACE = Dimensions("2026-09-21T14", "news", "", "gmail")


@pytest.fixture
def url(postgres: Postgres) -> str:
    return postgres.migrated()


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    opened = await Store.open(url)
    yield opened
    await opened.close()


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    opened = open_database(url)
    yield opened
    await opened.close()


@pytest.fixture
def look(url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


def count(look: psycopg.Connection, table: str) -> int:
    row = look.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()
    assert row is not None
    return int(row[0])


def part(table: str, at: int) -> str:
    return f"{table}_{day_of(at).replace('-', '')}"


def tables(look: psycopg.Connection) -> set[str]:
    return {row[0] for row in look.execute("SELECT relname FROM pg_class WHERE relkind = 'r'")}


def clicked(at: int) -> LoggedClick:
    seen = Click(new_id(at), new_id(at), 0, "https://a.example/", at, "", "")
    return LoggedClick(seen, PLACE)


async def fill(store: Store, at: int, number: int) -> None:
    for _ in range(number):
        await store.messages.add(Message(new_id(at), at, "a@example.com", ("r@gmail.com",)))
    await store.clicks.record([clicked(at) for _ in range(number)])


def make(database: Database, first: int, last: int) -> asyncio.Future[int]:
    return asyncio.ensure_future(database.write(lambda c: make_days(c, first, last)))


async def test_an_open_store_has_the_days_to_come(
    url: str, look: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = now_us()
    monkeypatch.setattr("clicktrail.store.database.postgresql.now_us", lambda: now)
    store = await Store.open(url)
    made = {part(table, now + n * DAY) for table in TABLES for n in range(AHEAD)}
    assert made <= tables(look)
    await fill(store, now, 3)
    assert count(look, part("clicks", now)) == count(look, part("messages", now)) == 3
    assert count(look, "clicks_default") == count(look, "messages_default") == 0
    await store.close()


async def test_ids_go_to_the_day_in_which_they_were_made(
    store: Store, database: Database, look: psycopg.Connection
) -> None:
    midnight = now_us() // DAY * DAY
    await make(database, midnight - DAY, midnight)
    last, first = clicked(midnight - 64), clicked(midnight)
    assert last.click.event_id < first_id(midnight) < first.click.event_id
    await store.clicks.record([last, first])
    assert count(look, part("clicks", midnight - DAY)) == 1
    assert count(look, part("clicks", midnight)) == 1


async def test_little_waits_for_the_index_of_each_day(
    store: Store, database: Database, look: psycopg.Connection
) -> None:
    at = now_us() + 20 * DAY
    await make(database, at, at)
    found = look.execute(
        "SELECT index.relname, index.reloptions FROM pg_index JOIN pg_class index"
        " ON index.oid = indexrelid JOIN pg_am ON pg_am.oid = relam"
        " WHERE amname = 'gin' AND relkind = 'i'"
    ).fetchall()
    assert len({name for name, _ in found if part("message_texts", at) in name}) >= 1
    assert len({name for name, _ in found if "message_texts_default" in name}) >= 1
    option = f"gin_pending_list_limit={PENDING_KILOBYTES}"
    assert [name for name, options in found if options != [option]] == []


async def test_what_belongs_to_no_day_is_kept_and_moves_when_its_day_is_made(
    store: Store, database: Database, look: psycopg.Connection
) -> None:
    for at in (now_us() - 10 * DAY, now_us() + 20 * DAY):
        await fill(store, at, 2)
        assert count(look, "clicks_default") == count(look, "message_contents_default") == 2
        assert await make(database, at, at) == len(TABLES)
        assert await make(database, at, at) == 0
        assert count(look, "clicks_default") == count(look, "message_contents_default") == 0
        assert count(look, part("clicks", at)) == 2
    assert len(await store.browse.newest_clicks(10)) == 4


async def test_old_days_are_dropped_and_what_was_counted_stays(
    store: Store, database: Database, look: psycopg.Connection
) -> None:
    now = now_us()
    old, older, late = now - 61 * DAY, now - 62 * DAY, now - 90 * DAY
    await make(database, older, now)
    for at in (older, old, late, now - 59 * DAY):
        await fill(store, at, 2)
    done = await Retention(store, Periods()).apply(now)
    # Two days of each; what came later than its day was there goes row by row.
    assert done["tables of messages"] == 2 * len(BY_DAY["messages"])
    assert done["tables of clicks"] == 2
    assert (done["messages"], done["clicks"]) == (2, 2)
    assert part("clicks", old) not in tables(look)
    assert len(await store.browse.newest_clicks(10)) == 2
    assert len(await store.browse.messages(10)) == 8
    assert sum(day.clicks for day in await store.statistics.daily()) == 8
    assert await Retention(store, Periods()).apply(now) == {}


async def test_origins_go_only_where_they_shall_and_after_what_needs_them(
    store: Store, database: Database
) -> None:
    now = now_us()
    await make(database, now - 62 * DAY, now)
    await fill(store, now - 61 * DAY, 2)
    await fill(store, now - 50 * DAY, 2)
    done = await Retention(store, Periods(origins=10)).apply(now)
    assert done["tables of origins"] == 2 * len(BY_DAY["origins"])
    assert len(await store.browse.messages(10)) == 2


async def test_who_reads_a_whole_table_is_waited_for_only_a_moment(
    store: Store, database: Database, look: psycopg.Connection
) -> None:
    old = now_us() - 61 * DAY
    await make(database, old, old)
    with look.transaction():
        look.execute("SELECT * FROM clicks")  # as pg_dump does for hours
        with pytest.raises(StoreUnavailable, match="lock"):
            await store.partitions.drop("clicks", now_us() - 60 * DAY)
        await fill(store, now_us(), 1)
    assert await store.partitions.drop("clicks", now_us() - 60 * DAY) == 1


async def test_several_nodes_make_the_same_days_at_once(url: str) -> None:
    databases = [open_database(url) for _ in range(4)]
    at = now_us() + 40 * DAY
    made = await asyncio.gather(*(make(each, at, at + 3 * DAY) for each in databases))
    assert sorted(made) == [0, 0, 0, 4 * len(TABLES)]
    for opened in databases:
        await opened.close()


class Unfinished:
    """A transaction that has counted, and does not end before it is told to."""

    def __init__(self, database: Database) -> None:
        self._counted, self._end = threading.Event(), threading.Event()
        self._running = asyncio.ensure_future(database.write(self._count))

    def _count(self, connection: Connection) -> int:
        shard = take_shard(connection)
        add_counts(connection, shard, {PLACE: Counts(clicks=1)})
        self._counted.set()
        self._end.wait(PATIENCE)
        return shard

    async def counted(self) -> None:
        assert await asyncio.to_thread(self._counted.wait, PATIENCE)

    async def end(self) -> int:
        self._end.set()
        return await self._running


async def test_nobody_waits_for_another_who_counts_the_same(url: str, store: Store) -> None:
    databases = [open_database(url) for _ in range(3)]
    several = [Unfinished(each) for each in databases]
    for each in several:
        await each.counted()  # while none of the others has committed
    assert len(await store.clicks.record([clicked(now_us())])) == 1
    assert sorted([await each.end() for each in several]) == [0, 1, 2]
    assert (await counted(store)).clicks == 4
    for opened in databases:
        await opened.close()


async def test_who_is_alone_makes_no_more_rows_than_without(
    store: Store, look: psycopg.Connection
) -> None:
    for _ in range(5):
        await store.clicks.record([clicked(now_us())])
    assert count(look, "counters") == 1


async def test_more_writers_than_shards_wait_and_get_through(url: str, store: Store) -> None:
    databases = [open_database(url) for _ in range(SHARDS // 4)]
    several = [Unfinished(each) for each in databases for _ in range(4)]
    for each in several:
        await each.counted()
    late = asyncio.ensure_future(store.clicks.record([clicked(now_us())]))
    done, _ = await asyncio.wait([late], timeout=0.3)
    assert not done
    assert sorted([await each.end() for each in several]) == list(range(SHARDS))
    assert len(await late) == 1
    assert (await counted(store)).clicks == SHARDS + 1
    for opened in databases:
        await opened.close()
