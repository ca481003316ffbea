"""Erasing a person leaves nothing of the person in the file."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from clicktrail.errors import InvalidInput
from clicktrail.ids import new_id, now_us
from clicktrail.model import Click, Link, Message
from clicktrail.store import Store, forget
from clicktrail.store.clicks import LoggedClick, SendEvent
from clicktrail.store.forget import Forgotten
from clicktrail.store.outbox import Notification
from clicktrail.store.statistics import Dimensions
from clicktrail.store.streams import NewStreamEvent

ANNA = "Anna.Example@mail.example"
LINK = "https://shop.example/?to=anna.example%40mail.example"
ARN = "arn:clicktrail:webhook:::https://a.example"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "clicktrail.db"


@pytest.fixture
async def store(file: Path) -> AsyncIterator[Store]:
    opened = await Store.open(f"sqlite:///{file}")
    yield opened
    await opened.close()


async def email_to(store: Store, *recipients: str, header: str = "") -> Message:
    at = now_us()
    made = Message(
        id=new_id(at),
        accepted_at=at,
        source="news@example.com",
        recipients=recipients,
        identity=None,
        configuration_set="news",
        source_ip=None,
        headers=(("To", header or ", ".join(recipients)), ("Subject", "Hello")),
        links=(Link(0, LINK),),
    )
    await store.messages.add(made)
    return made


def event_of(message: Message, click: Click) -> bytes:
    mail = {"messageId": message.id, "destination": list(message.recipients)}
    told = {"ipAddress": click.ip, "userAgent": click.user_agent, "url": click.url}
    return json.dumps({"eventType": "Click", "mail": mail, "click": told}).encode()


async def click_on(store: Store, message: Message, url: str = LINK) -> None:
    click = Click(new_id(), message.id, 0, url, now_us(), "198.51.100.77", "Annas/Browser")
    payload = event_of(message, click)
    events = (
        NewStreamEvent("clicks", click.event_id + ":0", payload, now_us()),
        Notification(click.event_id + ":1", "news", "hook", ARN, payload),
    )
    dimensions = Dimensions("2026-11-23", "news", "", "Other")
    await store.clicks.record([LoggedClick(click, dimensions, outgoing=events)])


async def test_nothing_of_a_person_is_in_the_file_any_more(store: Store, file: Path) -> None:
    hers = await email_to(store, ANNA)
    await click_on(store, hers)
    both = await email_to(store, "other@mail.example", ANNA.upper())
    done = await store.forget_person("  anna.example@MAIL.example ")
    assert done == Forgotten(1, 1, 1, 1, 1, 1)
    assert (await store.messages.get(both.id)).recipients == ("other@mail.example",)
    assert await store.messages.get_many([hers.id]) == {}
    assert [day.clicks for day in await store.statistics.daily()] == [1]
    [event] = await store.streams.read("clicks", 0, 10)
    assert json.loads(event.payload)["click"]["ipAddress"] == ""
    assert [each.count for each in await store.outbox.waiting()] == [1]
    assert not await store.forget_person(ANNA)
    await store.close()
    for path in file.parent.iterdir():
        kept = path.read_bytes().lower()
        for trace in (b"anna.example", b"198.51.100.77", b"annas/browser"):
            assert trace not in kept, path


async def test_others_are_left_alone(store: Store) -> None:
    other = await email_to(store, "joanna.example@mail.example.org")
    await click_on(store, other, "https://shop.example/")
    before = (await store.streams.read(None, 0, 10))[0].payload
    assert not await store.forget_person(ANNA[1:])
    assert not await store.forget_person(ANNA.replace("mail", "post"))
    assert (await store.streams.read(None, 0, 10))[0].payload == before
    assert (await store.messages.get(other.id)).links == (Link(0, LINK),)


async def test_a_person_is_found_wherever_in_the_tables(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forget, "BATCH", 3)
    for number in range(14):
        recipient = ANNA if number % 6 == 0 else f"{number}@mail.example"
        await click_on(store, await email_to(store, recipient), "https://shop.example/")
    assert await store.forget_person(ANNA) == Forgotten(
        3, 11, 3, 0, 3, 3
    )  # 11 have a link that names her
    assert not await store.forget_person(ANNA)


async def test_send_events_are_erased_too(store: Store) -> None:
    message = await email_to(store, ANNA)
    await store.messages.finish(message.id, message.state.SENT, message.recipients, now_us())
    payload = b'{"eventType":"Send","mail":{"messageId":"%b"},"send":{}}' % message.id.encode()
    await store.clicks.announce(
        [SendEvent(message.id, (NewStreamEvent("sent", "1:0", payload, 1),))]
    )
    assert (await store.forget_person(ANNA)).messages == 1


@pytest.mark.parametrize("address", ["", "anna", "@", "@example.com@", "a b@example.com"])
async def test_what_is_no_address_is_refused(store: Store, address: str) -> None:
    with pytest.raises(InvalidInput, match="no email address"):
        await store.forget_person(address)
