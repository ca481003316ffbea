"""What is too old is deleted, little by little; what was counted stays."""

import asyncio
from collections.abc import Callable

import pytest

from clicktrail.base.ids import new_id, now_us
from clicktrail.publish import retention
from clicktrail.publish.retention import DAY, Periods, Retention
from clicktrail.store.clicks.streams import NewStreamEvent
from clicktrail.store.finding import trigrams
from support.publishing import House, click, to_stream, to_webhook, until


async def fill(house: House, at: int, count: int) -> None:
    for _ in range(count):
        message = await house.message(accepted_at=at)
        await house.journal.append(click(message, clicked_at=at, event_id=new_id(at)))
        await house.store.streams.append([NewStreamEvent("clicks", "x:0", b"{}", at)])
    await house.publish()


async def total(house: House) -> int:
    return sum(day.clicks for day in await house.store.statistics.daily())


async def test_only_what_is_older_is_deleted_in_small_steps(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH", 3)
    now = now_us()
    await house.configuration_set("news")
    await fill(house, now - 61 * DAY, 7)
    await fill(house, now - 59 * DAY, 5)
    done = await Retention(house.store, Periods()).apply(now)
    assert done.pop("crowds") >= 2  # one an hour
    assert done == {"messages": 7, "clicks": 7, "events": 7, "evidence": 12}
    assert await Retention(house.store, Periods()).apply(now) == {}
    assert len(await house.store.streams.read(None, 0, 100)) == 5
    assert await total(house) == 12


async def test_the_index_of_what_was_deleted_is_written_anew_once_a_day(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, store = now_us(), house.store
    compacted: list[float] = []

    async def compact(pause: float, ended: Callable[[], bool]) -> None:
        assert not ended()
        compacted.append(pause)

    monkeypatch.setattr(store.search, "compact", compact)
    looking = Retention(store, Periods())
    await looking.apply(now)
    assert compacted == []
    for _ in range(2):
        await house.message(accepted_at=now - 61 * DAY)
        await looking.apply(now)
    assert len(compacted) == 1


async def test_the_index_is_written_anew_no_further_than_the_stop(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    merged: list[object] = []
    looking = Retention(house.store, Periods(), first=0.0)

    async def merge(*_: object) -> bool:
        merged.append(1)
        looking._stopping.set()
        return len(merged) < 50

    monkeypatch.setattr(trigrams, "write_with_index", merge)
    await house.message(accepted_at=now_us() - 61 * DAY)
    await looking.apply(now_us())
    assert len(merged) == 1


async def test_nothing_is_deleted_where_it_is_kept_for_ever(house: House) -> None:
    await house.configuration_set("news")
    await fill(house, now_us() - 1000 * DAY, 2)
    assert await Retention(house.store, Periods(0, 0, 0, 0, 0, 0)).apply(now_us()) == {}


async def test_a_click_on_a_link_of_a_forgotten_email_still_counts_and_is_told(
    house: House,
) -> None:
    await house.configuration_set("news", to_stream())
    message = await house.message(accepted_at=now_us() - 61 * DAY)
    await Retention(house.store, Periods()).apply(now_us())
    await house.journal.append(click(message))
    assert await house.publish() == 1
    [event] = await house.events()
    assert event["mail"] == {"messageId": message.id}
    assert await total(house) == 1


async def test_dead_letters_go_and_what_waits_stays(house: House) -> None:
    await house.configuration_set("news", to_webhook("dies"), to_webhook("waits"))
    await house.journal.append(click(await house.message()))
    await house.publish()
    outbox, now = house.store.outbox, now_us()
    assert await outbox.give_up(("news", "dies"), "gone", now - 61 * DAY) == 1
    assert await Retention(house.store, Periods()).apply(now) == {"dead letters": 1}
    assert {w.destination: (w.count, w.dead) for w in await outbox.waiting()} == {
        "dies": (0, 0),
        "waits": (1, 0),
    }


async def test_it_runs_in_the_background_until_it_is_stopped(house: House) -> None:
    await house.configuration_set("news")
    await fill(house, now_us() - 61 * DAY, 1)
    working = Retention(house.store, Periods(), first=0)
    await working.start()

    async def is_gone() -> bool:
        return not await house.store.streams.names()

    await until(is_gone)
    await working.stop()


async def test_it_does_not_look_before_the_publisher_has_read_again_what_a_crash_left(
    house: House,
) -> None:
    await house.configuration_set("news")
    await fill(house, now_us() - 61 * DAY, 1)
    working = Retention(house.store, Periods(), first=3600)
    await working.start()
    await asyncio.sleep(0.05)
    await working.stop()  # at once, not in an hour
    assert await house.store.streams.names() == ["clicks"]


async def test_events_made_while_the_clock_was_ahead_do_not_keep_others(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH", 2)
    now = now_us()
    ages = [-400, -400, -400, 61, 61, 61, 1]
    events = [NewStreamEvent("clicks", f"{n}:0", b"{}", now - d * DAY) for n, d in enumerate(ages)]
    await house.store.streams.append(events)
    assert await Retention(house.store, Periods()).apply(now) == {"events": 3}
    left = await house.store.streams.read(None, 0, 10)
    assert [each.event_id for each in left] == ["0:0", "1:0", "2:0", "6:0"]


async def test_others_write_while_much_is_deleted(house: House) -> None:
    await house.configuration_set("news")
    old = now_us() - 61 * DAY
    events = [NewStreamEvent("clicks", "x:0", b"x" * 4000, old)] * 5000
    await house.store.streams.append(events)
    working = Retention(house.store, Periods(), first=0)
    await working.start()
    written = 0
    while await house.store.streams.names() != []:
        await house.message()
        written += 1
    await working.stop()
    # 25 transactions of deleting: between any two of them somebody else had a turn.
    assert written >= 10
