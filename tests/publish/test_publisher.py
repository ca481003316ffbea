"""From the journal to the store: what is counted, who is told, and that it happens once."""

import asyncio
import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest

from clicktrail.base.ids import day_of, new_id, now_us
from clicktrail.errors import StoreUnavailable
from clicktrail.journal.memory import MemoryJournal
from clicktrail.model import HONEYPOT_LINK, EventType, MessageState, Verdict, Where
from clicktrail.store import Store
from clicktrail.store.clicks.clicks import ClickStore
from support.counting import counted
from support.publishing import HOUR, House, Receiver, click, to_stream, to_webhook, until

GOOGLEBOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"


async def test_a_click_is_counted_and_told(house: House) -> None:
    await house.configuration_set("news", to_stream())
    message = await house.message()
    made = click(message, 1)
    await house.journal.append(made)
    assert await house.publish() == 1
    [event] = await house.events()
    assert event["eventType"] == "Click"
    assert event["eventId"] == f"{made.event_id}:0"
    assert event["mail"]["messageId"] == message.id
    assert event["click"]["url"] == "https://example.com/1"
    assert event["click"]["linkTags"] == {"place": ["top"], "n": ["1"]}
    assert event["click"]["bot"] == {"verdict": "human", "reasons": []}
    [day] = await house.store.statistics.daily()
    assert (day.day, day.sent, day.clicks) == (day_of(made.clicked_at), 0, 1)
    assert (day.unique_clicks, day.human_clicks) == (1, 1)


async def test_every_click_counts_and_is_told_but_only_the_first_of_a_link_is_unique(
    house: House,
) -> None:
    await house.configuration_set("news", to_stream())
    message = await house.message()
    far = 10_000_000
    for number, link in enumerate((0, 0, 1, 0)):
        await house.journal.append(click(message, link, clicked_at=now_us() - number * far))
    await house.publish()
    await house.journal.append(click(message, 1))
    await house.publish()
    day = await counted(house.store)
    assert (day.clicks, day.unique_clicks) == (5, 2)
    assert len(await house.events()) == 5


async def test_a_click_that_comes_twice_counts_once(house: House) -> None:
    await house.configuration_set("news", to_stream(), to_webhook())
    message = await house.message()
    made = click(message)
    await house.journal.append(made)
    await house.journal.append(made)
    assert await house.publish() == 1
    await house.journal.append(made)
    await house.journal.append(click(message, 1, clicked_at=made.clicked_at - 60_000_000))
    assert await house.publish() == 1
    assert len(await house.events()) == 2
    [waiting] = await house.store.outbox.waiting()
    assert waiting.count == 2
    day = await counted(house.store)
    assert (day.clicks, day.unique_clicks, day.human_clicks) == (2, 2, 2)


async def test_clicks_of_a_crashed_publisher_are_read_again_and_count_once(house: House) -> None:
    await house.configuration_set("news", to_stream())
    message = await house.message()
    for number in range(10):
        await house.journal.append(click(message, ip=f"203.0.113.{number}"))
    first = MemoryJournal(house.journal._shelf)
    await house.publisher(first).publish(await first.read(6, 0.1))  # and no commit: it crashed
    assert await house.publish() == 4
    assert len(await house.events()) == 10
    day = await counted(house.store)
    assert day.clicks == 10


async def test_each_destination_has_its_own_event_id(house: House) -> None:
    other = replace(to_stream("sends"), types=frozenset({EventType.SEND}))
    off = replace(to_stream("off"), enabled=False)
    await house.configuration_set("news", other, to_stream("a"), off, to_stream("b"))
    made = click(await house.message())
    await house.journal.append(made)
    await house.publish()
    assert [e["eventId"] for e in await house.events("a")] == [f"{made.event_id}:0"]
    assert [e["eventId"] for e in await house.events("b")] == [f"{made.event_id}:1"]
    assert await house.events("off") == []
    assert await house.events("sends") == []


async def test_engagement_statistics_count_and_tell_nobody(house: House) -> None:
    await house.configuration_set("news", engagement=True)
    await house.journal.append(click(await house.message()))
    await house.publish()
    day = await counted(house.store, Where("news"))
    assert day.clicks == 1
    assert await house.store.streams.names() == []
    assert await house.store.outbox.waiting() == []


async def test_destinations_are_those_at_the_time_of_the_click(house: House) -> None:
    await house.configuration_set("news", to_stream("before"))
    message = await house.message()
    await house.store.configuration.remove_destination("news", "before")
    await house.store.configuration.add_destination("news", to_stream("after"))
    await house.journal.append(click(message))
    await house.publish()
    assert await house.store.streams.names() == ["after"]
    await house.store.configuration.delete_set("news")
    await house.journal.append(click(message))
    assert await house.publish() == 1
    assert len(await house.events("after")) == 1
    day = await counted(house.store, Where("news"))
    assert day.clicks == 2


async def test_statistics_are_kept_by_every_dimension(house: House) -> None:
    await house.configuration_set("news", engagement=True)
    day = "2026-10-01"
    at = 1_790_812_800_000_000 + 12 * HOUR
    gmail = await house.message(accepted_at=at - HOUR)
    yandex = await house.message(accepted_at=at - HOUR, recipients=("b@ya.ru",), identity=None)
    assert day_of(at) == day
    await house.journal.append(click(gmail, 0, clicked_at=at))
    await house.journal.append(click(gmail, 1, clicked_at=at + HOUR, user_agent=GOOGLEBOT))
    await house.journal.append(click(yandex, 0, clicked_at=at + 2 * HOUR))
    await house.publish()
    read = house.store.statistics
    assert [(d.day, d.clicks, d.human_clicks) for d in await read.daily()] == [(day, 3, 2)]
    assert [d.clicks for d in await read.daily(Where(provider="Yandex"))] == [1]
    assert [d.clicks for d in await read.daily(Where(identity="example.com"))] == [2]
    assert [
        (k.url[-1], k.clicks, k.unique_clicks, k.human_clicks)
        for k in await house.store.pages.links()
    ] == [
        ("0", 2, 2, 2),
        ("1", 1, 1, 0),
    ]
    assert [k.url[-1] for k in await house.store.pages.links(Where(provider="Yandex"))] == ["0"]
    assert [(t.tag, t.value, t.clicks) for t in await read.tags()] == [
        ("place", "top", 3),
        ("n", "0", 2),
        ("n", "1", 1),
    ]
    assert await read.tags(Where(since="2026-10-02")) == []
    assert [t.clicks for t in await read.tags(Where(until=day), limit=1)] == [3]


class TestMachines:
    async def test_they_are_told_of_but_not_counted_as_human(self, house: House) -> None:
        await house.configuration_set("news", to_stream())
        await house.journal.append(click(await house.message(), user_agent=GOOGLEBOT))
        await house.publish()
        [event] = await house.events()
        assert event["click"]["bot"] == {"verdict": "machine", "reasons": ["user-agent"]}
        day = await counted(house.store)
        assert (day.clicks, day.unique_clicks, day.human_clicks) == (1, 1, 0)

    async def test_a_burst_takes_back_what_was_counted_as_human(self, house: House) -> None:
        await house.configuration_set("news", to_stream())
        message = await house.message()
        at = now_us()
        publisher = house.publisher()
        first = click(message, 0, clicked_at=at)
        rest = [click(message, n, clicked_at=at + n * 100_000) for n in (1, 2, 3)]
        human_clicks = []
        for batch in ([first], rest[:1], rest[1:]):
            for each in batch:
                await house.journal.append(each)
            await publisher.publish(await house.journal.read(100, 0.1))
            day = await counted(house.store)
            human_clicks.append((day.clicks, day.human_clicks))
        assert human_clicks == [(1, 1), (2, 0), (4, 0)]
        verdicts = [e["click"]["bot"]["verdict"] for e in await house.events()]
        assert verdicts == ["human", "suspect", "machine", "machine"]
        for rows in (await house.store.pages.links(), await house.store.statistics.tags()):
            assert sum(each.human_clicks for each in rows) == 0

    async def test_a_burst_within_one_batch_is_told_with_its_final_verdict(
        self, house: House
    ) -> None:
        await house.configuration_set("news", to_stream())
        message = await house.message()
        at = now_us()
        for n in range(3):
            await house.journal.append(click(message, n, clicked_at=at + n))
        await house.publish()
        bots = [e["click"]["bot"] for e in await house.events()]
        assert bots == [{"verdict": "machine", "reasons": ["burst"]}] * 3

    async def test_a_correction_counts_once_however_often_it_comes(self, house: House) -> None:
        await house.configuration_set("news", engagement=True)
        message = await house.message()
        at = now_us()
        first, second = click(message, 0, clicked_at=at), click(message, 1, clicked_at=at + 1)
        for publisher in (house.publisher(), house.publisher()):  # as after a restart
            for made in (first, second):
                await house.journal.append(made)
                await publisher.publish(await house.journal.read(100, 0.1))
        day = await counted(house.store)
        assert (day.clicks, day.human_clicks) == (2, 0)


class TestTheHiddenLink:
    async def test_it_is_no_click_and_makes_the_visitors_clicks_a_machines(
        self, house: House
    ) -> None:
        await house.configuration_set("news", to_stream())
        message = await house.message()
        publisher = house.publisher()
        at = now_us() - 10_000_000
        before = click(message, 0, clicked_at=at)
        somebody = click(message, 0, clicked_at=at - 60_000_000, ip="203.0.113.9")
        trap = replace(before, event_id=new_id(at), link=HONEYPOT_LINK, url="https://example.com/")
        after = click(message, 1, clicked_at=at + 9_000_000)
        for batch in ([before, somebody], [trap], [after]):
            await house.journal.append(*batch)
            await publisher.publish(await house.journal.read(100, 0.1))
        day = await counted(house.store)
        assert (day.clicks, day.unique_clicks, day.human_clicks) == (3, 2, 1)
        assert [e["click"]["bot"] for e in await house.events()] == [
            {"verdict": "human", "reasons": []},
            {"verdict": "human", "reasons": []},
            {"verdict": "machine", "reasons": ["honeypot"]},
        ]
        assert {each.url for each in await house.store.pages.links()} == {
            "https://example.com/0",
            "https://example.com/1",
        }

    async def test_within_one_batch_all_are_told_with_their_final_verdict(
        self, house: House
    ) -> None:
        await house.configuration_set("news", to_stream())
        message = await house.message()
        at = now_us()
        first = click(message, 0, clicked_at=at)
        trap = replace(first, event_id=new_id(at), link=HONEYPOT_LINK)
        await house.journal.append(first, trap)
        assert await house.publish() == 1
        [event] = await house.events()
        assert event["click"]["bot"] == {"verdict": "machine", "reasons": ["honeypot"]}

    async def test_suspects_that_were_recorded_become_machines(self, house: House) -> None:
        await house.configuration_set("news", engagement=True)
        message = await house.message()
        publisher = house.publisher()
        suspect = click(message, 0, user_agent="")
        for made in (suspect, replace(suspect, event_id=new_id(), link=HONEYPOT_LINK)):
            await house.journal.append(made)
            await publisher.publish(await house.journal.read(100, 0.1))
        [row] = with_sql(house, "SELECT verdict, reasons FROM clicks")
        assert row == ("machine", "no-user-agent honeypot")
        day = await counted(house.store)
        assert (day.clicks, day.human_clicks) == (1, 0)


def with_sql(house: House, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(house.url.removeprefix("sqlite:///"))) as database:
        return list(database.execute(query))


class TestForgottenEmails:
    async def test_a_click_goes_to_its_own_configuration_set_with_a_reduced_mail(
        self, house: House
    ) -> None:
        await house.configuration_set("news", to_stream("mine"))
        await house.configuration_set("other", to_stream("theirs"))
        message = await house.message()
        await house.store.messages.forget(now_us())
        await house.journal.append(click(message))
        await house.publish()
        [event] = await house.events("mine")
        assert event["mail"] == {"messageId": message.id}
        assert event["click"]["linkTags"] == {}
        assert event["click"]["url"] == message.links[0].url
        assert await house.events("theirs") == []
        day = await counted(house.store, Where("news", provider="Google"))
        assert day.clicks == 1

    async def test_after_the_loss_of_the_database_the_only_set_is_told(self, house: House) -> None:
        await house.configuration_set("news", to_stream(), to_webhook())
        await house.configuration_set("counting", engagement=True)
        message = replace(await house.message(), id="0" * 21)
        await house.journal.append(click(message))
        await house.publish()
        [event] = await house.events()
        assert event["mail"] == {"messageId": message.id}
        assert [w.count for w in await house.store.outbox.waiting()] == [1]
        day = await counted(house.store, Where(""))
        assert day.clicks == 1

    async def test_with_several_sets_only_streams_are_told_each_once(self, house: House) -> None:
        await house.configuration_set("one", to_stream("shared"), to_webhook())
        await house.configuration_set("two", to_stream("shared"), to_stream("own"))
        message = replace(await house.message(), id="0" * 21)
        await house.journal.append(click(message))
        await house.publish()
        assert len(await house.events("shared")) == 1
        assert len(await house.events("own")) == 1
        assert await house.store.outbox.waiting() == []


class TestSendEvents:
    async def test_an_accepted_email_is_announced_once(self, house: House) -> None:
        await house.configuration_set("news", to_stream("sends", EventType.SEND), to_stream())
        message = await house.message()
        await house.store.messages.finish(
            message.id, MessageState.SENT, message.recipients, now_us()
        )
        publishers = [house.publisher() for _ in range(3)]
        await asyncio.gather(*(publisher.announce() for publisher in publishers))
        assert await publishers[0].announce() == 0
        [event] = await house.events("sends")
        assert (event["eventType"], event["send"]) == ("Send", {})
        assert event["mail"]["messageId"] == message.id
        assert event["eventId"].endswith(":0")
        assert await house.events("clicks") == []

    @pytest.mark.parametrize("state", [MessageState.REFUSED, MessageState.SENT])
    async def test_nothing_is_announced_without_a_sent_email_and_a_subscriber(
        self, house: House, state: MessageState
    ) -> None:
        kind = EventType.SEND if state is MessageState.REFUSED else EventType.CLICK
        off = replace(to_stream("off", EventType.SEND), enabled=False)
        await house.configuration_set("news", to_stream("sends", kind), off)
        message = await house.message()
        await house.store.messages.finish(message.id, state, message.recipients, now_us())
        assert await house.store.clicks.unannounced(10) == []

    async def test_they_go_out_while_the_publisher_runs(self, house: House) -> None:
        await house.configuration_set("news", to_webhook("sends", EventType.SEND))
        message = await house.message()
        async with house.publishing():
            await house.store.messages.finish(
                message.id, MessageState.SENT, message.recipients, now_us()
            )
            await until(lambda: house.receiver.events)
        [event] = house.receiver.events.values()
        assert event["mail"]["destination"] == ["someone@gmail.com"]


class TestRunning:
    async def test_clicks_flow_from_the_journal_to_streams_and_webhooks(self, house: House) -> None:
        await house.configuration_set("news", to_stream(), to_webhook())
        message = await house.message()
        async with house.publishing():
            for number in range(50):
                await house.journal.append(click(message, ip=f"203.0.113.{number}"))
            await until(lambda: len(house.receiver.events) == 50)
            await until(lambda: not house.journal._shelf.entries)
        told = await house.events()
        assert {e["eventId"][:-2] for e in told} == {i[:-2] for i in house.receiver.events}
        assert {e["eventId"][-2:] for e in told} == {":0"}
        assert {i[-2:] for i in house.receiver.events} == {":1"}

    async def test_while_the_store_fails_clicks_wait_and_none_is_lost(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("clicktrail.publish.publisher.FIRST_PAUSE", 0.01)
        await house.configuration_set("news", to_stream())
        message = await house.message()
        works = ClickStore.record
        failures = 3

        async def fails(*arguments: object) -> dict[str, Verdict]:
            nonlocal failures
            if failures:
                failures -= 1
                raise StoreUnavailable("the disk is full")
            return await works(*arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(ClickStore, "record", fails)
        for number in range(3):
            await house.journal.append(click(message, ip=f"203.0.113.{number}"))
        async with house.publishing():
            await until(lambda: not house.journal._shelf.entries)
        assert failures == 0
        assert len(await house.events()) == 3
        day = await counted(house.store)
        assert (day.clicks, day.human_clicks) == (3, 3)

    async def test_a_publisher_that_stops_while_the_store_fails_keeps_the_clicks(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        failed = asyncio.Event()

        async def fails(*_: object) -> int:
            failed.set()
            raise StoreUnavailable("the disk is full")

        await house.configuration_set("news", to_stream())
        await house.journal.append(click(await house.message()))
        with monkeypatch.context() as patch:
            patch.setattr(ClickStore, "record", fails)
            async with house.publishing():
                await failed.wait()
        assert len(house.journal._shelf.entries) == 1
        later = MemoryJournal(house.journal._shelf)
        assert await house.publisher(later).publish(await later.read(10, 0.1)) == 1

    async def test_two_publishers_over_one_store_do_not_double_anything(self, house: House) -> None:
        await house.configuration_set("news", to_stream(), to_webhook())
        message = await house.message()
        made = [click(message, ip=f"203.0.113.{number}") for number in range(40)]
        for each in made:
            await house.journal.append(each)
        other_store = await Store.open(house.url)
        other = House(house.url, other_store, MemoryJournal(house.journal._shelf), Receiver())
        async with house.publishing(), other.publishing():
            await until(lambda: len(house.receiver.calls) + len(other.receiver.calls) >= 40)
            await until(lambda: not house.journal._shelf.entries)
        await other_store.close()
        assert len(await house.events()) == 40
        assert len(house.receiver.calls) + len(other.receiver.calls) == 40
        day = await counted(house.store)
        assert day.clicks == 40


async def test_text_that_is_no_text_does_not_stop_the_publisher(house: House) -> None:
    await house.configuration_set("news", to_stream())
    message = await house.message()
    odd = click(message, user_agent="\udcff\0\ud800 browser", ip="\udc80", url="https://e.x/\udcff")
    await house.journal.append(odd)
    await house.publish()
    [event] = await house.events()
    assert event["click"]["url"] == "https://e.x/\ufffd"
    assert [k.url for k in await house.store.pages.links()] == ["https://e.x/\ufffd"]
