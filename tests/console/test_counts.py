"""Whatever was sent, clicked and corrected, in any order: the numbers are those of the raw rows."""

import csv
import re
import sqlite3
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import count
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select

from clicktrail.base.ids import hour_of, new_id
from clicktrail.base.text.programs import program_of
from clicktrail.console.app import Console
from clicktrail.console.entry.cookies import SESSION
from clicktrail.console.numbers.choices import Dimension
from clicktrail.console.zones import COOKIE
from clicktrail.model import (
    Click,
    Identity,
    Link,
    Message,
    MessageState,
    Reason,
    Role,
    Verdict,
    Where,
    provider_of,
)
from clicktrail.store import Store
from clicktrail.store.clicks.clicks import LoggedClick
from clicktrail.store.clicks.cohorts import tags_of
from clicktrail.store.clicks.statistics import NAMES, Counts, Dimensions, sum_of
from clicktrail.store.clicks.tables import clicks
from clicktrail.store.clicks.zoned import daily, hours_of, time_zone
from clicktrail.store.mail.grouping import mailings_of
from clicktrail.store.mail.pages import version_of
from clicktrail.store.mail.tables import messages
from clicktrail.store.schema import metadata
from support.jury import Correction

HOUR = 3_600_000_000
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Pacific/Kiritimati")
BEGINS = ("2026-03-27T00:00Z", "2026-10-23T00:00Z", "2026-06-01T00:00Z")
"""Two days before summer time begins and ends in Europe, and far from that."""
DIMENSIONS: tuple[Dimension, ...] = ("configuration_set", "identity", "provider")
DAYS = 5
TAGS = ((), (("product", "book"),), (("product", "book"), ("place", "top")), (("place", "top"),))
URLS = ("https://a.example/", "https://b.example/1", "https://b.example/2")


@dataclass(frozen=True)
class Story:
    """What happens: emails, and what is done with them, in its order."""

    emails: tuple[Message, ...]
    ends: tuple[MessageState | None, ...]
    acts: tuple[tuple[str, int, Any], ...]
    """``finish`` or ``click`` an email, ``correct`` a click."""


@st.composite
def stories(draw: st.DrawFn) -> Story:
    begin = int(datetime.fromisoformat(draw(st.sampled_from(BEGINS))).timestamp()) * 1_000_000
    times = st.integers(0, DAYS * 24 * 4 - 1).map(lambda n: begin + n * HOUR // 4 + 7)
    emails: list[Message] = []
    ends: list[MessageState | None] = []
    acts: list[tuple[int, str, int, Any]] = []
    ticks = count(1)
    for number in range(draw(st.integers(1, 6))):
        at = draw(times) + 1000 * next(ticks)
        tracked = draw(st.integers(0, 4)) > 0
        links = draw(st.lists(st.tuples(st.sampled_from(URLS), st.sampled_from(TAGS)), min_size=1))
        name = draw(st.sampled_from(("a.example", "b@b.example", "")))
        emails.append(
            Message(
                id=new_id(at),
                accepted_at=at,
                source="news@a.example",
                recipients=(draw(st.sampled_from(("x@gmail.com", "x@mail.ru", "x@c.example"))),),
                identity=Identity(f"id-{name}", name) if name else None,
                configuration_set=draw(st.sampled_from(("news", "shop", None))),
                headers=(("Subject", draw(st.sampled_from(("Hello", "Offers")))),),
                tags=draw(st.sampled_from(({}, {"campaign": ["summer"]}))),
                reason=None if tracked else Reason.OFF,
                links=tuple(Link(n, *link) for n, link in enumerate(links)) if tracked else (),
            )
        )
        states = (MessageState.SENT, MessageState.SENT, MessageState.UNKNOWN, None)
        ends.append(draw(st.sampled_from(states)))
        acts.append((draw(times), "finish", number, None))
        for _ in range(draw(st.integers(0, 4)) if tracked else 0):
            clicked_at = draw(times) + 1000 * next(ticks)
            verdict = draw(st.sampled_from((Verdict.HUMAN, Verdict.HUMAN, Verdict.MACHINE)))
            link = draw(st.sampled_from(emails[-1].links))
            agent = draw(st.sampled_from(("", "curl/8.5.0", "Mozilla/5.0 (iPhone) Gecko Focus/1")))
            click = Click(
                new_id(clicked_at), emails[-1].id, link.index, link.url, clicked_at, "", agent
            )
            acts.append((clicked_at, "click", number, (click, verdict)))
            if draw(st.booleans()):
                acts.append((max(clicked_at, draw(times)) + 1, "correct", number, click))
    ordered = sorted(acts, key=lambda act: act[0])
    return Story(tuple(emails), tuple(ends), tuple((what, n, more) for _, what, n, more in ordered))


def logged(message: Message, click: Click, verdict: Verdict) -> LoggedClick:
    identity = message.identity.name if message.identity else ""
    tags = tags_of(message.links)
    provider = provider_of(message.recipients[0])
    return LoggedClick(
        click,
        Dimensions(hour_of(click.clicked_at), message.configuration_set or "", identity, provider),
        tags.get(click.link, ()),
        verdict,
        mailings=tuple(key.digest for key in mailings_of(message)),
        link_tags=tags,
        version=version_of(message.links),
    )


async def happen(store: Store, story: Story) -> None:
    """Do it, several clicks in one transaction where they follow one another."""
    batch: list[LoggedClick] = []

    async def flush() -> None:
        await store.clicks.record(batch)
        batch.clear()

    for message in story.emails:
        await store.messages.add(message)
    for what, number, more in story.acts:
        message = story.emails[number]
        if what == "click":
            batch.append(logged(message, *more))
            continue
        await flush()
        if what == "correct":
            corrected = Correction([logged(message, more, Verdict.MACHINE)])
            await store.clicks.record([], corrected)
        elif state := story.ends[number]:
            taken = message.recipients if state is MessageState.SENT else ()
            await store.messages.finish(message.id, state, taken, message.accepted_at)
    await flush()
    while await store.search.index(100):
        pass


class Raw:
    """The rows as they are, and SQL over them."""

    def __init__(self, story: Story, emails: list[Any], clicked: list[Any]) -> None:
        self._sql = sqlite3.connect(":memory:")
        self._sql.create_function("local", 2, _local)
        run = self._sql.execute
        run("CREATE TABLE m (id, at, state, configuration_set, identity, provider, reason)")
        run("CREATE TABLE c (id, email, link, at, verdict, url, program)")
        run("CREATE TABLE t (email, link, tag, value)")
        run("CREATE TABLE g (email, digest)")
        for row in emails:
            run(
                "INSERT INTO m VALUES (?, ?, ?, ?, ?, ?, ?)",
                (row.id, row.accepted_at, row.state, row.configuration_set, row.identity,
                 row.provider, row.reason),
            )  # fmt: skip
        for row in clicked:
            run(
                "INSERT INTO c VALUES (?, ?, ?, ?, ?, ?, ?)",
                (row.event_id, row.message_id, row.link, row.clicked_at, row.verdict, row.url,
                 program_of(row.user_agent)),
            )  # fmt: skip
        for message in story.emails:
            for link in message.links:
                for tag in link.tags:
                    run("INSERT INTO t VALUES (?, ?, ?, ?)", (message.id, link.index, *tag))
            for key in mailings_of(message):
                run("INSERT INTO g VALUES (?, ?)", (message.id, key.digest))

    def counts(
        self, zone: str, form: str, where: Where, mailing: bytes | None = None
    ) -> dict[str, Counts]:
        """Return what is counted by local ``day`` or ``hour``."""
        tag, value = where.tag or (None, None)
        values = {
            "zone": zone, "length": 10 if form == "day" else 13,
            "since": where.since, "until": where.until, "tag": tag,
            "value": value, "configuration_set": where.configuration_set,
            "identity": where.identity, "provider": where.provider, "mailing": mailing,
            "program": where.program,
        }  # fmt: skip
        found: dict[str, Counts] = {}
        for name, query in _QUERIES.items():
            for when, number in self._sql.execute(query, values):
                setattr(found.setdefault(when, Counts()), name, number)
        for each in found.values() if tag or where.program else ():
            each.sent = 0
            if where.program:
                each.tracked = each.clicked = 0
        return {when: each for when, each in found.items() if each != Counts()}


def _local(at: int, zone: str) -> str:
    return f"{datetime.fromtimestamp(at / 1e6, ZoneInfo(zone)):%Y-%m-%dT%H}"


_MINE = " AND ".join(
    f"(:{name} IS NULL OR m.{name} = :{name})"
    for name in ("configuration_set", "identity", "provider")
)
_MINE += " AND (:mailing IS NULL OR EXISTS"
_MINE += " (SELECT 1 FROM g WHERE g.email = m.id AND g.digest = :mailing))"
_TAGGED = (
    "(:tag IS NULL OR EXISTS (SELECT 1 FROM t WHERE t.email = {} AND t.link = {}"
    " AND t.tag = :tag AND t.value = :value))"
)


def _query(what: str, at: str, more: str) -> str:
    day = f"substr(local({at}.at, :zone), 1, 10)"
    return (
        f"SELECT substr(local({at}.at, :zone), 1, :length) AS w, count(*) FROM {what}"
        f" WHERE {more} AND {_MINE} AND (:since IS NULL OR {day} >= :since)"
        f" AND (:until IS NULL OR {day} <= :until) GROUP BY w"
    )


_OF_TAG = _TAGGED.format("c.email", "c.link") + " AND (:program IS NULL OR c.program = :program)"
_CLICKS = "c JOIN m ON m.id = c.email"
_PERSON = f"EXISTS (SELECT 1 FROM c WHERE c.email = m.id AND c.verdict = 'human' AND {_OF_TAG})"
_HAS_TAG = (
    "(:tag IS NULL OR EXISTS"
    " (SELECT 1 FROM t WHERE t.email = m.id AND t.tag = :tag AND t.value = :value))"
)
_FIRST = (
    "NOT EXISTS (SELECT 1 FROM c AS b WHERE b.email = c.email AND b.link = c.link AND b.id < c.id)"
)
_QUERIES = {
    "sent": _query("m", "m", "m.state = 1"),
    "tracked": _query("m", "m", f"m.state = 1 AND m.reason = '' AND {_HAS_TAG}"),
    "clicked": _query("m", "m", f"m.state = 1 AND m.reason = '' AND {_PERSON}"),
    "clicks": _query(_CLICKS, "c", _OF_TAG),
    "unique_clicks": _query(_CLICKS, "c", f"{_OF_TAG} AND {_FIRST}"),
    "human_clicks": _query(_CLICKS, "c", f"{_OF_TAG} AND c.verdict = 'human'"),
}


async def raw(store: Store, story: Story) -> Raw:
    read = store._database.read
    emails = await read(lambda c: c.execute(select(messages)).all())
    clicked = await read(lambda c: c.execute(select(clicks)).all())
    return Raw(story, list(emails), list(clicked))


async def emptied(store: Store) -> None:
    def work(connection: Any) -> None:
        for table in metadata.sorted_tables:
            if table.name != "configuration_version":
                connection.execute(delete(table))

    await store._database.write(work)


def plain(counts: Counts) -> Counts:
    """Return only what is counted."""
    return Counts(*(getattr(counts, name) for name in NAMES))


FILTERS = st.builds(
    Where,
    configuration_set=st.sampled_from((None, "news", "")),
    identity=st.sampled_from((None, "a.example")),
    provider=st.sampled_from((None, "Google")),
)


@given(
    story=stories(),
    zone=st.sampled_from(ZONES),
    where=FILTERS,
    since=st.sampled_from((None, 0, 1, 2)),
    days=st.integers(0, 3),
)
@settings(
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@pytest.mark.long
async def test_what_is_counted_is_what_the_raw_rows_say(
    store_url: str, story: Story, zone: str, where: Where, since: int | None, days: int
) -> None:
    store = await Store.open(store_url)
    try:
        await emptied(store)
        await happen(store, story)
        rows = await raw(store, story)
        if since is not None:
            first = datetime.fromtimestamp(story.emails[0].accepted_at / 1e6, ZoneInfo(zone)).date()
            first += timedelta(days=since - 1)
            where = replace(where, since=str(first), until=str(first + timedelta(days=days)))
        await compare_times(store, rows, zone, where)
        await compare_groups(store, rows, zone, where)
        await compare_tags(store, rows, where)
        await compare_programs(store, rows, where)
        await compare_links(store, rows, where)
        await compare_mailings(store, story, rows)
        await compare_csv(store, rows, zone, where)
    finally:
        await store.close()


async def compare_times(store: Store, rows: Raw, zone: str, where: Where) -> None:
    expected = rows.counts(zone, "day", where)
    found = await daily(store.statistics, where, time_zone(zone))
    assert {day.day: plain(day) for day in found if plain(day) != Counts()} == expected
    sums = await store.statistics.total(hours_of(where, time_zone(zone)))
    assert sums == sum_of(expected.values())
    utc = rows.counts("UTC", "hour", where)
    by_hour = await store.statistics.hourly(where)
    assert {hour.day: plain(hour) for hour in by_hour if plain(hour) != Counts()} == utc
    for each in (sums, *found):
        assert each.clicked <= each.tracked


async def compare_groups(store: Store, rows: Raw, zone: str, where: Where) -> None:
    for by in DIMENSIONS:
        groups = await store.statistics.groups(by, hours_of(where, time_zone(zone)))
        for group in groups:
            if getattr(where, by) in (None, group.name):
                chosen: dict[str, Any] = {by: group.name}
                one = rows.counts(zone, "day", replace(where, **chosen))
                assert plain(group) == sum_of(one.values()), (by, group)
        assert sum_of(groups) == sum_of(rows.counts(zone, "day", where).values())


async def compare_tags(store: Store, rows: Raw, where: Where) -> None:
    for tag in await store.statistics.tags(where):
        one = replace(where, tag=(tag.tag, tag.value))
        expected = rows.counts("UTC", "day", one)
        assert plain(tag) == sum_of(expected.values())
        found = await store.statistics.daily(one)
        assert {day.day: plain(day) for day in found if plain(day) != Counts()} == expected
        assert tag.clicked <= tag.tracked


async def compare_programs(store: Store, rows: Raw, where: Where) -> None:
    expected = sum_of(rows.counts("UTC", "day", where).values())
    programs = await store.statistics.groups("program", where)
    for name in ("clicks", "unique_clicks", "human_clicks"):
        assert sum(getattr(each, name) for each in programs) == getattr(expected, name)
    for program in programs:
        one = replace(where, program=program.name)
        days = rows.counts("UTC", "day", one)
        assert plain(program) == sum_of(days.values())
        found = await store.statistics.daily(one)
        assert {day.day: plain(day) for day in found if plain(day) != Counts()} == days
        for by in DIMENSIONS:
            groups = await store.statistics.groups(by, one)
            assert sum_of(groups) == sum_of(days.values())


async def compare_links(store: Store, rows: Raw, where: Where) -> None:
    expected = sum_of(rows.counts("UTC", "day", where).values())
    for found in (await store.pages.top(where), await store.pages.links(where)):
        numbers = (expected.clicks, expected.unique_clicks, expected.human_clicks)
        assert numbers == (
            sum(each.clicks for each in found),
            sum(each.unique_clicks for each in found),
            sum(each.human_clicks for each in found),
        )


async def compare_mailings(store: Store, story: Story, rows: Raw) -> None:
    for digest in {key.digest for message in story.emails for key in mailings_of(message)}:
        expected = sum_of(rows.counts("UTC", "day", Where(), digest).values())
        found = (await store.mailings.counts([digest])).get(digest, Counts())
        mailing = await store.mailings.get(digest)
        versions = await store.mailings.versions(digest, 100)
        places = await store.mailings.links(digest)
        assert sum(each.sent for each in versions) == (mailing.sent if mailing else 0)
        assert sum(each.clicks for each in places) == expected.clicks
        for version in versions:
            some = await store.mailings.links(digest, version.version)
            assert sum(each.clicks for each in some) == version.clicks
        found.sent = found.tracked = mailing.sent if mailing else 0
        assert found == expected


def compare_devices(text: str, expected: Counts) -> None:
    found = list(csv.DictReader(text.splitlines()))
    assert sum(int(row["clicks"]) for row in found) == expected.clicks
    assert sum(int(row["unique_clicks"]) for row in found) == expected.unique_clicks
    assert sum(int(row["machine_clicks"]) for row in found) == expected.machine_clicks


def compare_list(list_: str, both: str, rows: Raw) -> None:
    """Compare the list of mailings, and two of them side by side."""
    found = []
    for row in re.findall(r'<tr><th scope="row" class="url"><input.*?</tr>', list_):
        digest = bytes.fromhex(re.findall(r'value="(\w+)"', row)[0])
        known = sum_of(rows.counts("UTC", "day", Where(), digest).values())
        cells = [re.sub(r"[^\d.]", "", each) for each in re.findall(r'class="n"[^>]*>([^<]*)', row)]
        assert cells == [
            *map(str, (known.tracked, known.clicked)),
            f"{100 * known.clicked / known.tracked:.1f}" if known.tracked else "",
            *map(str, (known.clicks, known.unique_clicks, known.machine_clicks)),
        ]
        found.append(known)
    if len(found) < 2:
        return
    links = re.findall(r'<td class="n">(\d+) <small>of (\d+)', both)
    for place, known in enumerate(found[:2]):
        assert sum(int(human) for human, _ in links[place::2]) == known.human_clicks
        assert sum(int(every) for _, every in links[place::2]) == known.clicks


async def compare_csv(store: Store, rows: Raw, zone: str, where: Where) -> None:
    """Compare the console's own numbers, as a program reads them."""
    if where.since is None or "" in (where.configuration_set, where.identity):
        return
    expected = rows.counts(zone, "day", where)
    token = await store.accounts.create(new_id(), Role.VIEWER)
    session = await store.accounts.set_password(token, "correct horse battery")
    console = Console(store)
    names = ("since", "until", "configuration_set", "identity", "provider")
    asked = {name: getattr(where, name) for name in names if getattr(where, name)}
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(console.app),
        base_url="http://console.example",
        cookies={SESSION: session, COOKIE: zone},
    ) as client:
        text = (await client.get("/statistics.csv", params=asked)).text
        devices = (await client.get("/statistics.csv", params=asked | {"by": "devices"})).text
        list_ = (await client.get("/mailings")).text
        pair = re.findall(r'name="mailing" value="(\w+)"', list_)[:2]
        both = (await client.get("/comparison", params={"mailing": pair})).text
    console.stop()
    compare_devices(devices, sum_of(rows.counts("UTC", "day", where).values()))
    compare_list(list_, both, rows)
    for row in csv.DictReader(text.splitlines()):
        known = expected.pop(row["day"], Counts())
        numbers = [row[n] for n in ("sent", "clicks", "unique_clicks", "human_clicks", "tracked")]
        assert [*map(int, numbers), int(row["clicked_by_people"])] == [
            getattr(known, name) for name in NAMES
        ]
        rate = f"{100 * known.clicked / known.tracked:.1f}" if known.tracked else ""
        assert row["click_through_rate"] == rate
        assert int(row["machine_clicks"]) == known.clicks - known.human_clicks
    assert not expected
