"""Streams of live clicks over real sockets: what they begin with, and that others get turns."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Sequence

import httpx
import pytest

from clicktrail.base.ids import hour_of, new_id
from clicktrail.console.app import Console
from clicktrail.console.clicks.live import SHOWN
from clicktrail.console.clicks.looks import WATCHED
from clicktrail.model import Click, Link, Message, Verdict
from clicktrail.model.anonymous import anonymous_origin
from clicktrail.store import Store
from clicktrail.store.clicks.clicks import LoggedClick
from clicktrail.store.clicks.statistics import Dimensions
from support.jury import Correction

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


async def test_pages_without_a_stream_leave_little_behind(
    store: Store, viewer: httpx.AsyncClient, console: Console
) -> None:
    for number in range(6):
        ids = await clicked(store, SHOWN, first=number * SHOWN)
        assert ids[-1] in (await viewer.get("/live")).text
    kept = console._live._looks._judged
    assert (len(kept), ids[-1] in kept) == (WATCHED, True)


async def test_an_anonymous_click_leads_to_no_email(
    store: Store, viewer: httpx.AsyncClient
) -> None:
    origin = anonymous_origin("news", "anna@gmail.com", AT)
    click = Click(new_id(AT), origin.text, 0, "https://a.example/", AT, "", "")
    made = LoggedClick(click, Dimensions(hour_of(AT), "news", "", "Google"))
    await store.clicks.record([made])
    page = (await viewer.get("/live")).text
    assert '<th scope="row" class="url">anonymous</th>' in page
    assert "/messages/" not in page


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


async def told(lines: AsyncIterator[str]) -> tuple[str, str]:
    """Return the next event's type and data."""
    event = data = ""
    async for line in lines:
        if not line and data:
            return event, data
        name, _, value = line.partition(": ")
        event = value if name == "event" else event
        data += value if name == "data" else ""
    raise AssertionError("the stream has ended")


async def judge_anew(store: Store, ids: Sequence[str], reason: str = "burst") -> None:
    """Find clicks of machines that were people's."""
    corrected = [
        LoggedClick(
            each.click, Dimensions("2026-09-21T13", "news", "", "Google"), (), Verdict.MACHINE,
            (reason,),
        )
        for each in await store.browse.clicks(ids)
    ]  # fmt: skip
    await store.clicks.record([], Correction(corrected))


async def test_a_click_that_is_judged_anew_comes_once_more(
    store: Store, viewer: httpx.AsyncClient
) -> None:
    first, second = await clicked(store, 2)
    page = (await viewer.get("/live")).text
    assert re.findall(r'id="click-([^"]+)"', page) == [second, first]
    await judge_anew(store, [first])  # before the page's stream has begun
    async with viewer.stream("GET", "/live/events", params={"after": second}) as answer:
        lines = answer.aiter_lines()
        event, row = await told(lines)
        assert (event, f'id="click-{first}"' in row) == ("judged", True)
        assert "machine</span>" in row
        assert "within two seconds" in row, "why, in words"
        await judge_anew(store, [second])
        event, row = await told(lines)
        assert (event, f'id="click-{second}"' in row) == ("judged", True)
        (third,) = await clicked(store, 1, first=2)
        event, row = await told(lines)
        assert (event, f'id="click-{third}"' in row) == ("", True)


async def test_what_the_filters_let_no_more_is_gone(
    store: Store, viewer: httpx.AsyncClient
) -> None:
    first, second = await clicked(store, 2)
    only = {"verdict": "human", "after": second}
    await viewer.get("/live", params=only)
    async with viewer.stream("GET", "/live/events", params=only) as answer:
        await judge_anew(store, [first])
        assert await told(answer.aiter_lines()) == ("gone", first)


async def test_a_row_says_whose_click_it_is_on_which_words(
    store: Store, viewer: httpx.AsyncClient
) -> None:
    message = Message(
        id=new_id(AT),
        accepted_at=AT,
        source="news@a.example",
        recipients=("ada@reader.example",),
        configuration_set="news",
        headers=(("Subject", "=?utf-8?b?0JrQvdC40LPQuA==?="),),
        links=(Link(0, "https://a.example/0", (("place", "top"),)),),
        html=('<a href="#clicktrail-0"><b>Read</b> on &gt;</a>',),
    )
    await store.messages.add(message)
    at = AT + 1000
    click = Click(new_id(at), message.id, 0, "https://a.example/0", at, "192.0.2.1", "Firefox")
    where = Dimensions(hour_of(at), "news", "", "Google")
    await store.clicks.record([LoggedClick(click, where)])
    page = (await viewer.get("/live", params={"tag": "place=top"})).text
    for said in ("ada@reader.example</a>", "Книги", "Read on &gt;", "link 1 of 1, place: top"):
        assert said in page
    assert f'data-last="{at // 1000}"' in page


async def test_by_link_tag_so_many_clicks_are_looked_at(
    store: Store, viewer: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clicktrail.console.clicks.live.READ", 3)
    monkeypatch.setattr("clicktrail.console.clicks.live.RECENT", 2)
    await clicked(store, 9)
    page = (await viewer.get("/live", params={"tag": "place"})).text
    assert "the newest 4 were looked at" in page
    assert "looked at" not in (await viewer.get("/live")).text
