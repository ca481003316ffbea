"""What every journal promises, whatever it is made of."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from clicktrail.base.ids import new_id, now_us
from clicktrail.errors import JournalUnavailable
from clicktrail.journal import Entry, Journal
from clicktrail.journal.jetstream import JetStreamJournal, JetStreamOptions
from clicktrail.journal.memory import MemoryJournal, MemoryShelf
from clicktrail.journal.spool import SpooledJournal
from clicktrail.journal.sqlite import SqliteJournal
from clicktrail.model import Click
from support.service import PATIENCE
from support.stream_servers import Nats

Opener = Callable[[], Journal]
"""Opens the same journal once more, as another process would."""


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nats]:
    with Nats(tmp_path_factory.mktemp("nats")) as running:
        yield running


def opener_of(kind: str, folder: Path, request: pytest.FixtureRequest) -> Opener:
    if kind == "jetstream":
        url = f"nats://{request.getfixturevalue('broker').address}"
        options = JetStreamOptions(url, f"stream-{uuid4().hex}")
        return lambda: JetStreamJournal(options)
    if kind == "memory":
        shelf = MemoryShelf()
        return lambda: MemoryJournal(shelf)
    if kind == "sqlite":
        return lambda: SqliteJournal(folder / "journal.db")
    # On a busy machine too, nothing may take the way through the spool: that one has own tests.
    journal, spool = folder / "journal.db", folder / "spool"
    return lambda: SpooledJournal(SqliteJournal(journal), spool, timeout=60)


@pytest.fixture(params=["memory", "sqlite", "spooled", "jetstream"])
async def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Opener]:
    opener = opener_of(request.param, tmp_path, request)
    async with AsyncExitStack() as stack:

        def reopen() -> Journal:
            journal = opener()
            stack.push_async_callback(journal.close)
            return journal

        yield reopen


def click(number: int = 0, **changes: Any) -> Click:
    fields: dict[str, Any] = {
        "event_id": new_id(),
        "message_id": "m" * 21,
        "url": f"https://example.com/{number}?a=b&c=d",
        "ip": "192.0.2.1",
        "user_agent": "Mozilla/5.0",
        "request": number,
    }
    return Click(link=number, clicked_at=now_us(), **fields | changes)


async def append_all(journal: Journal, clicks: Sequence[Click]) -> None:
    async def append(one: Click) -> None:
        await journal.append(one)

    await asyncio.gather(*map(append, clicks))


async def read_all(
    journal: Journal, wanted: Sequence[Click] = (), limit: int = 1000
) -> list[Entry]:
    """Read until the wanted clicks have come, however long it takes, and what comes behind them.

    A broker on a busy machine gives a few at a time.
    """
    entries: list[Entry] = []
    missing = {one.event_id for one in wanted}
    async with asyncio.timeout(PATIENCE):
        while (new := await journal.read(limit, 30 if missing else 0.4)) or missing:
            entries += new
            missing -= {entry.click.event_id for entry in new}
    return entries


async def test_what_was_appended_is_read_as_it_was(reopen: Opener) -> None:
    writer, reader = reopen(), reopen()
    odd = click(1, url="https://例え.テスト/\x00\ud800?é", user_agent="\udcff", ip="2001:db8::1")
    plain = click(2)
    await writer.append(odd)
    await writer.append(plain)
    assert [entry.click for entry in await read_all(reader, [odd, plain])] == [odd, plain]


async def test_entries_come_oldest_first_at_most_limit_at_a_time(reopen: Opener) -> None:
    journal = reopen()
    clicks = [click(number) for number in range(25)]
    for one in clicks:
        await journal.append(one)
    first = await journal.read(10, 30)
    assert 1 <= len(first) <= 10
    entries = first + await read_all(journal, clicks[len(first) :], 7)
    assert [entry.click for entry in entries] == clicks
    positions = [entry.position for entry in entries]
    assert positions == sorted(set(positions))


async def test_many_appends_at_once_are_each_read_once(reopen: Opener) -> None:
    writers = [reopen(), reopen()]
    clicks = [[click(number) for number in range(1500)] for _ in writers]
    await asyncio.gather(*map(append_all, writers, clicks))
    reader, found = reopen(), list[str]()
    async with asyncio.timeout(PATIENCE):  # where two begin at once, one may have to take the spool
        while len(found) < 3000:
            found += [entry.click.event_id for entry in await read_all(reader)]
    found += [entry.click.event_id for entry in await read_all(reader)]
    assert sorted(found) == sorted(one.event_id for some in clicks for one in some)


async def test_an_empty_journal_gives_nothing_when_the_wait_is_over(reopen: Opener) -> None:
    journal = reopen()
    assert await journal.read(10, 0) == []
    assert await journal.read(10, 0.05) == []


async def test_a_waiting_reader_gets_what_another_appends(reopen: Opener) -> None:
    writer, reader = reopen(), reopen()
    assert await reader.read(10, 0) == []
    waiting = asyncio.create_task(reader.read(10, 30))
    one = click()
    await writer.append(one)
    assert [entry.click for entry in await waiting] == [one]


async def test_a_cancelled_read_loses_nothing(reopen: Opener) -> None:
    writer, reader = reopen(), reopen()
    waiting = asyncio.create_task(reader.read(10, 30))
    await asyncio.sleep(0.01)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    one = click()
    await writer.append(one)
    assert [entry.click for entry in await reader.read(10, 30)] == [one]


async def test_what_is_not_committed_is_read_again_by_the_next_reader(reopen: Opener) -> None:
    writer, reader = reopen(), reopen()
    clicks = [click(number) for number in range(6)]
    for one in clicks:
        await writer.append(one)
    entries = await read_all(reader, clicks, 4)
    await reader.commit(entries[:2])
    await reader.close()
    again = [entry.click for entry in await read_all(reopen(), clicks[2:])]
    # What is committed may be forgotten; what is not must be there.
    assert sorted(one.link for one in again if one not in clicks[:2]) == [2, 3, 4, 5]
    assert all(one in clicks for one in again)


async def test_a_commit_out_of_order_forgets_nothing_that_is_open(reopen: Opener) -> None:
    writer, reader = reopen(), reopen()
    clicks = [click(number) for number in range(6)]
    for one in clicks:
        await writer.append(one)
    entries = await read_all(reader, clicks)
    await reader.commit(entries[3:])
    await reader.close()
    left = [entry.click for entry in await read_all(reopen(), clicks[:3])]
    assert sorted(one.link for one in left if one in clicks[:3]) == [0, 1, 2]


async def test_what_is_committed_is_forgotten(reopen: Opener) -> None:
    writer, reader = reopen(), reopen()
    for number in range(3):
        two = click(number), click(number)
        await writer.append(*two)
        await reader.commit(await read_all(reader, two))
    await reader.close()
    assert await read_all(reopen()) == []


async def test_positions_are_not_used_again_after_all_is_committed(reopen: Opener) -> None:
    writer, reader = reopen(), reopen()
    await writer.append(click(1))
    first = await reader.read(10, 30)
    await reader.commit(first)
    await reader.close()
    reader = reopen()
    assert await reader.read(10, 0) == []
    one = click(2)
    await writer.append(one)
    second = await reader.read(10, 30)
    assert [entry.click for entry in second] == [one]
    assert second[0].position > first[0].position


async def test_close_finishes_what_was_begun_and_then_takes_nothing(reopen: Opener) -> None:
    journal = reopen()
    clicks = [click(number) for number in range(100)]
    appends = [asyncio.ensure_future(journal.append(one)) for one in clicks]
    await asyncio.sleep(0)
    await journal.close()
    await asyncio.gather(*appends)
    with pytest.raises(JournalUnavailable):
        await journal.append(click())
    found = [entry.click.event_id for entry in await read_all(reopen(), clicks)]
    assert sorted(found) == sorted(one.event_id for one in clicks)
