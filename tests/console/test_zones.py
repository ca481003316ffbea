"""Days and times in the reader's time zone."""

import random
import re
from collections import Counter
from datetime import datetime
from html import unescape
from itertools import pairwise
from zoneinfo import ZoneInfo

import httpx
import msgspec
import pytest

from clicktrail.base.ids import hour_of, new_id
from clicktrail.console.zones import COOKIE, time_text
from clicktrail.errors import InvalidInput
from clicktrail.model import Click, Where
from clicktrail.store import Store
from clicktrail.store.clicks.clicks import LoggedClick
from clicktrail.store.clicks.statistics import Dimensions
from clicktrail.store.clicks.zoned import daily, time_zone

SINCE, UNTIL = "2026-03-20", "2026-04-05"  # summer time begins on March 29 in Europe
ZONES = ["UTC", "Etc/UTC", "Europe/Berlin", "Pacific/Kiritimati", "Pacific/Pago_Pago"]


def micros(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * 1_000_000


async def record(store: Store, times: list[int]) -> None:
    clicks = [
        LoggedClick(
            Click(new_id(at), new_id(at), 0, "https://a.example/", at, "192.0.2.1", "Firefox"),
            Dimensions(hour_of(at), f"set{n % 2}", "", "Google"),
            (("product", "book"),),
        )
        for n, at in enumerate(times)
    ]
    await store.clicks.record(clicks)


def moments(number: int) -> list[int]:
    """Return times of clicks, in the range and around it."""
    chance = random.Random(7)
    begin = micros("2026-03-17T00:00Z")
    return sorted(begin + chance.randrange(22 * 86_400) * 1_000_000 for _ in range(number))


def rows(csv: str) -> dict[str, int]:
    return {row.split(",")[0]: int(row.split(",")[5]) for row in csv.splitlines()[1:]}


@pytest.mark.parametrize("name", ZONES)
async def test_days_are_cut_where_the_reader_is(
    store: Store, viewer: httpx.AsyncClient, name: str
) -> None:
    times = moments(400)
    await record(store, times)
    zone = ZoneInfo(name)
    local = [datetime.fromtimestamp(at / 1e6, zone) for at in times]
    inside = [at for at in local if SINCE <= str(at.date()) <= UNTIL]
    viewer.cookies.set(COOKIE, name)
    asked = {"since": SINCE, "until": UNTIL}
    days = rows((await viewer.get("/statistics.csv", params=asked)).text)
    assert {day: count for day, count in days.items() if count} == Counter(
        str(at.date()) for at in inside
    )
    assert len(days) == 17
    counted = await daily(store.statistics, Where(since=SINCE, until=UNTIL), time_zone(name))
    assert {day.day: day.clicks for day in counted} == Counter(str(at.date()) for at in inside)
    text = (await viewer.get("/", params=asked)).text
    assert f"times are those of {name}" in text
    assert "cut in UTC" not in text
    values = re.findall(r'<p class="value">([^<]*)</p>', text)
    assert int(values[2]) == len(inside)
    text = (await viewer.get("/", params=asked | {"by": "configuration_set"})).text
    groups = re.findall(r'>set\d</a></th>.*?data-name="clicks">(\d+)</td>', text)
    assert sum(map(int, groups)) == len(inside)
    one = {"since": "2026-03-29", "until": "2026-03-29", "per": "hour"}
    hours = rows((await viewer.get("/statistics.csv", params=one)).text)
    assert len(hours) == (23 if name == "Europe/Berlin" else 24)
    assert {hour: count for hour, count in hours.items() if count} == Counter(
        f"{at:%Y-%m-%dT%H}" for at in local if str(at.date()) == "2026-03-29"
    )


async def test_an_hour_that_comes_twice_is_two_hours(
    store: Store, viewer: httpx.AsyncClient
) -> None:
    await record(store, [micros("2026-10-25T00:30Z"), micros("2026-10-25T01:30Z")])
    viewer.cookies.set(COOKIE, "Europe/Berlin")
    one = {"since": "2026-10-25", "until": "2026-10-25", "per": "hour"}
    csv = (await viewer.get("/statistics.csv", params=one)).text.splitlines()[1:]
    assert len(csv) == 25
    assert [row for row in csv if row.startswith("2026-10-25T02,")] == [
        "2026-10-25T02,0,0,0,,1,1,1,0"
    ] * 2
    series = re.search(r'data-series="([^"]*)"', (await viewer.get("/", params=one)).text)
    assert series
    times = msgspec.json.decode(unescape(series[1]))["times"]
    assert {b - a for a, b in pairwise(times)} == {3600}


@pytest.mark.parametrize("name", ["Asia/Kolkata", "Europe/Berlin"])
async def test_what_cannot_be_cut_there_is_cut_in_utc_and_said(
    store: Store, viewer: httpx.AsyncClient, name: str
) -> None:
    await record(store, [micros("2026-03-01T12:00Z"), micros("2026-03-21T23:30Z")])
    if name == "Europe/Berlin":
        await store.statistics.forget_hours(micros("2026-03-21T00:00Z"))
    viewer.cookies.set(COOKIE, name)
    asked = {"since": SINCE, "until": UNTIL}
    text = (await viewer.get("/", params=asked)).text
    assert "These days are cut in UTC" in text
    assert rows((await viewer.get("/statistics.csv", params=asked)).text)["2026-03-21"] == 1
    with pytest.raises(InvalidInput, match=f"the days of {name} are not known: "):
        await daily(store.statistics, Where(since=SINCE), time_zone(name))
    if name == "Europe/Berlin":
        asked = {"since": "2026-03-22", "until": UNTIL}
        assert rows((await viewer.get("/statistics.csv", params=asked)).text)["2026-03-22"] == 0
        assert "cut in UTC" in (await viewer.get("/", params=asked | {"tag": "product=book"})).text


async def test_half_an_hour_of_summer_time_is_seen_between_the_ends(store: Store) -> None:
    await record(store, [micros("2026-03-01T12:00Z")])
    zone = time_zone("Australia/Lord_Howe")  # +11 in summer, +10:30 in winter
    with pytest.raises(InvalidInput, match="not a whole number of hours"):
        await daily(store.statistics, Where(since="2026-01-15", until="2026-12-15"), zone)


@pytest.mark.parametrize("name", ["Europe/Berlin", "America/New_York"])
async def test_days_at_the_ends_of_time_are_days(store: Store, name: str) -> None:
    await record(store, [micros("2026-03-01T12:00Z")])
    where = Where(since="0001-01-01", until="9999-12-31")
    [day] = await daily(store.statistics, where, time_zone(name))
    assert day.day == "2026-03-01"


async def test_hours_that_are_forgotten_in_part_are_not_taken_for_all(store: Store) -> None:
    await record(store, [micros("2026-03-01T12:00Z"), micros("2026-03-01T20:00Z")])
    assert await store.statistics.first_hour() == ""
    await store.statistics.forget_hours(micros("2026-03-01T15:00Z"))
    assert "2026-03-01T19" < await store.statistics.first_hour() < "2026-03-01T21"
    await store.statistics.forget_hours(micros("2026-03-02T00:00Z"))
    assert await store.statistics.first_hour() > "2026-03-01T23"


@pytest.mark.parametrize("given", ["Nowhere/City", "../../etc/passwd", "x" * 5000, "\u00fc", ""])
async def test_a_zone_that_is_none_is_utc(viewer: httpx.AsyncClient, given: str) -> None:
    session = "; ".join(f"{name}={value}" for name, value in viewer.cookies.items())
    head = {b"cookie": f"{session}; {COOKIE}={given}".encode("latin-1")}
    page = await viewer.get("/", headers=head)
    assert page.status_code == 200
    assert "times are those of UTC." in page.text


def test_a_time_is_said_in_its_zone() -> None:
    at = micros("2026-03-29T00:30Z")
    assert time_text(at) == "2026-03-29 00:30:00"
    assert time_text(at, ZoneInfo("Europe/Berlin")) == "2026-03-29 01:30:00"
    assert time_text(at + 3_600_000_000, ZoneInfo("Europe/Berlin")) == "2026-03-29 03:30:00"
    assert time_text(None) == "–"


async def test_live_clicks_come_in_the_zone_of_each_who_looks(
    store: Store, viewer: httpx.AsyncClient
) -> None:
    await record(store, [micros("2026-03-29T12:00Z")])
    after = {"after": ""}
    for name, time in (("UTC", "12:00:00"), ("Asia/Tokyo", "21:00:00"), ("UTC", "12:00:00")):
        viewer.cookies.set(COOKIE, name)
        async with viewer.stream("GET", "/live/events", params=after) as answer:
            row = await anext(line async for line in answer.aiter_lines() if "2026-" in line)
        assert f"2026-03-29 {time}" in row
