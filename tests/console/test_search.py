"""Searches of the list of emails."""

import re
from html import unescape

import httpx

from clicktrail.store import Store
from support.summer import indexed, sent


async def test_a_whole_address_is_found_alone_and_leads_to_longer_ones(
    store: Store, viewer: httpx.AsyncClient
) -> None:
    for name in ("reader7@mail.ru", "a.reader7@mail.ru"):
        await sent(store, recipients=(name,))
    await indexed(store)
    page = (await viewer.get("/messages", params={"q": "reader7@mail.ru"})).text
    assert recipients(page) == ["reader7@mail.ru"]
    [parts] = re.findall(r'<a href="(/messages\?parts[^"]*)">', page)
    page = (await viewer.get(unescape(parts))).text
    assert recipients(page) == ["a.reader7@mail.ru", "reader7@mail.ru"]
    assert "?parts" not in page
    page = (await viewer.get("/messages", params={"q": "reader7@mail"})).text
    assert recipients(page) == ["a.reader7@mail.ru", "reader7@mail.ru"]
    assert "?parts" not in page, "they are parts already"


async def test_the_page_says_that_older_emails_are_not_found_yet(
    store: Store, viewer: httpx.AsyncClient
) -> None:
    for name in ("reader1@mail.ru", "reader2@mail.ru"):
        await sent(store, recipients=(name,))
    await indexed(store)
    await store.search.repair()
    await store.search.index(1)
    page = (await viewer.get("/messages", params={"q": "@mail.ru"})).text
    assert len(recipients(page)) == 1
    assert "older ones are not found yet" in page
    assert "older ones are not found yet" not in (await viewer.get("/messages")).text
    await indexed(store)
    page = (await viewer.get("/messages", params={"q": "@mail.ru"})).text
    assert recipients(page) == ["reader1@mail.ru", "reader2@mail.ru"]
    assert "older ones are not found yet" not in page


def recipients(page: str) -> list[str]:
    return sorted(re.findall(r'<td class="url">([^<]*)</td>', page))
