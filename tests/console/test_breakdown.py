"""The overview: what is wrong, the filters that are on, and a table for each question."""

import csv
import re
from html import unescape
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from clicktrail.base.ids import hour_of, new_id, now_us
from clicktrail.base.text.programs import program_of
from clicktrail.console.numbers.breakdown import ROWS, TABS
from clicktrail.model import Click, Identity, Link, Message, MessageState, Verdict
from clicktrail.store import Store
from clicktrail.store.clicks.clicks import LoggedClick
from clicktrail.store.clicks.cohorts import tags_of
from clicktrail.store.clicks.outbox import Notification
from clicktrail.store.clicks.statistics import Dimensions
from clicktrail.store.mail.grouping import mailings_of

HOUR = 3_600_000_000


async def email(
    store: Store, number: int, clicks: int = 0, state: MessageState = MessageState.SENT
) -> None:
    at = now_us() - 50 * HOUR
    name, set_name = f"i{number}.example", f"set{number}"
    links = (Link(0, f"https://a.example/{number}", (("k", f"v{number}"),)),)
    made = Message(
        id=new_id(at), accepted_at=at, source="a@b.example", recipients=("x@gmail.com",),
        identity=Identity(name, name), configuration_set=set_name,
        headers=(("Subject", f"=Offer {number}"),), links=links,
    )  # fmt: skip
    await store.messages.add(made)
    await store.messages.finish(made.id, state, made.recipients, at)
    logged = [
        LoggedClick(
            Click(new_id(at), made.id, 0, links[0].url, at, "", ""),
            Dimensions(hour_of(at), set_name, name, "Google"),
            links[0].tags,
            Verdict.MACHINE if each % 2 else Verdict.HUMAN,
            mailings=tuple(key.digest for key in mailings_of(made)),
            link_tags=tags_of(links),
        )
        for each in range(clicks)
    ]
    await store.clicks.record(logged)


async def filled(store: Store, number: int = 14) -> None:
    for each in range(number):
        await email(store, each, each)
    while await store.search.index(100):
        pass


def shown(text: str) -> list[str]:
    """Return the names of a table's rows."""
    table = text[text.index('id="numbers"') :]
    rows = re.findall(r'<th scope="row" class="url">(.*?)</th>', table, re.DOTALL)
    return [unescape(re.sub(r"<span.*?</span>|<[^>]*>", "", row)).strip() for row in rows]


@pytest.mark.parametrize("by", TABS)
async def test_a_table_has_ten_rows_and_all_of_them_as_csv(
    store: Store, viewer: httpx.AsyncClient, by: str
) -> None:
    await filled(store)
    text = (await viewer.get("/", params={"by": by})).text
    answer = await viewer.get("/statistics.csv", params={"by": by})
    rows = list(csv.DictReader(answer.text.splitlines()))
    names = [row["name"].removeprefix("'") for row in rows]
    number = 1 if by in ("provider", "devices") else 13 if by == "links" else 14
    assert len(rows) == number
    assert shown(text) == names[:ROWS]
    assert (f"{ROWS} of {number}" in text) == (number > ROWS)
    assert [int(row["clicks"]) for row in rows] == sorted(
        (int(row["clicks"]) for row in rows), reverse=True
    )
    assert sum(int(row["clicks"]) for row in rows) == sum(range(14))
    if by not in ("links", "devices"):
        assert sum(int(row["tracked"]) for row in rows) == 14
        assert sum(int(row["clicked_by_people"]) for row in rows) == 13
    assert f"{by}-" in answer.headers["content-disposition"]


async def test_it_is_sorted_by_each_of_its_columns(store: Store, viewer: httpx.AsyncClient) -> None:
    await filled(store)
    text = (await viewer.get("/", params={"by": "identity"})).text
    heads = re.findall(r'<th scope="col"[^>]*><a href="([^"]*)">', text)
    assert len(heads) == 8
    for head in heads:
        query = {name: each[0] for name, each in parse_qs(urlsplit(unescape(head)).query).items()}
        sorted_ = (await viewer.get(unescape(head))).text
        answer = await viewer.get("/statistics.csv", params=query)
        rows = list(csv.DictReader(answer.text.splitlines()))
        column = {
            "name": "name", "rate": "click_through_rate", "clicked": "clicked_by_people",
            "unique": "unique_clicks", "machine": "machine_clicks",
        }.get(query["sort"], query["sort"])  # fmt: skip
        values = [row[column] for row in rows]
        if column == "name":
            assert values == sorted(values)
        else:
            assert [*map(float, values)] == sorted(map(float, values), reverse=True), column
        assert shown(sorted_) == [row["name"] for row in rows[:ROWS]]
        assert sorted_.count("aria-sort") == 1


@pytest.mark.parametrize("by", ["tags", "configuration_set", "identity", "provider", "devices"])
async def test_a_row_is_a_filter_and_a_chip_takes_it_away(
    store: Store, viewer: httpx.AsyncClient, by: str
) -> None:
    await filled(store, 3)
    text = (await viewer.get("/", params={"by": by})).text
    row = re.search(r'class="url"><a href="([^"]*)">', text[text.index('id="numbers"') :])
    assert row
    filtered = (await viewer.get(unescape(row[1]))).text
    (chip,) = re.findall(r'<li><a href="(/\?[^"]*)" title="Without', filtered)
    without = parse_qs(urlsplit(unescape(chip)).query)
    assert not {"tag", "configuration_set", "identity", "provider", "program"} & set(without)
    assert without["by"] == [by]
    assert "Without this filter" not in text


@pytest.mark.parametrize("asked", ["by=nothing", "sort=nothing", "by=links&sort=rate", "by=%00"])
async def test_what_is_asked_amiss_is_as_if_it_were_not(
    store: Store, viewer: httpx.AsyncClient, asked: str
) -> None:
    await filled(store, 3)
    for path in ("/", "/statistics.csv"):
        assert (await viewer.get(f"{path}?{asked}")).status_code == 200


async def test_what_is_wrong_is_said_and_else_nothing(
    store: Store, viewer: httpx.AsyncClient
) -> None:
    await email(store, 1, 2)
    asked = {"by": "links"}
    assert 'class="troubles"' not in (await viewer.get("/", params=asked)).text
    notification = Notification("e:0", "news", "hook", "arn", b"{}")
    await store.clicks.send([notification])
    await store.outbox.give_up(("news", "hook"), "gone", now_us())
    text = (await viewer.get("/", params=asked)).text
    assert "1 notification could not be delivered." in text
    assert 'href="/dead-letters"' in text[text.index('class="troubles"') :]


async def test_a_smarthost_that_refuses_is_wrong(store: Store, viewer: httpx.AsyncClient) -> None:
    at = now_us()
    for number in range(8):
        made = Message(new_id(at), at, "a@b.example", ("x@gmail.com",))
        await store.messages.add(made)
        state = MessageState.REFUSED if number < 3 else MessageState.SENT
        await store.messages.finish(made.id, state, made.recipients, at)
    text = (await viewer.get("/", params={"by": "links"})).text
    assert "The smarthost refused 3 of the last 8 emails." in text


IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like"
    " Gecko) Version/17.5 Mobile/15E148 Safari/604.1"
)
ANDROID = (
    "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko)"
    " Chrome/126.0.0.0 {}Safari/537.36"
)
WINDOWS = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) {}"


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        (IPHONE, "Safari on iPhone"),
        (IPHONE.replace("Version/17.5", "CriOS/126.0"), "Chrome on iPhone"),
        (IPHONE.replace(" Version/17.5", "").replace(" Safari/604.1", ""),
         "a mail program or app on iPhone"),
        (ANDROID.format("Mobile "), "Chrome on Android phone"),
        (ANDROID.format(""), "Chrome on Android tablet"),
        (WINDOWS.format("Chrome/126.0.0.0 Safari/537.36 Edg/126.0"), "Edge on Windows"),
        (WINDOWS.format("Chrome/124.0 YaBrowser/24.6 Safari/537.36"), "Yandex Browser on Windows"),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
         "Firefox on Linux"),
        ("Microsoft Office/16.0 (Windows NT 10.0; Microsoft Outlook 16.0)", "Outlook on Windows"),
        ("curl/8.5.0", "other programs"),
        ("Android" * 100_000, "other programs"),
        (" ", "no User-Agent sent or kept"),
    ],
)  # fmt: skip
def test_programs_and_devices_are_called_by_their_names(agent: str, name: str) -> None:
    assert program_of(agent) == name


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", [["Firefox on Linux", "2", "2", "1"], ["Safari on iPhone", "1", "1", "0"]]),
        ("&configuration_set=shop", [["Firefox on Linux", "1", "1", "1"]]),
        ("&program=Safari on iPhone&by=devices",
         [["Firefox on Linux", "2", "2", "1"], ["Safari on iPhone", "1", "1", "0"]]),
        ("&program=Safari on iPhone&by=configuration_set", [["news", "1", "1", "0"]]),
        ("&program=Firefox on Linux&by=links", []),
        ("&program=Firefox on Linux&by=tags", []),
        ("&program=Firefox on Linux&by=mailings", []),
        ("&identity=none", []),
        ("&until=2026-09-20", []),
        ("&since=2026-09-22", []),
        ("&tag=a=b", []),
    ],
)  # fmt: skip
async def test_devices_are_those_of_the_clicks(
    store: Store, viewer: httpx.AsyncClient, query: str, found: list[list[str]]
) -> None:
    linux = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
    at = 1_790_000_000_000_000  # 2026-09-21 14:13:20 UTC
    for name, agent, verdict in (
        ("news", linux, Verdict.HUMAN), ("shop", linux, Verdict.MACHINE),
        ("news", IPHONE, Verdict.HUMAN),
    ):  # fmt: skip
        at += 1000
        message = Message(
            new_id(at), at, "news@a.example", ("x@gmail.com",), configuration_set=name,
            links=(Link(0, "https://a.example/"),),
        )  # fmt: skip
        await store.messages.add(message)
        click = Click(new_id(at), message.id, 0, "https://a.example/", at, "", agent)
        where = Dimensions(hour_of(at), name, "", "Google")
        await store.clicks.record([LoggedClick(click, where, (), verdict)])
    days = "" if "since" in query or "until" in query else "&until=2026-09-21"
    answer = await viewer.get(
        f"/statistics.csv?{query if 'by=' in query else 'by=devices' + query}{days}"
    )
    assert list(csv.reader(answer.text.splitlines()))[1:] == found
