"""Erasing a person leaves nothing of the person in the file."""

import json
import random
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Connection

from clicktrail.base.ids import new_id, now_us
from clicktrail.errors import InvalidInput, StoreUnavailable
from clicktrail.model import (
    Click,
    ConfigurationSet,
    EventDestination,
    EventType,
    Link,
    Message,
    MessageState,
    Subscription,
    Verdict,
)
from clicktrail.model.subscription import Contact, ContactList
from clicktrail.store import Store
from clicktrail.store.clicks.clicks import LoggedClick, SendEvent
from clicktrail.store.clicks.outbox import Notification
from clicktrail.store.clicks.statistics import Dimensions
from clicktrail.store.clicks.streams import NewStreamEvent
from clicktrail.store.clicks.unsubscribes import LoggedUnsubscribe, Unsubscribe
from clicktrail.store.database.connect import open_database
from clicktrail.store.finding.trigrams import indexed_text
from clicktrail.store.people import forget
from clicktrail.store.people.forget import Forgotten
from support.counting import counted
from support.jury import Correction

ANNA = "Anna.Example@mail.example"
LINK = "https://shop.example/?to=anna.example%40mail.example"
PLAIN = "https://shop.example/books"
ARN = "arn:clicktrail:webhook:::https://a.example"
HOOK = ("news", "hook")
TRACES = (b"anna.example", b"198.51.100.77", b"annas/browser")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "clicktrail.db"


@pytest.fixture
async def store(file: Path) -> AsyncIterator[Store]:
    opened = await Store.open(f"sqlite:///{file}")
    yield opened
    await opened.close()


async def email_to(
    store: Store, *recipients: str, link: str = PLAIN, padding: str = "", **changes: object
) -> Message:
    at = now_us()
    made = Message(
        id=new_id(at),
        accepted_at=at,
        source="news@example.com",
        recipients=recipients,
        configuration_set="news",
        headers=(("To", ", ".join(recipients)), ("Subject", "Hello"), ("X-Padding", padding)),
        links=(Link(0, link),),
    )
    made = replace(made, **changes)  # type: ignore[arg-type]
    await store.messages.add(made)
    return made


def event_of(message: Message, click: Click) -> bytes:
    mail = {
        "messageId": message.id,
        "destination": list(message.recipients),
        "headers": [{"name": name, "value": value} for name, value in message.headers],
    }
    told = {
        "ipAddress": click.ip,
        "userAgent": click.user_agent,
        "url": click.url,
        "link": click.url,
        "linkTags": {"for": [message.recipients[0]]},
        "bot": {"verdict": "human", "reasons": []},
    }
    event = {"eventType": "Click", "mail": mail, "click": told, "eventId": click.event_id}
    return json.dumps(event).encode()


def clicked(message: Message) -> LoggedClick:
    link = message.links[0]
    click = Click(new_id(), message.id, 0, link.url, now_us(), "198.51.100.77", "Annas/Browser")
    payload = event_of(message, click)
    return LoggedClick(
        click,
        Dimensions("2026-11-23T10", "news", "", "Other"),
        (("for", message.recipients[0]), ("kind", "book")),
        outgoing=(
            NewStreamEvent("clicks", click.event_id + ":0", payload, now_us()),
            Notification(click.event_id + ":1", *HOOK, ARN, payload),
        ),
    )


async def click_on(store: Store, message: Message) -> Click:
    logged = clicked(message)
    assert len(await store.clicks.record([logged])) == 1
    return logged.click


async def events(store: Store) -> list[dict[str, object]]:
    return [json.loads(each.payload) for each in await store.streams.read(None, 0, 10_000)]


async def kept(store: Store, table: str) -> list[tuple[object, ...]]:
    """Return all rows of a table."""
    database = open_database(f"sqlite:///{store._database.name}")

    def read(connection: Connection) -> list[tuple[object, ...]]:
        return [tuple(row) for row in connection.exec_driver_sql(f"SELECT * FROM {table}")]

    try:
        return await database.read(read)
    finally:
        await database.close()


def traces_in(file: Path) -> list[tuple[str, bytes]]:
    """Return what is still to be found in the database, its log and all that lies beside it."""
    found = {path.name: path.read_bytes().lower() for path in file.parent.iterdir()}
    return [(name, trace) for name, raw in found.items() for trace in TRACES if trace in raw]


def event_reduced(click: Click) -> dict[str, object]:
    return {
        "eventType": "Click",
        "mail": {"messageId": click.message_id},
        "click": {
            "ipAddress": "",
            "userAgent": "",
            "url": "[erased]",
            "link": "[erased]",
            "linkTags": {},
            "bot": {"verdict": "human", "reasons": []},
        },
        "eventId": click.event_id,
    }


async def test_nothing_of_a_person_is_in_the_file_any_more(store: Store, file: Path) -> None:
    hers = await email_to(store, ANNA, link=LINK)
    click = await click_on(store, hers)
    both = await email_to(store, "other@mail.example", ANNA.upper())
    done = await store.forget_person("  anna.example@MAIL.example ")
    # Two of the counters are the URL and the tag that held the address.
    assert done == Forgotten(
        messages=1, messages_changed=1, clicks=1, counters=2, events=1, notifications=1
    )
    assert traces_in(file) == []  # while the store is open, too
    assert (await store.messages.get(both.id)).recipients == ("other@mail.example",)
    assert await store.messages.get_many([hers.id]) == {}
    assert await events(store) == [event_reduced(click)]
    [claimed] = await store.outbox.claim(HOOK, ARN, now_us(), now_us(), 10)
    assert json.loads(claimed.payload) == event_reduced(click)
    assert not await store.forget_person(ANNA)
    await store.close()
    assert traces_in(file) == []


BLOCKS = "SELECT block FROM message_index_data WHERE id > 10 ORDER BY id"
"""The segments of FTS5's index; rows 1 and 10 are its counts and its list of segments."""


async def test_nothing_that_a_person_was_found_by_is_in_the_index_any_more(
    store: Store, file: Path
) -> None:
    for n in range(5):
        emails = [
            await email_to(store, f"reader{n}@gmail.example"),
            await email_to(store, ANNA, link=LINK),
            await email_to(store, ANNA, "berta@mail.example"),
        ]
        for each in emails:
            await store.messages.finish(each.id, MessageState.SENT, each.recipients, now_us())
        assert await store.search.index(2) == 2  # a segment, and others later
    while await store.search.index(100):
        pass
    await store.forget_person(ANNA)
    with closing(sqlite3.connect(file)) as connection:
        numbers = dict(connection.execute("SELECT message_id, number FROM message_numbers"))
        left = (await store.messages.get_many(numbers)).values()
        assert len(left) == len(numbers) == 10
        [(made,)] = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'message_index'")
        blocks = list(connection.execute(BLOCKS))
    with closing(sqlite3.connect(":memory:")) as anew:
        anew.execute(made)
        rows = [(numbers[message.id], indexed_text(message)) for message in left]
        anew.executemany("INSERT INTO message_index (rowid, text) VALUES (?, ?)", rows)
        anew.execute("INSERT INTO message_index (message_index) VALUES ('optimize')")
        assert [len(block) for (block,) in anew.execute(BLOCKS)] == [len(b) for (b,) in blocks]
        assert [block for (block,) in anew.execute(BLOCKS)] == [block for (block,) in blocks]


async def test_what_was_counted_stays(store: Store) -> None:
    hers, theirs = await email_to(store, ANNA, link=LINK), await email_to(store, "b@mail.example")
    for message in (hers, hers, theirs):
        await click_on(store, message)
    before = await store.statistics.daily()
    await store.forget_person(ANNA)
    assert await store.statistics.daily() == before
    links = {each.url: (each.clicks, each.unique_clicks) for each in await store.pages.links()}
    assert links == {"[erased]": (2, 1), PLAIN: (1, 1)}
    tags = {(each.tag, each.value): each.clicks for each in await store.statistics.tags()}
    assert tags == {
        ("for", "[erased]"): 2,
        ("for", "b@mail.example"): 1,
        ("kind", "book"): 3,
    }


async def test_others_are_left_alone(store: Store) -> None:
    other = await email_to(store, "joanna.example@mail.example.org", link=LINK)
    await click_on(store, replace(other, links=(Link(0, PLAIN),)))
    tables = ("message_contents", "clicks", "stream_events", "outbox", "link_counters")
    before = [await kept(store, table) for table in tables]
    assert not await store.forget_person(ANNA[1:])
    assert not await store.forget_person(ANNA.replace("mail", "post"))
    assert [await kept(store, table) for table in tables] == before


async def test_a_person_is_found_wherever_in_the_tables(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forget, "BATCH", 3)
    for number in range(14):
        recipient = ANNA if number % 6 == 0 else f"{number}@mail.example"
        await click_on(store, await email_to(store, recipient))
    naming = [await email_to(store, f"x{n}@mail.example", link=f"{LINK}&n={n}") for n in range(4)]
    for message in naming:
        await click_on(store, message)
    assert await store.forget_person(ANNA) == Forgotten(
        messages=3, messages_changed=4, clicks=7, counters=5, events=7, notifications=7
    )
    assert not await store.forget_person(ANNA)
    others = [row for row in await kept(store, "clicks") if row[6] == "198.51.100.77"]
    assert len(others) == 15  # 18 without Anna's: those who clicked on a URL with her name, too
    assert [len(each.recipients) for each in [await store.messages.get(naming[0].id)]] == [1]


@pytest.mark.parametrize("place", ["source", "header", "tag", "link tag", "word"])
async def test_in_emails_to_others_only_the_text_that_names_the_person_goes(
    store: Store, place: str
) -> None:
    changes: dict[str, dict[str, object]] = {
        "source": {"source": ANNA},
        "header": {"headers": (("Reply-To", f"Anna <{ANNA}>"), ("Subject", "Hello"))},
        "tag": {"tags": {"by": [ANNA, "b"]}},
        "link tag": {"links": (Link(0, PLAIN, (("by", ANNA), ("kind", "book"))),)},
        "word": {"headers": (("Subject", "=?utf-8?b?YW5uYS5leGFtcGxlQG1haWwuZXhhbXBsZQ==?="),)},
    }
    erased: dict[str, dict[str, object]] = {
        "source": {"source": "[erased]"},
        "header": {"headers": (("Reply-To", "[erased]"), ("Subject", "Hello"))},
        "tag": {"tags": {"by": ["[erased]", "b"]}},
        "link tag": {"links": (Link(0, PLAIN, (("by", "[erased]"), ("kind", "book"))),)},
        "word": {"headers": (("Subject", "[erased]"),)},
    }
    message = await email_to(store, "b@mail.example", **changes[place])  # type: ignore[arg-type]
    assert await store.forget_person(ANNA) == Forgotten(messages_changed=1)
    assert await store.messages.get(message.id) == replace(message, **erased[place])  # type: ignore[arg-type]


async def test_clicks_that_come_later_do_not_bring_the_person_back(
    store: Store, file: Path
) -> None:
    hers = await email_to(store, ANNA, link=LINK)
    on_its_way = clicked(hers)  # prepared with all that was known of her
    await store.forget_person(ANNA)
    assert (
        len(await store.clicks.record([on_its_way, clicked(await email_to(store, "b@c.de"))])) == 2
    )
    corrected = replace(on_its_way, verdict=Verdict.MACHINE, reasons=("burst",))
    await store.clicks.record([], Correction([corrected]))
    first, second = await events(store)
    assert first == event_reduced(on_its_way.click)
    assert second["mail"] != {"messageId": second["mail"]["messageId"]}  # type: ignore[index]
    day = await counted(store)
    assert (day.clicks, day.unique_clicks, day.human_clicks) == (2, 2, 1)
    links = {each.url: (each.clicks, each.human_clicks) for each in await store.pages.links()}
    assert links == {"[erased]": (1, 0), PLAIN: (1, 1)}
    rows = sorted(row[5:9] for row in await kept(store, "clicks"))
    assert rows == [("", "198.51.100.77", "Annas/Browser", PLAIN), ("burst", "", "", "[erased]")]
    await store.close()
    assert traces_in(file) == [(file.name, t) for t in TRACES[1:]]  # the other one's


async def test_an_interrupted_erasure_is_finished_by_the_next(
    store: Store, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await click_on(store, await email_to(store, ANNA, link=LINK))

    def fail(_: bytes) -> bytes:
        raise StoreUnavailable("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(forget, "reduced_event", fail)
        with pytest.raises(StoreUnavailable):
            await store.forget_person(ANNA)
    assert traces_in(file) != []
    # Her emails are gone, and with them what tells whose the clicks are, but for the marks.
    assert await kept(store, "message_contents") == []
    assert (await store.forget_person(ANNA)).clicks == 1
    assert traces_in(file) == []


async def test_what_was_prepared_before_and_written_meanwhile_is_found(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    about_her = await email_to(store, "b@mail.example", source=ANNA)
    prepared = clicked(replace(about_her, recipients=("b@mail.example", ANNA)))
    look = forget._Forgetting._clicks

    async def record_first(forgetting: forget._Forgetting) -> None:
        await store.clicks.record([prepared])
        await look(forgetting)

    monkeypatch.setattr(forget._Forgetting, "_clicks", record_first)
    done = await store.forget_person(ANNA)
    assert (done.messages_changed, done.events, done.notifications) == (1, 1, 1)
    assert "anna.example" not in str(await events(store)).lower()


@pytest.mark.parametrize("step", ["_messages", "_clicks"])
async def test_who_unsubscribes_meanwhile_is_on_no_list_that_can_be_read(
    store: Store, file: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    hers, at = await email_to(store, ANNA), now_us()
    made = Unsubscribe(new_id(at), hers.id, at, "news", "")
    wish = LoggedUnsubscribe(
        made, Subscription("news", "", ANNA), Dimensions("2026-11-23", "", "", "Other")
    )
    look = getattr(forget._Forgetting, step)

    async def record_first(forgetting: forget._Forgetting) -> None:
        await store.unsubscribes.record([wish], suppressing=True)
        await look(forgetting)

    monkeypatch.setattr(forget._Forgetting, step, record_first)
    await store.do_not_track.add([ANNA], "admin")
    done = await store.forget_person(ANNA)
    assert (done.messages, done.untracked) == (1, 1)
    assert await store.unsubscribed.unwilling("news", "", [ANNA]) == [ANNA]
    assert list(await store.suppression.among([ANNA])) == [ANNA]
    await store.close()
    assert traces_in(file) == []


async def test_an_email_whose_contents_went_by_age_is_known_by_its_events(
    store: Store, file: Path
) -> None:
    hers = await email_to(store, ANNA, link=LINK)
    click = await click_on(store, hers)
    await store.messages.forget(now_us() + 1_000_000)
    done = await store.forget_person(ANNA)
    assert (done.messages, done.events, done.notifications, done.clicks) == (0, 1, 1, 1)
    assert await events(store) == [event_reduced(click)]
    assert traces_in(file) == []


async def test_dead_letters_are_reduced_and_can_be_replayed(store: Store) -> None:
    click = await click_on(store, await email_to(store, ANNA))
    await store.outbox.give_up(HOOK, "gone", now_us())
    done = await store.forget_person(ANNA)
    assert (done.notifications, done.dead_letters) == (0, 1)
    [letter] = await store.outbox.dead()
    assert json.loads(letter.payload) == event_reduced(click)
    assert await store.outbox.replay() == 1


async def test_an_email_that_is_just_being_sent_is_counted_all_the_same(store: Store) -> None:
    hers = await email_to(store, ANNA)
    await store.forget_person(ANNA)
    await store.messages.finish(hers.id, MessageState.SENT, hers.recipients, now_us())
    assert (await counted(store)).sent == 1
    assert await kept(store, "message_contents") == []


async def test_send_events_are_reduced_before_and_after(store: Store) -> None:
    sent = EventDestination("sent", "arn:clicktrail:stream:::sent", frozenset({EventType.SEND}))
    await store.configuration.create_set(ConfigurationSet("news", destinations=(sent,)))
    first, second = await email_to(store, ANNA), await email_to(store, ANNA)
    for each in (first, second):
        await store.messages.finish(each.id, MessageState.SENT, each.recipients, now_us())

    def told(message: Message) -> SendEvent:
        mail = {"messageId": message.id, "destination": [ANNA], "source": "news@example.com"}
        payload = json.dumps({"eventType": "Send", "mail": mail, "send": {}, "eventId": "1:0"})
        return SendEvent(message.id, (NewStreamEvent("sent", "1:0", payload.encode(), now_us()),))

    await store.clicks.announce([told(first)])
    done = await store.forget_person(ANNA)
    assert (done.messages, done.events) == (2, 1)
    await store.clicks.announce([told(second)])
    assert await events(store) == [
        {"eventType": "Send", "mail": {"messageId": m.id}, "send": {}, "eventId": "1:0"}
        for m in (first, second)
    ]


async def test_no_byte_is_left_whatever_was_written_moved_and_deleted_before(
    store: Store, file: Path
) -> None:
    chance = random.Random(7)
    for number in range(150):
        recipient = ANNA if number % 10 == 0 else f"{number}@mail.example"
        padding = "x" * chance.choice((0, 50, 700, 3000, 9000))
        message = await email_to(store, recipient, link=f"{PLAIN}/{number}", padding=padding)
        await click_on(store, message)
        if number % 25 == 24:  # delivered: deleted from the outbox
            taken = await store.outbox.claim(HOOK, ARN, now_us(), now_us() + 10**7, 30)
            await store.outbox.settle(HOOK, taken, [], now_us())
    await store.streams.forget(now_us(), 60)
    assert (await store.forget_person(ANNA)).messages == 15
    # The others have her IP address and browser in this test.
    assert [found for found in traces_in(file) if found[1] == b"anna.example"] == []


@pytest.mark.parametrize("address", ["", "anna", "@", "@example.com@", "a b@example.com"])
async def test_what_is_no_address_is_refused(store: Store, address: str) -> None:
    with pytest.raises(InvalidInput, match="no email address"):
        await store.forget_person(address)


async def test_changes_of_links_that_name_the_person_go(store: Store, file: Path) -> None:
    await store.orders.replace(LINK, PLAIN, by="admin")
    await store.orders.replace(PLAIN, LINK, by="admin")
    await store.orders.block(PLAIN, f"not for {ANNA}", by="admin")
    left = await store.orders.block(PLAIN, "broken", by="admin")
    known = await store.orders.newer("")
    assert known is not None
    await store.forget_person(ANNA)
    told = await store.orders.newer(known.version)
    assert told is not None
    assert told.changes is not None
    assert list(told.changes) == [left] == await store.orders.changes()
    await store.close()
    assert traces_in(file) == []


async def test_who_is_erased_before_an_email_is_sent_is_in_no_count(
    store: Store, file: Path
) -> None:
    links = (Link(0, PLAIN, (("for", ANNA.lower()), ("kind", "book"))),)
    message = await email_to(store, "bob@mail.example", links=links)
    await store.forget_person(ANNA)
    to = message.recipients
    await store.messages.finish(message.id, MessageState.SENT, to, now_us())
    assert traces_in(file) == []
    with closing(sqlite3.connect(file)) as connection:
        tags = connection.execute("SELECT tag, value, tracked FROM tag_counters").fetchall()
    assert sorted(tags) == [("for", "[erased]", 1), ("kind", "book", 1)]


@pytest.mark.parametrize("destination", [None, "", PLAIN, LINK])
@pytest.mark.parametrize("link", [PLAIN, LINK])
async def test_clicks_of_others_that_were_led_to_the_person_name_nobody(
    store: Store, file: Path, link: str, destination: str | None
) -> None:
    message = await email_to(store, "berta@example.com", link=link)
    made = clicked(message)
    await store.clicks.record([replace(made, click=replace(made.click, destination=destination))])
    await store.forget_person(ANNA)
    [row] = await store.browse.newest_clicks(10)
    url, led = row.click.url, row.click.destination
    assert url == (PLAIN if LINK not in (link, destination) else "[erased]")
    assert bool(led) == bool(destination)
    await store.close()
    assert TRACES[0] not in {trace for _, trace in traces_in(file)}


async def test_what_is_kept_of_others_names_the_person_no_more(store: Store, file: Path) -> None:
    shown = f"<p>{ANNA.replace('@', '&#64;')} has invited you", "<p>x"
    showing = await email_to(store, "berta@example.com", html=shown)
    other = await email_to(
        store, "berta@example.com", html=("<p>anna.example is not mail.example",)
    )
    damaged = await email_to(store, "berta@example.com", html=("<p>nobody can read this",))
    with closing(sqlite3.connect(file)) as connection, connection:
        change = "UPDATE message_html SET html = x'00' WHERE message_id = ?"
        connection.execute(change, (damaged.id,))
    await store.contacts.create_list(ContactList("ours", 1, 1))
    said = {
        "berta@example.com": json.dumps({"friends": [ANNA, "carl@example.com"], "age": 7}),
        "carl@example.com": f"knows {ANNA}",
        "dora@example.com": '{"age":  7}',
        "emil@example.com": "[" * 9_000 + json.dumps(ANNA),
        "fred@example.com": f'{{"of": "{ANNA}", "of": "nobody"}}',
    }
    for address, attributes in said.items():
        await store.contacts.create("ours", Contact(address, 1, 1, attributes=attributes))
    done = await store.forget_person(ANNA)
    assert (done.messages_changed, done.counters) == (2, 4)
    assert (await store.trail.html(showing.id), len(await store.trail.html(other.id))) == (
        (),
        1,
    )
    left = [(await store.contacts.get("ours", address)).attributes for address in said]
    friends = '{"friends":["[erased]","carl@example.com"],"age":7}'
    assert left == [friends, "[erased]", '{"age":  7}', "[erased]", "[erased]"]
    assert not await store.forget_person(ANNA)
    await store.close()
    assert traces_in(file) == []
