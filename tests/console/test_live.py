"""Streams of live clicks over real sockets: what they begin with, and that others get turns."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import httpx
import pytest

from clicktrail.base.ids import hour_of, new_id
from clicktrail.console.app import Console
from clicktrail.model import Click
from clicktrail.store import Store
from clicktrail.store.clicks.clicks import LoggedClick
from clicktrail.store.clicks.statistics import Dimensions

AT = 1_790_000_000_000_000  # 2026-09-21
NEWEST = 500
"""How many clicks a stream begins with at the most."""


async def clicked(store: Store, number: int, first: int = 0) -> list[str]:
    """Record so many clicks; return their ids, the oldest first."""
    made = []
    for n in range(first, first + number):
        at = AT + n * 1000
        click = Click(
            new_id(at), new_id(AT), 0, f"https://a.example/{n}", at, "192.0.2.1", "Firefox"
        )
        made.append(LoggedClick(click, Dimensions(hour_of(at), "news", "", "Google")))
    await store.clicks.record(made)
    return [each.click.event_id for each in made]


@contextlib.asynccontextmanager
async def events(client: httpx.AsyncClient, after: str) -> AsyncIterator[AsyncIterator[str]]:
    """Open a stream, and give the ids of the clicks in it."""
    async with client.stream("GET", "/live/events", params={"after": after}) as answer:
        assert answer.status_code == 200
        lines = answer.aiter_lines()
        yield (line.removeprefix("id: ") async for line in lines if line.startswith("id: "))


async def until(last: str, ids: AsyncIterator[str]) -> list[str]:
    found = [await anext(ids)]
    while found[-1] != last:
        found.append(await anext(ids))
    return found


@pytest.mark.parametrize("after", ["", "0", "\0", "\ufffd", "z" * 99])
async def test_who_is_far_behind_begins_with_the_newest(
    store: Store, viewer: httpx.AsyncClient, after: str
) -> None:
    ids = await clicked(store, NEWEST + 200)
    async with events(viewer, after) as seen:
        assert await until(ids[-1], seen) == ids[-NEWEST:]


async def test_each_stream_goes_on_from_where_it_is(
    store: Store, viewer: httpx.AsyncClient
) -> None:
    ids = await clicked(store, 60)
    async with (
        events(viewer, "") as behind,
        events(viewer, ids[49]) as near,
        events(viewer, ids[-1]) as ahead,
        events(viewer, "\0") as strange,
    ):
        assert await until(ids[-1], near) == ids[50:]
        assert await until(ids[-1], behind) == ids
        assert await until(ids[-1], strange) == ids
        more = await clicked(store, 3, first=60)
        for stream in (behind, near, ahead, strange):
            assert await until(more[-1], stream) == more


async def test_others_get_a_turn_between_clicks(store: Store, viewer: httpx.AsyncClient) -> None:
    ids = await clicked(store, NEWEST)
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with events(viewer, "") as seen:
        assert await anext(seen) == ids[0]
        working = asyncio.create_task(others())
        await until(ids[-1], seen)
        working.cancel()
    assert turns > NEWEST / 2


async def test_streams_end_with_the_console(console: Console, viewer: httpx.AsyncClient) -> None:
    async with events(viewer, "") as seen, events(viewer, "") as other:
        console.stop()
        assert [each async for each in seen] == []
        assert [each async for each in other] == []
