"""Notifications that wait until a verdict has settled, and events that correct one."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from clicktrail.base.ids import new_id, now_us
from clicktrail.journal import Entry
from clicktrail.journal.memory import MemoryJournal
from clicktrail.model import Click, ConfigurationSet, EventDestination, EventType, Message
from clicktrail.store import Store
from support.publishing import HOUR, House, Receiver, click, until

SECOND = 1_000_000
STREAM = "arn:clicktrail:stream:::clicks"
HOOK = "arn:clicktrail:webhook:::https://a.example/hook"


@pytest.fixture
async def house(store_url: str) -> AsyncIterator[House]:
    store = await Store.open(store_url)
    yield House(store_url, store, MemoryJournal(), Receiver())
    await store.close()


async def configure(house: House, arn: str, settle: int, *types: EventType) -> None:
    to = EventDestination("to", arn, frozenset(types))
    made = ConfigurationSet("news", destinations=(to,), settle=settle)
    await house.store.configuration.create_set(made)


def burst(message: Message) -> list[Click]:
    """Return clicks of three links within two seconds."""
    at = now_us() - HOUR // 2
    made = [click(message, n, clicked_at=at + n * SECOND // 2) for n in range(3)]
    for each in made:
        each.event_id = new_id(each.clicked_at)
    return made


async def publish(house: House, *clicks: Click) -> None:
    await house.publisher().publish([Entry(n, each) for n, each in enumerate(clicks)])


def verdict(event: dict[str, Any]) -> str:
    return str(event["click"]["bot"]["verdict"])


@pytest.mark.parametrize("arn", [STREAM, HOOK])
async def test_what_waits_is_told_as_it_is_in_the_end(house: House, arn: str) -> None:
    await configure(house, arn, 30, EventType.CLICK, EventType.VERDICT_CHANGED)
    message = await house.message()
    began = now_us()
    for each in burst(message):
        await publish(house, each)
    ended = now_us()
    assert await house.events() == []
    store = house.store
    assert await store.outbox.claim(("news", "to"), arn, began + 29 * SECOND, 0, 99) == []
    waiting = await store.outbox.claim(("news", "to"), arn, ended + 30 * SECOND, ended + HOUR, 99)
    told = [json.loads(each.payload) for each in waiting]
    # None is corrected that nobody was told.
    assert [event["eventType"] for event in told] == ["Click"] * 3
    assert [verdict(event) for event in told] == ["machine"] * 3
    assert all(began + 30 * SECOND <= each.started_at <= ended + 30 * SECOND for each in waiting)


async def test_what_waits_arrives(house: House) -> None:
    await configure(house, HOOK, 1, EventType.CLICK)
    message = await house.message()
    await house.journal.append(*burst(message))
    async with house.publishing():
        await until(lambda: len(house.receiver.events) == 3)
    assert {verdict(event) for event in house.receiver.events.values()} == {"machine"}


async def test_a_verdict_that_was_told_is_corrected_once(house: House) -> None:
    await configure(house, STREAM, 0, EventType.CLICK, EventType.VERDICT_CHANGED)
    message = await house.message()
    first, second, third = burst(message)
    for each in (first, second, third, second, first):
        await publish(house, each)
    events = await house.events()
    told = [(e["eventType"], e["click"]["url"], verdict(e)) for e in events]
    corrected = [
        (e["verdictChanged"]["clickEventId"], e["verdictChanged"]["previousVerdict"], verdict(e))
        for e in events
        if e["eventType"] == "VerdictChanged"
    ]
    assert sorted(corrected) == sorted(
        [
            (first.event_id, "human", "suspect"),
            (first.event_id, "suspect", "machine"),
            (second.event_id, "suspect", "machine"),
        ]
    )
    assert [each for each in told if each[0] == "Click"] == [
        ("Click", first.url, "human"),
        ("Click", second.url, "suspect"),
        ("Click", third.url, "machine"),
    ]
    assert len({e["eventId"] for e in events}) == len(events) == 6


async def test_corrections_are_told_to_nobody_who_has_not_asked(house: House) -> None:
    await configure(house, STREAM, 0, EventType.CLICK)
    message = await house.message()
    for each in burst(message):
        await publish(house, each)
    assert [event["eventType"] for event in await house.events()] == ["Click"] * 3


async def test_nothing_of_a_person_who_was_erased_is_in_a_correction(house: House) -> None:
    await configure(house, STREAM, 0, EventType.CLICK, EventType.VERDICT_CHANGED)
    message = await house.message()
    first, second, third = burst(message)
    await publish(house, first)
    await house.store.forget_person(message.recipients[0])
    await publish(house, second)
    await publish(house, third)
    text = json.dumps(await house.events())
    assert "VerdictChanged" in text
    assert first.user_agent not in text
    assert message.recipients[0] not in text
