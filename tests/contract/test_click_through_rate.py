"""The click-through rate: tracked emails that a person clicked, each counted once, whenever."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from clicktrail.base.ids import hour_of, new_id
from clicktrail.model import Click, Link, Message, MessageState, Reason, Verdict, Where
from clicktrail.store import Store
from clicktrail.store.clicks.clicks import LoggedClick
from clicktrail.store.clicks.cohorts import tags_of
from clicktrail.store.clicks.statistics import Counts, Dimensions
from clicktrail.store.mail.grouping import mailings_of
from support.counting import counted
from support.jury import Correction

AT = 1_790_000_000_000_000  # 2026-09-21
HOUR = 3_600_000_000


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[Store]:
    opened = await Store.open(store_url)
    yield opened
    await opened.close()


async def taken(store: Store, at: int = AT, **changes: object) -> Message:
    """Return an email that the smarthost has not answered yet."""
    made = Message(
        id=new_id(at),
        accepted_at=at,
        source="news@example.com",
        recipients=("someone@gmail.com",),
        configuration_set="news",
        headers=(("Subject", "Offers"),),
        links=(Link(0, "https://a.example", (("place", "top"),)), Link(1, "https://b.example")),
    )
    made = replace(made, **changes)  # type: ignore[arg-type]
    await store.messages.add(made)
    return made


async def finish(
    store: Store, message: Message, state: MessageState = MessageState.SENT
) -> Message:
    recipients = message.recipients if state is MessageState.SENT else ()
    await store.messages.finish(message.id, state, recipients, message.accepted_at)
    return message


async def sent(store: Store, at: int = AT, **changes: object) -> Message:
    return await finish(store, await taken(store, at, **changes))


def clicked(
    message: Message, link: int = 0, verdict: Verdict = Verdict.HUMAN, at: int = AT + 30 * HOUR
) -> LoggedClick:
    tags = tags_of(message.links)
    click = Click(new_id(at), message.id, link, message.links[link].url, at, "", "")
    return LoggedClick(
        click,
        Dimensions(hour_of(at), "news", "", "Google"),
        tags.get(link, ()),
        verdict,
        mailings=tuple(key.digest for key in mailings_of(message)),
        link_tags=tags,
    )


async def rates(store: Store, message: Message) -> list[tuple[int, int]]:
    """Return clicked and tracked emails: of all, of a group, of a link tag, of a mailing."""
    [group] = await store.statistics.groups("provider", Where(until=hour_of(AT)[:10]))
    tag = await counted(store, Where(tag=("place", "top")))
    [mailing] = mailings_of(message)
    counts = (await store.mailings.counts([mailing.digest])).get(mailing.digest, Counts())
    found = await store.mailings.get(mailing.digest)
    numbers = [(each.clicked, each.tracked) for each in (await counted(store), group, tag)]
    return [*numbers, (counts.clicked, found.sent if found else 0)]


async def test_an_email_counts_once_in_the_day_of_its_own(store: Store) -> None:
    first, second = await sent(store), await sent(store)
    await sent(store, links=(), reason=Reason.OFF)
    await sent(store, links=(), headers=(("Subject", "Other"),))  # a fault left it as it was
    await store.search.index(100)
    assert await rates(store, first) == [(0, 2)] * 4
    await store.clicks.record([clicked(first, 1, Verdict.MACHINE)])
    assert await rates(store, first) == [(0, 2)] * 4
    await store.clicks.record([clicked(first, 1), clicked(first, 1)])
    assert await rates(store, first) == [(1, 2), (1, 2), (0, 2), (1, 2)], "the link has no tag"
    for _ in range(2):
        await store.clicks.record([clicked(first), clicked(second, 1), clicked(second, 0)])
        assert await rates(store, first) == [(2, 2)] * 4
    [day, later] = await store.statistics.daily()
    assert (day.tracked, day.clicked, day.click_through_rate) == (2, 2, 100)
    assert (later.tracked, later.clicked, later.clicks) == (0, 0, 9)
    assert (await store.statistics.hourly())[0].clicked == 2


async def test_a_correction_takes_it_back_when_the_last_person_is_none(store: Store) -> None:
    message = await sent(store)
    await store.search.index(100)
    top, bottom = clicked(message, 0), clicked(message, 1)
    await store.clicks.record([top, bottom])
    assert await rates(store, message) == [(1, 1)] * 4
    for verdict in (Verdict.SUSPECT, Verdict.MACHINE):
        corrected = Correction([replace(top, verdict=verdict)])
        await store.clicks.record([], corrected)
        assert await rates(store, message) == [(1, 1), (1, 1), (0, 1), (1, 1)]
    for verdict in (Verdict.SUSPECT, Verdict.MACHINE):
        await store.clicks.record([], Correction([replace(bottom, verdict=verdict)]))
        assert await rates(store, message) == [(0, 1)] * 4
    await store.clicks.record([clicked(message)])
    assert await rates(store, message) == [(1, 1)] * 4


async def test_a_correction_and_a_new_person_in_one_transaction(store: Store) -> None:
    message = await sent(store)
    await store.search.index(100)
    first = clicked(message)
    await store.clicks.record([first])
    corrected = Correction([replace(first, verdict=Verdict.MACHINE)])
    await store.clicks.record([clicked(message)], corrected)
    assert await rates(store, message) == [(1, 1)] * 4


@pytest.mark.parametrize("state", MessageState)
async def test_a_click_may_come_before_the_smarthost_has_answered(
    store: Store, state: MessageState
) -> None:
    message, other = await taken(store), await sent(store)
    await store.clicks.record([clicked(message)])
    assert (await counted(store)).clicked == 0
    if state is not MessageState.PENDING:
        await finish(store, message, state)
        await finish(store, message, state)
    await store.search.index(100)
    is_sent = state is MessageState.SENT
    assert await rates(store, other) == [(is_sent, 1 + is_sent)] * 4
    await store.clicks.record([clicked(message, 1)])
    assert await rates(store, other) == [(is_sent, 1 + is_sent)] * 4


async def test_two_publishers_and_the_smarthost_at_once_count_once(store_url: str) -> None:
    stores = [await Store.open(store_url) for _ in range(3)]
    emails = [await taken(stores[0]) for _ in range(40)]
    halves = [[clicked(message, link) for message in emails] for link in (0, 1)]
    finishing = [finish(stores[2], message) for message in emails]
    await asyncio.gather(
        *(stores[n].clicks.record(half) for n, half in enumerate(halves)), *finishing
    )
    await stores[0].search.index(100)
    assert await rates(stores[0], emails[0]) == [(40, 40)] * 4
    corrections = [Correction([replace(e, verdict=Verdict.MACHINE) for e in h]) for h in halves]
    await asyncio.gather(*(stores[n].clicks.record([], c) for n, c in enumerate(corrections)))
    assert await rates(stores[0], emails[0]) == [(0, 40)] * 4
    for each in stores:
        await each.close()


async def test_an_hour_that_is_forgotten_does_not_come_back(store: Store) -> None:
    old = await sent(store)
    await store.clicks.record([clicked(await sent(store, AT + 20 * HOUR))])
    await store.statistics.forget_hours(AT + 10 * HOUR)
    known = await store.statistics.first_hour()
    await store.clicks.record([clicked(old)])
    assert (await counted(store)).clicked == 2
    assert await store.statistics.first_hour() == known
    await store.statistics.forget_hours(AT + 1000 * HOUR)
    await store.clicks.record([clicked(await sent(store, AT + 2000 * HOUR), at=AT + 2001 * HOUR)])
    hours = await store.statistics.hourly()
    assert hours[0].day == hour_of(AT + 2000 * HOUR)
