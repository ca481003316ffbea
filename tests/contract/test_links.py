"""Which links are the same: in a mailing whose emails differ, and of all that was clicked."""

from collections.abc import AsyncIterator

import pytest

from clicktrail.base.ids import hour_of, new_id
from clicktrail.model import Click, Link, Message, MessageState, Where
from clicktrail.store import Store
from clicktrail.store.clicks.clicks import LoggedClick
from clicktrail.store.clicks.pages import ORDERS
from clicktrail.store.clicks.statistics import Dimensions
from clicktrail.store.mail.grouping import mailings_of
from clicktrail.store.mail.pages import page_of, version_of
from clicktrail.store.mail.versions import MOST_VERSIONS

AT = 1_790_000_000_000_000  # 2026-09-21


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[Store]:
    opened = await Store.open(store_url)
    yield opened
    await opened.close()


async def sent(store: Store, *urls: str, at: int = AT) -> Message:
    made = Message(
        id=new_id(at),
        accepted_at=at,
        source="news@example.com",
        recipients=("someone@gmail.com",),
        tags={"campaign": ["summer"]},
        links=tuple(Link(n, url) for n, url in enumerate(urls)),
    )
    await store.messages.add(made)
    await store.messages.finish(made.id, MessageState.SENT, made.recipients, at)
    return made


def clicked(message: Message, link: int = 0) -> LoggedClick:
    click = Click(new_id(AT), message.id, link, message.links[link].url, AT, "", "")
    return LoggedClick(
        click,
        Dimensions(hour_of(AT), "", "", "Google"),
        mailings=tuple(key.digest for key in mailings_of(message)),
        version=version_of(message.links),
    )


@pytest.mark.parametrize(
    ("url", "page"),
    [
        ("https://a.example/", "https://a.example/"),
        ("https://a.example/x?id=3&utm_source=n&t=abc#top", "https://a.example/x?id=…&t=…#top"),
        ("https://a.example/?UTM_Source=n", "https://a.example/"),
        ("https://a.example/u/8f14e45fceea167a5a36dedd4bea2543", "https://a.example/u/…"),
        ("https://a.example/u/9b2e1c34-77aa-4d0e-9c11-0123456789ab/", "https://a.example/u/…/"),
        ("https://a.example/u/aB3x9Zk2Lm4Qp7Rt1", "https://a.example/u/…"),
        ("https://a.example/u/reader@example.org/1", "https://a.example/u/…/1"),
        ("https://user:pw@a.example/2026-summer-top-50-books", None),
        ("https://e.example/iphone-15-pro-max-256-gb-black", None),
        ("https://a.example/вход?", "https://a.example/вход"),
        ("tel", None),
        ("", None),
    ],
)
def test_what_is_a_recipients_own_is_left_out(url: str, page: str | None) -> None:
    assert page_of(url) == (url if page is None else page)


async def test_emails_of_a_mailing_that_differ_are_not_summed_by_place(store: Store) -> None:
    urls = [(f"https://a.example/?r={n}", "https://b.example/") for n in range(3)]
    news = [await sent(store, *each, at=AT + n * 1000) for n, each in enumerate(urls)]
    offers = [await sent(store, "https://sendgrid.example/", "https://b.example/")]
    await store.search.index(100)
    await store.clicks.record([clicked(m) for m in (*news, *offers)] + [clicked(offers[0], 1)])
    [mailing] = await store.mailings.newest("tag", 10)
    first, second = await store.mailings.versions(mailing.digest, 10)
    assert (first.sent, first.clicks, first.message_id) == (3, 3, news[-1].id)
    assert (second.sent, second.clicks, second.message_id) == (1, 2, offers[0].id)
    found = await store.mailings.links(mailing.digest, second.version)
    assert [(each.link, each.url, each.clicks) for each in found] == [
        (0, "https://sendgrid.example/", 1),
        (1, "https://b.example/", 1),
    ]
    others = await store.mailings.other_links(mailing.digest, [first.version], 10)
    assert [(each.link, each.url) for each in others] == [(k.index, k.url) for k in offers[0].links]
    assert await store.mailings.other_links(mailing.digest, [], 1) != []


async def test_versions_of_a_mailing_are_bounded(store: Store) -> None:
    for number in range(MOST_VERSIONS + 20):
        message = await sent(store, f"https://a.example/order-{number}")
        if number % 30 == 0:
            await store.search.index(1000)
    await store.search.index(1000)
    await store.clicks.record([clicked(message)])
    [mailing] = await store.mailings.newest("tag", 10)
    versions = await store.mailings.versions(mailing.digest, 1000)
    assert (mailing.sent, len(versions)) == (MOST_VERSIONS + 20, MOST_VERSIONS)
    [other] = await store.mailings.other_links(
        mailing.digest, [each.version for each in versions], 9
    )
    assert other.url == message.links[0].url


async def test_urls_are_one_where_a_value_is_each_emails_own(store: Store) -> None:
    clicks = []
    for number in range(30):
        message = await sent(
            store,
            f"https://a.example/go?t={number}",
            f"https://shop.example/item?id={number % 3}",
            f"https://a.example/?utm_source={'ab'[number % 2]}&x=1",
        )
        clicks += [clicked(message, link) for link in (0, 0, 1, 2)]
    await store.clicks.record(clicks)
    found = await store.pages.top()
    assert [(each.url, each.clicks, each.unique_clicks, each.number) for each in found] == [
        ("https://a.example/go?t=…", 60, 30, 30),
        ("https://a.example/?x=1", 30, 30, 2),
        ("https://shop.example/item?id=0", 10, 10, 1),
        ("https://shop.example/item?id=1", 10, 10, 1),
        ("https://shop.example/item?id=2", 10, 10, 1),
    ]
    go, home, *items = found
    assert len(go.urls) == 20
    assert {(each.clicks, each.human_clicks) for each in go.urls} == {(2, 2)}
    assert {each.clicks for each in home.urls} == {15}
    assert all(each.urls == () for each in items)
    assert sum(each.clicks for each in found) == 120
    assert [each.url for each in await store.pages.top(limit=1)] == [go.url]
    for order in ORDERS:
        ordered = await store.pages.top(by=order)
        assert ordered == sorted(found, key=ORDERS[order])
    assert await store.pages.top(Where(provider="Yandex")) == []
