"""Who clicked: patterns of scanners and of people, from the journal to what is counted.

In whatever order an email's clicks come, in whatever batches and to whichever publisher, in the
end each has the verdict that it would have if all had come at once.
"""

import asyncio
import ipaddress
import json
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from clicktrail.base.ids import now_us
from clicktrail.journal import Entry
from clicktrail.journal.memory import MemoryJournal
from clicktrail.model import Click, Message
from clicktrail.model.thresholds import read_thresholds
from clicktrail.publish.networks import Networks
from clicktrail.publish.privacy import Privacy
from clicktrail.publish.publisher import Publisher
from clicktrail.publish.visitor_verdict import Judge
from clicktrail.store import Store
from clicktrail.store.clicks.judging.evidence import NOBODY, RECENT, RECENT_TRAPS, RECORD
from clicktrail.store.clicks.tables import evidence
from support.patterns import (
    BOTH,
    GATEWAY,
    HIDDEN,
    HUMAN,
    MACHINES,
    PATTERNS,
    RUSH,
    At,
    check,
    clicks_of,
)
from support.publishing import HOUR, House, Receiver, to_stream


class Publishers:
    """Several publishers of one store, each with a connection of its own."""

    def __init__(self, url: str, privacy: Privacy | None = None) -> None:
        self.url = url
        self._privacy = privacy
        self.stores: list[Store] = []
        self._all: list[Publisher] = []
        self._ends = AsyncExitStack()

    async def open(self, number: int) -> None:
        for _ in range(number):
            store = await Store.open(self.url)
            self._ends.push_async_callback(store.close)
            self.stores.append(store)
        self.restart()

    def restart(self) -> None:
        """Let publishers begin with nothing in memory."""
        networks = Networks([ipaddress.ip_network(GATEWAY)])
        houses = [House(self.url, store, MemoryJournal(), Receiver()) for store in self.stores]
        self._all = [
            Publisher(h.journal, h.store, h.deliverer(), self._privacy, judge=Judge(networks))
            for h in houses
        ]

    async def publish(self, number: int, clicks: Iterable[Click]) -> None:
        entries = [Entry(place, each) for place, each in enumerate(clicks)]
        await self._all[number % len(self._all)].publish(entries)

    async def email(self, **changes: object) -> Message:
        store = self.stores[0]
        return await House(self.url, store, MemoryJournal(), Receiver()).message(**changes)

    async def close(self) -> None:
        await self._ends.aclose()


@pytest.fixture
async def publishers(store_url: str) -> AsyncIterator[Publishers]:
    opened = Publishers(store_url)
    await opened.open(2)
    await House(store_url, opened.stores[0], MemoryJournal(), Receiver()).configuration_set(
        "news", to_stream()
    )
    yield opened
    await opened.close()


@pytest.mark.parametrize("name", PATTERNS)
@pytest.mark.parametrize("together", [True, False])
async def test_a_pattern(publishers: Publishers, name: str, together: bool) -> None:
    """Also one by one to two publishers in turns, which are started anew after each."""
    at = now_us() - HOUR
    message = await publishers.email(accepted_at=at - 2 * HOUR)
    made = clicks_of(message, PATTERNS[name], at)
    if together:
        await publishers.publish(0, [each for each, _ in made])
        told = [
            json.loads(e.payload) for e in await publishers.stores[0].streams.read("clicks", 0, 99)
        ]
        bots = {each["eventId"]: each["click"]["bot"] for each in told}
        assert {id_[:-2]: " ".join((b["verdict"], *b["reasons"])) for id_, b in bots.items()} == {
            each.event_id: verdict for each, verdict in made if verdict
        }
    else:
        for number, (each, _) in enumerate(made):
            await publishers.publish(number, [each])
            publishers.restart()
    await check(publishers.stores[0], made)


USUALLY = "machine burst", "human", "suspect burst"
"""Three links at once; a link; two links two seconds apart."""


@pytest.mark.parametrize(
    ("thresholds", "expected"),
    [
        ("", USUALLY),
        ("machine=3", ("suspect burst", "human", "suspect burst")),
        ("suspect=2", ("machine burst", "human", "human burst")),
        ("burst=1s", ("machine burst", "human", "human")),
        ("burst=0s", ("human", "human", "human")),
        ("too-fast=40s", ("machine too-fast burst", "suspect too-fast", "machine too-fast burst")),
    ],
)
async def test_a_configuration_set_says_from_what_on(
    publishers: Publishers, thresholds: str, expected: tuple[str, str, str]
) -> None:
    """One by one, by publishers in turns: earlier clicks are corrected by the same thresholds."""
    rules = {"thresholds": read_thresholds(thresholds)}
    await publishers.stores[0].configuration.update_set("news", rules=rules)
    at = now_us() - HOUR
    made = []
    for times, verdict in zip(((0, 0.2, 0.4), (0,), (0, 1.8)), expected, strict=True):
        message = await publishers.email(accepted_at=at - 30_000_000)
        made += clicks_of(message, [At(t, n, verdict) for n, t in enumerate(times)], at)
    for number, (each, _) in enumerate(made):
        await publishers.publish(number, [each])
    await check(publishers.stores[0], made)


async def test_an_office_behind_one_address_reads_the_newsletter_at_nine(
    publishers: Publishers,
) -> None:
    """Each has an email of their own, and all click at once."""
    at = now_us() - HOUR
    made = []
    for number in range(40):
        message = await publishers.email(accepted_at=at - HOUR)
        one = At(number / 40, number % 5, HUMAN)
        made += clicks_of(message, [one, replace(one, seconds=one.seconds + 20, link=0)], at)
    await publishers.publish(0, [each for each, _ in made])
    await check(publishers.stores[0], made)


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as running:
        yield running


def test_the_order_in_which_clicks_come_makes_no_difference(
    store_url: str, runner: asyncio.Runner
) -> None:
    """Nor which of two publishers reads which, in what batches; some clicks come twice."""
    opened = Publishers(store_url)
    runner.run(opened.open(2))
    at = now_us() - HOUR
    made: list[tuple[Click, str]] = []

    async def publish(pattern: Sequence[At], order: Sequence[int], cuts: Sequence[int]) -> None:
        message = await opened.email(accepted_at=at - 2 * HOUR)
        new = clicks_of(message, pattern, at)
        made.extend(new)
        clicks = [new[place][0] for place in order]
        while clicks:
            one, other = cuts[0], cuts[1] + 1
            some = opened.publish(0, clicks[:one]), opened.publish(1, clicks[one : one + other])
            await asyncio.gather(*some)
            clicks = clicks[one + other :]
            cuts = [*cuts[2:], *cuts[:2]]

    @given(st.data())
    @settings(max_examples=60, deadline=None)
    def in_some_order(data: st.DataObject) -> None:
        pattern = PATTERNS[data.draw(st.sampled_from(sorted(PATTERNS)))]
        order = data.draw(st.permutations(range(len(pattern))))
        twice = data.draw(st.lists(st.sampled_from(order), max_size=3))
        cuts = data.draw(st.lists(st.integers(0, 4), min_size=2, max_size=8).map(_even))
        runner.run(publish(pattern, [*order, *twice], cuts))

    in_some_order()
    runner.run(check(opened.stores[0], made))
    runner.run(opened.close())


def _even(numbers: list[int]) -> list[int]:
    return numbers[: len(numbers) // 2 * 2]


async def test_two_publishers_at_once_see_what_the_other_counts(publishers: Publishers) -> None:
    at = now_us() - HOUR
    made = []
    for _ in range(60):
        message = await publishers.email(accepted_at=at - HOUR)
        made += clicks_of(message, MACHINES["five links at once from five addresses"], at)
    halves = [[each for each, _ in made[start::2]] for start in (0, 1)]
    halves[1].reverse()
    await asyncio.gather(*(publishers.publish(n, half) for n, half in enumerate(halves)))
    await check(publishers.stores[0], made)


@pytest.mark.parametrize("ip", ["none", "truncate"])
async def test_a_rush_is_seen_although_addresses_are_not_kept(store_url: str, ip: str) -> None:
    opened = Publishers(store_url, Privacy(ip, "none"))
    await opened.open(1)
    at = now_us() - HOUR
    message = await opened.email(accepted_at=at - HOUR)
    made = clicks_of(message, MACHINES["one link after another, the hidden one in the middle"], at)
    for each, _ in made:
        await opened.publish(0, [each])
    await check(opened.stores[0], made)
    await opened.close()


async def test_what_is_remembered_of_an_email_is_bounded(publishers: Publishers) -> None:
    at = now_us() - HOUR
    message = await publishers.email(accepted_at=at - HOUR)
    many = [At(n / 100, n % 5, RUSH, f"192.0.2.{n % 256}") for n in range(400)]
    hidden = [At(60 + n, HIDDEN) for n in range(50)]
    made = clicks_of(message, many, at)
    for start in range(0, 400, 150):
        await publishers.publish(start, [each for each, _ in made[start : start + 150]])
    await publishers.publish(0, [each for each, _ in clicks_of(message, hidden, at)])
    await check(publishers.stores[0], made)
    [(records, traps)] = await remembered(publishers.stores[0])
    assert (len(records), len(traps)) == (RECENT * RECORD, RECENT_TRAPS * RECORD)


async def remembered(store: Store) -> list[tuple[str, str]]:
    query = select(evidence.c.records, evidence.c.traps)
    return [(r.records, r.traps) for r in await store._database.read(lambda c: c.execute(query))]


async def test_of_a_person_who_was_erased_no_address_is_told_apart(publishers: Publishers) -> None:
    at = now_us() - HOUR
    store = publishers.stores[0]
    message = await publishers.email(accepted_at=at - HOUR)
    before = clicks_of(message, [At(-60, 0, HUMAN)], at)
    await publishers.publish(0, [each for each, _ in before])
    assert len(await remembered(store)) == 1
    await store.forget_person(message.recipients[0])
    assert await remembered(store) == []
    after = clicks_of(message, [At(0, 0, BOTH), At(1, 1, BOTH), At(1.5, HIDDEN)], at)
    for number, (each, _) in enumerate(after):
        await publishers.publish(number, [each])
    await check(store, before + after)
    [(records, traps)] = await remembered(store)
    ends = [
        all_[n - len(NOBODY) : n]
        for all_ in (records, traps)
        for n in range(RECORD, len(all_) + 1, RECORD)
    ]
    assert ends == [NOBODY] * 3
