"""Who clicked, whatever the database."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from clicktrail.base.ids import new_id
from clicktrail.errors import NotFound
from clicktrail.model import Click, Link, Message, MessageState, Verdict
from clicktrail.store import Store
from clicktrail.store.clicks.clicks import LoggedClick
from clicktrail.store.clicks.statistics import Dimensions
from clicktrail.store.finding import clickers
from clicktrail.store.finding.clickers import Clicker, Wanted

DAY = 1_790_000_000_000_000  # 2026-09-21
HOUR = 3_600_000_000


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[Store]:
    opened = await Store.open(store_url)
    yield opened
    await opened.close()


async def sent(store: Store, number: int, subject: str = "Offers", **tags: list[str]) -> Message:
    at = DAY + number * HOUR
    made = Message(
        id=new_id(at),
        accepted_at=at,
        source="news@example.com",
        recipients=(f"reader{number}@example.org",),
        configuration_set="news",
        headers=(("Subject", subject),),
        tags=tags,
        links=(
            Link(0, f"https://shop.example/boots?u={number}"),
            Link(1, "https://shop.example/hats"),
        ),
    )
    await store.messages.add(made)
    await store.messages.finish(made.id, MessageState.SENT, made.recipients, at)
    return made


async def click(store: Store, message: Message, link: int, at: int, verdict: Verdict) -> None:
    url = message.links[link].url
    made = Click(new_id(at), message.id, link, url, at, "192.0.2.1", "Firefox")
    where = Dimensions("2026-09-21T00", "news", "", "")
    await store.clicks.record([LoggedClick(made, where, (), verdict)])


async def emails(store: Store) -> list[Message]:
    """Four of a mailing, of which three were clicked, and one of another."""
    made = [await sent(store, n, campaign=["autumn"]) for n in range(4)]
    made.append(await sent(store, 4, "Bills"))
    await click(store, made[0], 0, DAY + 10 * HOUR, Verdict.HUMAN)
    await click(store, made[0], 0, DAY + 12 * HOUR, Verdict.MACHINE)
    await click(store, made[0], 1, DAY + 11 * HOUR, Verdict.HUMAN)
    await click(store, made[1], 1, DAY + 20 * HOUR, Verdict.MACHINE)
    await click(store, made[3], 0, DAY + 30 * HOUR, Verdict.SUSPECT)
    await click(store, made[4], 0, DAY + 40 * HOUR, Verdict.HUMAN)
    while await store.search.index(100):
        pass
    return made


async def of(store: Store, **wanted: Any) -> list[Clicker]:
    return [each async for some in store.clickers.all(Wanted(**wanted)) for each in some]


async def test_recipients_of_a_mailing_who_clicked_with_first_click_times_and_verdict(
    store: Store,
) -> None:
    made = await emails(store)
    for name in ("Offers", "campaign=autumn"):
        [digest] = await store.clickers.mailings(name)
        assert await store.clickers.mailings(digest.hex()) == [digest]
        found = await of(store, mailing=digest)
        assert [(c.recipient, c.verdict, c.clicks, c.human_clicks) for c in found] == [
            ("reader3@example.org", Verdict.SUSPECT, 1, 0),
            ("reader1@example.org", Verdict.MACHINE, 1, 0),
            ("reader0@example.org", Verdict.HUMAN, 3, 2),
        ]
        last = found[-1]
        assert (last.first_at, last.last_at) == (DAY + 10 * HOUR, DAY + 12 * HOUR)
        assert last.links == tuple(link.url for link in made[0].links)
    with pytest.raises(NotFound, match="no mailing 'Nothing'"):
        await store.clickers.mailings("Nothing")


async def test_of_a_link_only_its_own_clicks_count(store: Store) -> None:
    await emails(store)
    for link in ("/boots", "https://SHOP.example/boots"):
        found = await of(store, link=link)
        assert [(c.recipient, c.clicks) for c in found] == [
            ("reader4@example.org", 1),
            ("reader3@example.org", 1),
            ("reader0@example.org", 2),
        ]


async def test_since_a_time_and_by_what_is_typed(store: Store) -> None:
    await emails(store)
    assert [c.recipient for c in await of(store, since=DAY + 30 * HOUR)] == [
        "reader4@example.org",
        "reader3@example.org",
    ]
    assert [c.recipient for c in await of(store, text="ader1@ offers")] == ["reader1@example.org"]
    assert await of(store, text="reader2@") == []


async def test_all_are_read_a_few_at_a_time(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clickers, "PAGE", 2)
    await emails(store)
    pages = [some async for some in store.clickers.all(Wanted())]
    assert [len(some) for some in pages] == [2, 2]


async def test_an_erased_person_is_not_among_them(store: Store) -> None:
    await emails(store)
    await store.forget_person("reader0@example.org")
    assert "reader0@example.org" not in [c.recipient for c in await of(store)]
