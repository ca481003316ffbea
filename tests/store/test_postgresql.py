"""Several nodes on one PostgreSQL: side by side, and while it is away."""

import asyncio
import re
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, create_engine, inspect

from clicktrail.errors import InvalidInput, StoreUnavailable
from clicktrail.ids import new_id, now_us
from clicktrail.model import Click, ConfigurationSet, Message, MessageState, Verdict
from clicktrail.store import Store
from clicktrail.store.clicks import LoggedClick
from clicktrail.store.connect import open_database
from clicktrail.store.outbox import Notification
from clicktrail.store.schema import metadata
from clicktrail.store.statistics import Dimensions
from clicktrail.store.streams import NewStreamEvent
from support.opening import OPEN
from support.postgres import NEEDS_POSTGRES, Postgres

pytestmark = NEEDS_POSTGRES
DAY = 1_790_000_000_000_000  # 2026-09-21
HOUR = "2026-09-21T14"
KEY = ("news", "hook")
ARN = "arn:clicktrail:webhook:::http://hook.example/"

Nodes = Callable[[int], Awaitable[list[Store]]]


@pytest.fixture
def url(postgres: Postgres) -> str:
    return postgres.migrated()


@pytest.fixture
async def nodes(url: str) -> AsyncIterator[Nodes]:
    """Opens one store, as so many nodes have it open."""
    opened: list[Store] = []

    async def open_some(number: int) -> list[Store]:
        opened.extend([await Store.open(url) for _ in range(number)])
        return opened

    yield open_some
    for store in opened:
        await store.close()


def click(number: int, message: str = "m" * 21, **more: object) -> LoggedClick:
    # Everybody adds to the same ten sets of counters, each in an order of its own.
    seen = Click(new_id(DAY), message, number % 7, f"https://a.example/{number % 11}", DAY, "", "")
    return LoggedClick(
        seen,
        Dimensions(HOUR, f"set-{number % 10}", "", "gmail"),
        tags=(("k", str(number % 5)),),
        outgoing=(
            NewStreamEvent("clicks", seen.event_id, b"{}", DAY),
            Notification(seen.event_id, *KEY, ARN, b"{}"),
        ),
        **more,  # type: ignore[arg-type]
    )


def test_several_nodes_may_make_the_tables_at_once(postgres: Postgres) -> None:
    url = postgres.url(postgres.fresh())
    nodes = [subprocess.Popen([sys.executable, "-c", OPEN, url]) for _ in range(3)]
    assert [node.wait(60) for node in nodes] == [0] * 3


def is_no_part(name: str, *_: object) -> bool:
    return re.fullmatch(r".*_(default|\d{8})", name or "") is None


def test_migrations_make_the_tables_of_the_schema_with_texts_as_bytes(url: str) -> None:
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.connect() as connection:
        opts = {"compare_type": True, "include_name": is_no_part}
        context = MigrationContext.configure(connection, opts=opts)
        assert compare_metadata(context, metadata) == []
        for table in metadata.tables:
            for column in inspect(connection).get_columns(table):
                if hasattr(column["type"], "collation"):
                    assert column["type"].collation == "C", (table, column["name"])
    engine.dispose()


async def test_a_database_of_a_newer_version_is_not_touched(postgres: Postgres, url: str) -> None:
    postgres.sql("UPDATE alembic_version SET version_num = '9999'", url.rpartition("/")[2])
    with pytest.raises(StoreUnavailable, match="newer version of Clicktrail"):
        await Store.open(url)


@pytest.mark.parametrize("url", ["postgresql://host", "postgresql://h:port/db", "postgresql://"])
def test_urls_without_a_database_are_refused(url: str) -> None:
    with pytest.raises(InvalidInput, match="postgresql://user:password@host/database"):
        open_database(url)


async def test_no_password_is_told_when_there_is_no_server(postgres: Postgres) -> None:
    url = postgres.url("nowhere").replace("postgres@", "postgres:secret@")
    with pytest.raises(StoreUnavailable, match="nowhere") as raised:
        await Store.open(url)
    assert "secret" not in str(raised.value)
    assert not raised.value.permanent


async def test_publishers_side_by_side_lose_and_double_nothing(nodes: Nodes) -> None:
    stores = await nodes(3)
    logged = [click(number) for number in range(300)]

    async def record(store: Store, number: int) -> int:
        # The others' order, and some of the others' clicks again.
        mine = logged[number * 100 :] + logged[: number * 100 + 50]
        if number == 1:
            mine.reverse()
        batches = [mine[start : start + 25] for start in range(0, len(mine), 25)]
        return sum([await store.clicks.record(batch) for batch in batches])

    new = await asyncio.gather(*(record(s, n) for n, s in enumerate(stores)))
    store = stores[0]
    assert sum(new) == 300
    [day] = await store.statistics.daily()
    assert (day.clicks, day.unique_clicks) == (300, 7)
    assert sum(link.clicks for link in await store.statistics.links()) == 300
    assert sum(tag.clicks for tag in await store.statistics.tags()) == 300
    read = await store.streams.read("clicks", 0, 1000)
    assert Counter(e.event_id for e in read) == Counter(e.click.event_id for e in logged)


async def test_a_correction_by_two_publishers_counts_once(nodes: Nodes) -> None:
    stores = await nodes(2)
    logged = [click(number) for number in range(100)]
    await stores[0].clicks.record(logged)
    now = [replace(each, verdict=Verdict.MACHINE) for each in logged]
    await asyncio.gather(*(store.clicks.record([], now) for store in stores))
    [day] = await stores[0].statistics.daily()
    assert (day.clicks, day.human_clicks) == (100, 0)


async def test_an_answer_that_two_nodes_write_is_counted_once(nodes: Nodes) -> None:
    stores = await nodes(2)
    sent = [Message(new_id(DAY), DAY, "a@example.com", ("r@gmail.com",)) for _ in range(50)]
    await asyncio.gather(*(stores[0].messages.add(each) for each in sent))

    def finish(store: Store, message: Message) -> Awaitable[None]:
        return store.messages.finish(message.id, MessageState.SENT, ("r@gmail.com",), DAY)

    await asyncio.gather(*(finish(s, m) for m in sent for s in stores))
    [day] = await stores[0].statistics.daily()
    assert day.sent == 50


async def test_no_notification_is_claimed_by_two_publishers(nodes: Nodes) -> None:
    stores = await nodes(4)
    await stores[0].clicks.record([click(number) for number in range(400)])
    now = now_us()

    async def claim(store: Store) -> list[int]:
        found: list[int] = []
        while taken := await store.outbox.claim(KEY, ARN, now, now + 10**9, 7):
            found += [each.id for each in taken]
            assert {each.attempt for each in taken} == {1}
        return found

    claimed = await asyncio.gather(*(claim(store) for store in stores))
    assert Counter(id_ for some in claimed for id_ in some).most_common(1)[0][1] == 1
    # Whoever found nothing left it to those who held it: all is taken.
    assert sum(map(len, claimed)) == 400


async def test_a_reader_of_a_stream_never_misses_what_commits_late(nodes: Nodes) -> None:
    stores = await nodes(3)
    total = 3 * 40

    async def write(store: Store) -> None:
        for _ in range(40):
            await store.streams.append([NewStreamEvent("s", new_id(DAY), b"{}", DAY)] * 3)

    async def read() -> int:
        seen, after = 0, 0
        while seen < total * 3:
            for event in await stores[0].streams.read("s", after, 10):
                assert event.position > after
                seen, after = seen + 1, event.position
        return seen

    async with asyncio.timeout(30):
        seen, *_ = await asyncio.gather(read(), *map(write, stores))
    assert seen == total * 3


async def test_the_same_name_made_by_two_nodes_is_there_once(nodes: Nodes) -> None:
    stores = await nodes(2)
    for number in range(10):
        made = [s.configuration.create_set(ConfigurationSet(f"s{number}")) for s in stores]
        ended = await asyncio.gather(*made, return_exceptions=True)
        assert sorted(type(each).__name__ for each in ended) == ["AlreadyExists", "NoneType"]


async def test_nothing_is_written_by_who_only_reads(url: str) -> None:
    database = open_database(url)

    def write(connection: Connection) -> None:
        connection.exec_driver_sql("DELETE FROM clicks")

    with pytest.raises(StoreUnavailable, match="read-only"):
        await database.read(write)
    await database.close()


async def test_a_server_that_was_away_is_unavailable_and_comes_back() -> None:
    with Postgres() as server:
        store = await Store.open(server.url(server.fresh()))
        await store.configuration.create_set(ConfigurationSet("one"))
        server.stop()
        for call in (store.configuration.list_sets(), store.clicks.record([click(1)])):
            with pytest.raises(StoreUnavailable) as raised:
                await call
            assert not raised.value.permanent
        server.start()
        assert await store.clicks.record([click(2)]) == 1
        assert [each.name for each in await store.configuration.list_sets()] == ["one"]
        await store.close()
