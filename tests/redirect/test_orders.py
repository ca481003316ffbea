"""Redirects follow the copy of orders in the data folder, whatever becomes of it meanwhile."""

import asyncio
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from clicktrail.keys.orders import OrdersCopy
from clicktrail.model import Orders
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


async def test_what_could_not_be_read_is_read_as_soon_as_it_can(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    copy = OrdersCopy(tmp_path)
    copy.write(Orders("1"))
    heard: asyncio.Queue[Orders] = asyncio.Queue()
    following = Following(copy, heard.put_nowait)
    with no_file_can_be_opened():
        following.start()
    assert heard.empty()
    try:
        async with asyncio.timeout(PATIENCE):
            assert await heard.get() == Orders("1")
            copy.path.write_bytes(b"\xc1")  # no MessagePack
            while "damaged" not in caplog.text:  # noqa: ASYNC110 - what happens sets no event
                await asyncio.sleep(0.05)
            copy.path.unlink()
            copy.write(Orders("2"))
            assert await heard.get() == Orders("2")
    finally:
        await following.stop()
    assert caplog.text.count("damaged") == 1
    assert heard.empty()
