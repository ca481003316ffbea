"""What is special of the journal on JetStream: a broker that comes and goes, and many readers."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from clicktrail.base.faults import Faults
from clicktrail.base.ids import new_id, now_us
from clicktrail.errors import JournalUnavailable
from clicktrail.journal import Journal, jetstream
from clicktrail.journal.jetstream import JetStreamJournal, JetStreamOptions
from clicktrail.journal.spool import SpooledJournal
from clicktrail.model import Click
from clicktrail.service import checkup
from clicktrail.service.checkup import Checkup
from support.service import PATIENCE
from support.stream_servers import Nats

Opener = Callable[..., JetStreamJournal]


@pytest.fixture
async def opened() -> AsyncIterator[Opener]:
    async with AsyncExitStack() as stack:

        def open_journal(server: Nats, timeout: float = 60) -> JetStreamJournal:
            options = JetStreamOptions(f"nats://{server.address}", "clicks", timeout=timeout)
            journal = JetStreamJournal(options)
            stack.push_async_callback(journal.close)
            return journal

        yield open_journal


def click(number: int = 0) -> Click:
    url = f"https://example.com/{number}"
    return Click(new_id(), "m" * 21, number, url, now_us(), "192.0.2.1", "Firefox")


async def until_taken(journal: Journal, one: Click) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                return await journal.append(one)
            except JournalUnavailable:
                await asyncio.sleep(0.05)


async def numbers(journal: Journal, least: int = 0) -> list[int]:
    """Read and commit all that is there: so many clicks at least, however long they take."""
    found: list[int] = []
    async with asyncio.timeout(PATIENCE):
        while entries := await journal.read(1000, 30 if len(found) < least else 0.2):
            found += [entry.click.link for entry in entries]
            await journal.commit(entries)
    return found


async def held(journal: Journal, number: int) -> list[int]:
    """Read so many clicks, and commit none: a broker on a busy machine gives a few at a time."""
    found: list[int] = []
    async with asyncio.timeout(PATIENCE):
        while len(found) < number:
            entries = await journal.read(number - len(found), 30)
            found += [entry.click.link for entry in entries]
    return found


def test_a_url_names_several_servers() -> None:
    options = JetStreamOptions("nats://me:pass@a.example:4222,b.example:4223")
    assert options.servers == ["nats://me:pass@a.example:4222", "nats://me:pass@b.example:4223"]


async def test_a_click_that_comes_twice_is_there_once(tmp_path: Path, opened: Opener) -> None:
    with Nats(tmp_path) as server:
        writer, other = opened(server), opened(server)
        one = click()
        await writer.append(one, one)
        await other.append(one)
        assert await numbers(opened(server), 1) == [0]


async def test_readers_share_the_clicks(tmp_path: Path, opened: Opener) -> None:
    with Nats(tmp_path) as server:
        writer, one, two = opened(server), opened(server), opened(server)
        await writer.append(*(click(n) for n in range(40)))
        mine = await held(one, 20)
        assert sorted(mine + await held(two, 20)) == list(range(40))


async def test_what_a_lost_reader_held_comes_to_another(
    tmp_path: Path, opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jetstream, "ACK_WAIT", 1.0)
    with Nats(tmp_path) as server:
        await opened(server).append(click(1), click(2))
        lost = opened(server)
        await held(lost, 2)  # and nothing is heard of it again
        assert sorted(set(await numbers(opened(server), 2))) == [1, 2]


async def test_clicks_outlive_the_broker(tmp_path: Path, opened: Opener) -> None:
    with Nats(tmp_path) as server:
        writer, reader = opened(server, 1), opened(server, 1)
        await until_taken(writer, click(1))
        server.kill()
        with pytest.raises(JournalUnavailable):
            await writer.append(click(2))
        server.start()
        await until_taken(writer, click(3))
        async with asyncio.timeout(PATIENCE):
            found: list[int] = []
            while 3 not in found:
                try:
                    found += await numbers(reader)
                except JournalUnavailable:
                    await asyncio.sleep(0.05)
        assert set(found) >= {1, 3}


@pytest.mark.long
async def test_a_stream_that_was_lost_is_made_again(tmp_path: Path, opened: Opener) -> None:
    with Nats(tmp_path) as server:
        writer = opened(server)
        await writer.append(click(1))
        server.kill()
        shutil.rmtree(tmp_path / "data")
        server.start()
        await until_taken(writer, click(2))
        assert await numbers(opened(server), 1) == [2]


async def test_a_broker_that_hangs_fails_in_time(tmp_path: Path, opened: Opener) -> None:
    with Nats(tmp_path) as server:
        journal = opened(server, 1)
        await until_taken(journal, click())
        with server.hung():
            async with asyncio.timeout(PATIENCE):
                with pytest.raises(JournalUnavailable):
                    await journal.append(click())
        await until_taken(journal, click())


async def test_the_spool_takes_clicks_until_the_broker_is_there(
    tmp_path: Path, opened: Opener
) -> None:
    server = Nats(tmp_path / "nats")
    journal = SpooledJournal(opened(server, 1), tmp_path / "spool", 0.2)
    journal.start()
    for number in range(20):
        async with asyncio.timeout(PATIENCE):
            await journal.append(click(number))
    with server:
        reader = opened(server)
        found: list[int] = []
        async with asyncio.timeout(PATIENCE):
            while len(found) < 20:
                found += await numbers(reader)
        assert sorted(found) == list(range(20))
        await journal.close()


async def test_a_stream_that_somebody_made_is_taken_as_it_is(
    tmp_path: Path, opened: Opener
) -> None:
    with Nats(tmp_path) as server:
        await server.make_stream("clicks", "clicks.clicks")
        journal = opened(server)
        await journal.append(click(5))
        assert await numbers(journal, 1) == [5]


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ({"storage": "file"}, ""),
        ({"storage": "file", "max_msgs": 10, "discard": "new"}, ""),
        ({"storage": "memory"}, "its storage is not file"),
        ({"storage": "file", "max_msgs": 10}, "its max_msgs drops the oldest"),
        ({"storage": "file", "max_bytes": 10_000}, "its max_bytes drops the oldest"),
        ({"storage": "file", "max_age": 60}, "its max_age drops the oldest"),
        (
            {"storage": "file", "max_msgs_per_subject": 9, "discard": "new"},
            "its max_msgs_per_subject drops the oldest",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
async def test_a_stream_that_forgets_clicks_is_told(
    tmp_path: Path, opened: Opener, config: dict[str, Any], why: str
) -> None:
    import nats

    with Nats(tmp_path) as server:
        client = await nats.connect(f"nats://{server.address}")
        await client.jetstream().add_stream(name="clicks", subjects=["clicks.clicks"], **config)
        await client.close()
        with capture_logs() as lines:
            await opened(server).append(click(1))
        told = [line["why"] for line in lines if "forgets clicks" in line["event"]]
        assert told == ([why] if why else [])


async def test_a_message_that_is_no_click_is_passed_over(tmp_path: Path, opened: Opener) -> None:
    with Nats(tmp_path) as server:
        journal = opened(server)
        await journal.append(click(1))
        import nats

        client = await nats.connect(f"nats://{server.address}")
        await client.jetstream().publish("clicks.clicks", b"not a click")
        await client.close()
        await journal.append(click(2))
        assert await numbers(journal, 2) == [1, 2]


async def test_a_check_that_asks_the_broker_ends_at_any_moment(
    tmp_path: Path, opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer that comes with the cancellation takes its place, in Python 3.11."""
    monkeypatch.setattr(checkup, "EVERY_SECONDS", 0.0)
    with Nats(tmp_path) as server:
        journal = opened(server)
        await until_taken(journal, click())
        for number in range(40):
            check = Checkup(Faults(), {"journal": journal.append})
            await check.start()
            for _ in range(number % 20):
                await asyncio.sleep(0)
            async with asyncio.timeout(PATIENCE):
                await check.stop()
