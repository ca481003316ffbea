"""Redirects follow the copy of orders in the data folder, whatever becomes of it meanwhile."""

import asyncio
import random
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from clicktrail.errors import ClicktrailError
from clicktrail.keys.orders import OrdersCopy
from clicktrail.keys.token import Opened
from clicktrail.model import LinkChange, Orders
from clicktrail.redirect.changes import Changes
from clicktrail.redirect.orders import Following
from support.service import PATIENCE


@contextmanager
def no_file_can_be_opened() -> Iterator[None]:
    """As under more connections than a process may have files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


URL = "http://a.example/"


def told(version: str, *more: LinkChange) -> Orders:
    return Orders(version, (LinkChange(version, URL, f"http://b.example/{version}"), *more))


def led(changes: Changes) -> str | None:
    change = changes.of(Opened("x", 0, URL, 1))
    assert change is not None
    return change.destination


def on_loop(heard: "asyncio.Queue[Changes]") -> Callable[[Changes], None]:
    loop = asyncio.get_running_loop()

    def hear(changes: Changes) -> None:
        loop.call_soon_threadsafe(heard.put_nowait, changes)

    return hear


async def test_what_could_not_be_read_is_read_as_soon_as_it_can(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    copy = OrdersCopy(tmp_path)
    copy.write(told("1"))
    heard: asyncio.Queue[Changes] = asyncio.Queue()
    following = Following(copy, on_loop(heard))
    with no_file_can_be_opened():
        following.start()
    assert heard.empty()
    try:
        async with asyncio.timeout(PATIENCE):
            assert led(await heard.get()) == "http://b.example/1"
            copy.path.write_bytes(b"\xc1")  # no MessagePack
            while "damaged" not in caplog.text:  # noqa: ASYNC110 - what happens sets no event
                await asyncio.sleep(0.05)
            copy.path.unlink()
            copy.write(told("2"))
            assert led(await heard.get()) == "http://b.example/2"
    finally:
        await following.stop()
    assert caplog.text.count("damaged") == 1
    assert heard.empty()


async def test_a_fault_of_ours_ends_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    copy = OrdersCopy(tmp_path)
    copy.write(told("1"))
    heard: asyncio.Queue[Changes] = asyncio.Queue()
    well, hear = asyncio.Event(), on_loop(heard)

    def hand_on(changes: Changes) -> None:
        if not well.is_set():
            raise LookupError(URL)
        hear(changes)

    following = Following(copy, hand_on)
    following.start()
    try:
        async with asyncio.timeout(PATIENCE):
            with pytest.raises(ClicktrailError, match="LookupError"):
                await following.check()
            well.set()
            assert led(await heard.get()) == "http://b.example/1"
            copy.write(told("2"))
            assert led(await heard.get()) == "http://b.example/2"
            await following.check()
    finally:
        await following.stop()
    assert caplog.text.count("orders cannot be followed") == 1


def test_emails_that_are_spared_are_told_from_all_others() -> None:
    chance = random.Random(5)
    some = sorted({chance.randbytes(8) for _ in range(5000)})
    others = {chance.randbytes(8) for _ in range(5000)} - set(some)
    others |= {each[:7] + bytes([each[7] ^ 1]) for each in some[:500]} - set(some)
    first = Changes(Orders("1 a", (), b"".join(some)))
    second = Changes(Orders("2 a", (LinkChange("2", URL, None),), b"".join(some)), first)
    for changes in (first, second):
        assert all(map(changes.spares, some))
        assert not any(map(changes.spares, [*others, b""]))
    assert second.spared is first.spared  # it is not read anew
    third = Changes(Orders("2 b", (), some[0]), second)
    assert [each for each in some if third.spares(each)] == some[:1]
    assert not Changes(Orders("3 c"), third).spares(some[0])


async def test_people_click_on_while_thousands_of_changes_are_read(tmp_path: Path) -> None:
    long = "http://a.example/" + "é" * 3000
    many = tuple(LinkChange(f"{n}", f"{long}{n}", "http://b.example/") for n in range(500))
    begun = time.process_time()
    before = Changes(told("1", *many))
    whole = time.process_time() - begun
    begun = time.process_time()
    assert led(Changes(told("2", *many), before)) == "http://b.example/2"
    assert time.process_time() - begun < whole / 4  # what held before is not read anew
    copy = OrdersCopy(tmp_path)
    copy.write(told("1"))
    heard: asyncio.Queue[Changes] = asyncio.Queue()
    following = Following(copy, on_loop(heard))
    following.start()
    gaps = []
    try:
        async with asyncio.timeout(PATIENCE):
            await heard.get()
            copy.write(told("3", *many))
            while heard.empty():
                begun = time.thread_time()
                await asyncio.sleep(0.01)
                gaps.append(time.thread_time() - begun)
    finally:
        await following.stop()
    assert max(gaps) < whole / 2  # the loop's own thread has not read it
