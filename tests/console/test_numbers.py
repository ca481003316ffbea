"""The overview: what links keep, what is not known, and what is still to come."""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from html import unescape
from urllib.parse import parse_qs, urlsplit

import httpx
import msgspec
import pytest
from starlette.requests import Request

from clicktrail.base.ids import first_of, hour_of, new_id, now_us
from clicktrail.commands.events import first_day
from clicktrail.console.numbers.selection import Selection
from clicktrail.errors import InvalidInput
from clicktrail.model import Click, ConfigurationSet
from clicktrail.store import Store
from clicktrail.store.clicks.clicks import LoggedClick
from clicktrail.store.clicks.statistics import Dimensions

FILTERS = {
    "since": "2026-01-05",
    "until": "2026-01-09",
    "configuration_set": "news",
    "identity": "a+b@shop.example",
    "provider": "Mail.Ru Group",
}


async def click(store: Store, set_name: str, at: int, tag: str = "book") -> None:
    made = Click(new_id(at), new_id(at), 0, "https://a.example/", at, "192.0.2.1", "Firefox")
    where = Dimensions(hour_of(at), set_name, "a+b@shop.example", "Mail.Ru Group")
    await store.clicks.record([LoggedClick(made, where, (("product", tag),))])


def micros(day: str, hour: int = 12) -> int:
    at = datetime.fromisoformat(f"{day}T{hour:02}:00Z")
    return int(at.timestamp()) * 1_000_000


def links(text: str) -> Iterator[tuple[str, dict[str, list[str]]]]:
    """Yield the path and the query of each link to the overview's numbers, but for the menu's."""
    for target in re.findall(r'href="((?:/\?|/statistics\.csv\?|\?)[^"]*)"', text):
        parts = urlsplit(unescape(target))
        yield parts.path, parse_qs(parts.query)


@pytest.mark.parametrize("more", [{"tag": "product=book"}, {"per": "hour"}])
async def test_every_link_keeps_what_is_looked_at(
    store: Store, viewer: httpx.AsyncClient, more: dict[str, str]
) -> None:
    await store.configuration.create_set(ConfigurationSet("news"))
    await click(store, "news", micros("2026-01-06"))
    page = await viewer.get("/", params=FILTERS | more)
    found = list(links(page.text))
    assert len(found) >= 3 + 1 + 3 + 1, "ranges, the export, groups, tags"
    for path, query in found:
        kept = {name: [value] for name, value in (FILTERS | more).items()}
        for table in ("by", "sort"):
            query.pop(table, None)
        changed = {name for name in kept if query.get(name) != kept[name]} - {"per"}
        assert changed <= {"since", "until"} or len(changed) == 1, "a range, or one filter"
        assert set(query) <= {*kept, "tag"}
        if path == "/statistics.csv":
            assert query == kept
    for _, query in found:
        answer = await viewer.get("/", params={name: each[0] for name, each in query.items()})
        assert answer.status_code == 200


async def test_links_of_emails_keep_the_search(store: Store, viewer: httpx.AsyncClient) -> None:
    asked = {"q": "tag=a b", "configuration_set": "news", "identity": "x.example", "before": "x"}
    page = await viewer.get("/messages", params=asked)
    (newest,) = re.findall(r'href="/messages\?([^"]*)">Newest', page.text)
    kept = {name: [value] for name, value in asked.items() if name != "before"}
    assert parse_qs(unescape(newest)) == kept
    assert '<option value="news" selected>' in page.text, "a filter that is on is shown"


async def test_what_is_sent_is_not_known_by_link_tag(
    store: Store, viewer: httpx.AsyncClient
) -> None:
    await click(store, "news", micros("2026-01-06"))
    asked = FILTERS | {"tag": "product=book"}
    text = (await viewer.get("/", params=asked)).text
    values = re.findall(r'<p class="value">([^<]*)</p>', text)
    assert values == ["0", "0 · –", "1", "0"]
    series = re.search(r'data-series="([^"]*)"', text)
    assert series
    assert msgspec.json.decode(unescape(series[1]))["sent"] == []
    csv = (await viewer.get("/statistics.csv", params=asked)).text.splitlines()
    assert csv[2] == "2026-01-06,,0,0,,1,1,1,0"


async def test_a_deleted_set_can_be_chosen_while_it_has_numbers(
    store: Store, viewer: httpx.AsyncClient
) -> None:
    await store.configuration.create_set(ConfigurationSet("news"))
    await click(store, "news", micros("2026-01-06"))
    await store.configuration.delete_set("news")
    text = (await viewer.get("/", params={"since": "2026-01-01", "until": "2026-01-31"})).text
    assert '<option value="news">news (deleted)</option>' in text
    text = (await viewer.get("/", params={"since": "2025-01-01", "until": "2025-01-31"})).text
    assert "deleted" not in text
    await click(store, "lately", now_us())
    for path in ("/messages", "/live", "/"):
        text = (await viewer.get(path)).text
        assert '<option value="lately">lately (deleted)</option>' in text, path


async def test_what_is_to_come_is_no_zero(store: Store, viewer: httpx.AsyncClient) -> None:
    before = now_us()
    await click(store, "news", before)
    today = date.fromisoformat(hour_of(before)[:10])
    asked = {"since": str(today), "until": str(today + timedelta(days=1)), "per": "hour"}
    csv = (await viewer.get("/statistics.csv", params=asked)).text.splitlines()
    first, last = hour_of(before), hour_of(now_us())
    assert csv[-1].split(",")[0] in (first, last)
    text = (await viewer.get("/", params=asked)).text
    if hour_of(now_us()) == first:
        assert "not over yet" in text
    days = (await viewer.get("/statistics.csv", params={"since": str(today)})).text.splitlines()
    assert len(days) <= 3, "the head, today, and the day that may have begun meanwhile"
    later = {"since": "2990-01-01", "until": "2990-01-07"}
    assert (await viewer.get("/", params=later)).status_code == 200
    assert (await viewer.get("/statistics.csv", params=later)).text.count("\n") == 1
    past = await viewer.get("/", params={"since": "2026-01-01", "until": "2026-01-31"})
    assert "not over yet" not in past.text


def test_seven_days_are_seven_days_everywhere() -> None:
    before = datetime.now(UTC).date()
    given = first_day("7d", before)
    scope = {"type": "http", "method": "GET", "headers": [], "query_string": b""}
    shown = Selection.of(Request(scope)).last(7)
    after = datetime.now(UTC).date()
    assert shown.days == 7
    assert given == str(first_of(7, before))
    assert first_of(7, before) <= shown.since <= first_of(7, after)
    assert first_day("1d", before) == str(before)
    with pytest.raises(InvalidInput, match="7d for the last 7 days"):
        first_day("0d", before)
