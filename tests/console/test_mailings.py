"""The list of mailings: what is looked for, sorted and compared is what there is."""

import re
from collections.abc import Mapping, Sequence
from html import unescape
from urllib.parse import parse_qs

import httpx
import pytest

from clicktrail.base.ids import hour_of, new_id
from clicktrail.console.numbers import mailinglist
from clicktrail.model import Click, Link, Message, MessageState, Verdict
from clicktrail.store import Store
from clicktrail.store.clicks.clicks import LoggedClick
from clicktrail.store.clicks.cohorts import tags_of
from clicktrail.store.clicks.statistics import Dimensions
from clicktrail.store.mail.grouping import mailings_of
from clicktrail.store.mail.mailings import Sought
from clicktrail.store.mail.pages import version_of

AT = 1_790_000_000_000_000  # 2026-09-21 14:13:20 UTC
DAY = 86_400_000_000
URLS = ("https://a.example/one?to={}", "https://a.example/two")

NONE: Mapping[str, list[str]] = {}


async def send(
    store: Store, subject: str, at: int, number: int = 1, clicks: int = 0, people: int = 0,
    set_name: str = "news", urls: Sequence[str] = URLS, tags: Mapping[str, list[str]] = NONE,
) -> None:  # fmt: skip
    """Send emails, and click each on its first link ``clicks`` times, the first of them people."""
    for each in range(number):
        message = Message(
            id=new_id(at + each),
            accepted_at=at + each,
            source="news@a.example",
            recipients=(f"r{each}@b.example",),
            configuration_set=set_name,
            headers=(("Subject", subject),),
            tags=dict(tags),
            links=tuple(Link(n, url.format(each)) for n, url in enumerate(urls)),
        )
        await store.messages.add(message)
        await store.messages.finish(message.id, MessageState.SENT, message.recipients, at)
        logged = [
            LoggedClick(
                Click(new_id(at + n), message.id, 0, message.links[0].url, at + n, "", ""),
                Dimensions(hour_of(at), set_name, "", "Other"),
                (),
                Verdict.HUMAN if n < people else Verdict.MACHINE,
                mailings=tuple(key.digest for key in mailings_of(message)),
                link_tags=tags_of(message.links),
                version=version_of(message.links),
            )
            for n in range(clicks)
        ]
        await store.clicks.record(logged)
    while await store.search.index(100):
        pass


@pytest.fixture
async def sent(store: Store) -> None:
    await send(store, "Зимние книги", AT - 3 * DAY, 3, clicks=2, people=1)
    await send(store, "Books of autumn", AT - 2 * DAY, 1, clicks=5, people=5, set_name="shop")
    await send(store, "Old news", AT - 30 * DAY, 2)
    await send(store, "Today", AT, 1, clicks=3)


def names(page: str) -> list[str]:
    return re.findall(r'<a href="/mailings/[0-9a-f]+">([^<]+)</a>', page)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", "Today Books Зимние Old"),
        ("q=КНИГ", "Зимние"),
        ("q=BOOK", "Books"),
        ("q=%25", ""),
        ("configuration_set=shop", "Books"),
        ("configuration_set=gone", ""),
        ("since=2026-09-19", "Today Books"),
        ("since=2026-09-18&until=2026-09-18", "Зимние"),
        ("until=2026-08-22", "Old"),
        ("until=nonsense&since=0", "Today Books Зимние Old"),
        ("sort=name", "Books Old Today Зимние"),
        ("sort=sent", "Зимние Old Today Books"),
        ("sort=clicked", "Зимние Books Today Old"),
        ("sort=rate", "Books Зимние Today Old"),
        ("sort=clicks", "Зимние Books Today Old"),
        ("sort=unique", "Зимние Today Books Old"),
        ("sort=machine", "Today Зимние Books Old"),
        ("sort=nonsense", "Today Books Зимние Old"),
        ("kind=tag", ""),
    ],
)
@pytest.mark.usefixtures("sent")
async def test_it_is_searched_filtered_and_sorted(
    viewer: httpx.AsyncClient, query: str, found: str
) -> None:
    page = (await viewer.get(f"/mailings?{query}")).text
    assert [each.split()[0] for each in names(page)] == found.split()


@pytest.mark.usefixtures("sent")
async def test_pages_go_on_where_the_one_before_ended(
    viewer: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailinglist, "SHOWN", 1)
    for sort in ("newest", "name"):
        whole, seen, query = [], set(), f"sort={sort}"
        while query not in seen:
            seen.add(query)
            page = (await viewer.get(f"/mailings?{query}")).text
            whole += names(page)
            more = re.search(r'href="/mailings\?([^"]*)">More', page)
            query = more[1].replace("&amp;", "&") if more else query
        assert len(whole) == len({*whole}) == 4
        if sort == "name":
            assert whole == sorted(whole)


@pytest.mark.usefixtures("sent")
async def test_links_of_the_list_keep_what_is_looked_at(viewer: httpx.AsyncClient) -> None:
    asked = {"q": "b", "configuration_set": "shop", "since": "2026-09-01", "until": "2026-09-30"}
    page = (await viewer.get("/mailings", params=asked | {"sort": "clicks"})).text
    links = [parse_qs(each) for each in re.findall(r'href="/mailings\?([^"]+)"', page)]
    assert len(links) == 2 + 8 + 8
    for query in ({k.removeprefix("amp;"): v for k, v in link.items()} for link in links):
        assert {name: [value] for name, value in asked.items()}.items() <= query.items()


@pytest.mark.usefixtures("sent")
async def test_two_are_compared(store: Store, viewer: httpx.AsyncClient) -> None:
    list_ = (await viewer.get("/mailings")).text
    books, winter = re.findall(r'value="([0-9a-f]{32})"', list_)[1:3]
    page = (await viewer.get(f"/comparison?mailing={books}&mailing={winter}")).text
    cells = re.findall(r"<th scope=\"row\">([^<]+)</th><td[^>]*>([^<]+)</td><td[^>]*>([^<]+)", page)
    assert [(a, b.replace("\u202f", ""), c.replace("\u202f", "")) for a, b, c in cells[1:]] == [
        ("Emails", "1", "3"),
        ("Clicked by people", "1", "3"),
        ("Click-through rate", "100.0%", "100.0%"),
        ("Clicks", "5", "6"),
        ("Unique clicks", "1", "3"),
        ("Machine clicks", "0", "3"),
    ]
    assert "https://a.example/one?to=…" in page
    assert re.findall(r"(\d+) <small>of (\d+)", page) == [("5", "5"), ("3", "6")]
    for wrong in ("", "?mailing=zz&mailing=00", f"?mailing={books}", "?mailing=" + "0" * 9999):
        answer = await viewer.get(f"/comparison{wrong}")
        assert (answer.status_code, "Choose two mailings" in answer.text) == (200, True)


async def test_a_link_is_chosen_as_it_is(store: Store, admin: httpx.AsyncClient) -> None:
    url = "https://a.example/two  words?a=1&b"
    await send(store, "Spaces", AT, urls=(url,))
    [mailing], _ = await store.mailings.find(Sought("subject"), 9)
    page = (await admin.get(f"/mailings/{mailing.digest.hex()}")).text
    # Without a value, browsers send the text with its white space collapsed (HTML § 4.10.10).
    assert [unescape(each) for each in re.findall(r'<option value="(https:[^"]*)"', page)] == [url]


@pytest.mark.parametrize("text", ["", "tag"])
@pytest.mark.parametrize("window", [1, 2, 9])
async def test_no_page_ends_between_the_tags_of_an_email(
    store: Store, monkeypatch: pytest.MonkeyPatch, text: str, window: int
) -> None:
    monkeypatch.setattr("clicktrail.store.mail.mailings._WINDOW", window)
    for each in range(3):
        tags = {f"tag{each}{name}": ["x"] for name in "abc"}
        await send(store, "Hello", AT + each * DAY, tags=tags)
    seen, before = [], None
    while before != 0:
        found, before = await store.mailings.find(Sought("tag", text), 2, before)
        seen.append({mailing.name for mailing in found})
    assert seen == [{f"tag{each}{name}=x" for name in "abc"} for each in (2, 1, 0)]


@pytest.mark.usefixtures("sent")
async def test_a_search_looks_at_so_many_and_goes_on(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clicktrail.store.mail.mailings.LOOKED_AT", 2)
    monkeypatch.setattr("clicktrail.store.mail.mailings._WINDOW", 1)
    found, older = await store.mailings.find(Sought("subject", "old"), 9)
    assert (found, older > 0) == ([], True)
    (old,), older = await store.mailings.find(Sought("subject", "old"), 9, older)
    assert (old.name, old.sent) == ("Old news", 2)
