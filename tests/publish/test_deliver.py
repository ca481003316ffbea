"""The outbox worker: retries, dead letters, crashes, and destinations beside one another."""

import asyncio
import signal
import subprocess
import sys
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from clicktrail.base.ids import now_us
from clicktrail.errors import DeliveryFailed
from clicktrail.publish.deliver import Deliverer, Retry
from clicktrail.store import Store
from clicktrail.store.clicks.outbox import DeadLetter, Failed
from support.publishing import House, click, to_stream, to_webhook, until

QUICK = Retry(first=0.01, most=0.02, total=3600)


@asynccontextmanager
async def running(deliverer: Deliverer) -> Any:
    task = asyncio.create_task(deliverer.run())
    try:
        yield deliverer
    finally:
        await deliverer.stop()
        await task


async def clicked(house: House, count: int = 1, set_name: str = "news") -> list[str]:
    """Put clicks into the store; return their event ids."""
    message = await house.message(configuration_set=set_name)
    made = [click(message, ip=f"203.0.113.{n}") for n in range(count)]
    for each in made:
        await house.journal.append(each)
    assert await house.publish() == count
    return [each.event_id for each in made]


async def dead(house: House) -> list[DeadLetter]:
    return await house.store.outbox.dead()


async def test_what_is_delivered_is_gone_from_the_outbox(house: House) -> None:
    await house.configuration_set("news", to_webhook())
    ids = await clicked(house, 100)
    async with running(house.deliverer()):
        await until(house.nothing_waits)
    assert sorted(house.receiver.events) == sorted(f"{id_}:0" for id_ in ids)
    assert len(house.receiver.calls) == 100
    [doing] = await house.store.outbox.waiting()
    assert doing.last_success_at is not None
    assert (doing.dead, doing.last_failure_at, doing.last_error) == (0, None, "")


async def test_a_failure_is_tried_again_with_the_same_event_id(house: House) -> None:
    await house.configuration_set("news", to_webhook())
    [id_] = await clicked(house)
    house.receiver.error = DeliveryFailed("the answer was HTTP 503")
    async with running(house.deliverer(QUICK)):
        await until(lambda: len(house.receiver.calls) >= 3)
        house.receiver.error = None
        await until(house.nothing_waits)
    assert {event_id for _, event_id in house.receiver.calls} == {f"{id_}:0"}
    assert list(house.receiver.events) == [f"{id_}:0"]
    [doing] = await house.store.outbox.waiting()
    assert doing.last_error == "the answer was HTTP 503"
    assert doing.last_failure_at is not None
    assert doing.last_success_at is not None
    assert await dead(house) == []


async def test_a_permanent_refusal_is_dead_at_once_and_can_be_replayed(house: House) -> None:
    await house.configuration_set("news", to_webhook())
    [id_] = await clicked(house)
    house.receiver.error = DeliveryFailed("the answer was HTTP 410", permanent=True)
    async with running(house.deliverer(QUICK)) as deliverer:
        await until(lambda: dead(house))
        [letter] = await dead(house)
        assert (letter.event_id, letter.configuration_set) == (f"{id_}:0", "news")
        assert (letter.destination, letter.arn) == ("hook", to_webhook().arn)
        assert (letter.attempts, letter.last_error) == (1, "the answer was HTTP 410")
        assert len(house.receiver.calls) == 1
        house.receiver.error = None
        assert await house.store.outbox.replay([letter.id]) == 1
        deliverer.wake()
        await until(house.nothing_waits)
    assert list(house.receiver.events) == [f"{id_}:0"]
    assert await dead(house) == []


async def test_when_the_time_for_retries_is_over_it_is_dead(house: House) -> None:
    await house.configuration_set("news", to_webhook())
    await clicked(house)
    house.receiver.error = DeliveryFailed("the call failed")
    async with running(house.deliverer(Retry(first=0.01, most=0.02, total=1))):
        await until(lambda: dead(house))
    [letter] = await dead(house)
    assert letter.attempts == len(house.receiver.calls) > 1
    assert letter.last_error == "the call failed"


async def test_a_fault_in_a_destination_loses_nothing(house: House) -> None:
    await house.configuration_set("news", to_webhook())
    await clicked(house)
    house.receiver.error = ZeroDivisionError("a bug")  # type: ignore[assignment]
    async with running(house.deliverer(QUICK)):
        await until(lambda: len(house.receiver.calls) > 1)
        house.receiver.error = None
        await until(house.nothing_waits)
    assert len(house.receiver.events) == 1


async def test_one_that_never_answers_fails_in_time(house: House) -> None:
    await house.configuration_set("news", to_webhook())
    await clicked(house)
    house.receiver.gate.clear()
    async with running(house.deliverer(QUICK, timeout=0.02)):
        await until(lambda: len(house.receiver.calls) > 1)
    [doing] = await house.store.outbox.waiting()
    assert doing.last_error == "no answer within 0.02 seconds"


async def test_a_slow_destination_holds_up_no_other(house: House) -> None:
    await house.configuration_set("news", to_webhook("slow"), to_webhook("quick"))
    await clicked(house, 60)
    house.receiver.gate.clear()
    house.receiver.slow = {"https://slow.example/"}
    async with running(house.deliverer(concurrency=4)):
        await until(lambda: len(house.receiver.events) == 60)
        slow_calls = [url for url, _ in house.receiver.calls if "slow" in url]
        assert len(slow_calls) == 4
        house.receiver.gate.set()
        await until(house.nothing_waits)
    assert len(house.receiver.events) == 120


@pytest.mark.parametrize("how", ["removed", "switched off", "set deleted"])
async def test_what_waits_for_a_destination_that_is_no_more_becomes_dead_letters(
    house: House, how: str
) -> None:
    await house.configuration_set("news", to_webhook())
    await clicked(house, 3)
    configuration = house.store.configuration
    if how == "removed":
        await configuration.remove_destination("news", "hook")
    elif how == "switched off":
        await configuration.update_destination("news", replace(to_webhook(), enabled=False))
    else:
        await configuration.delete_set("news")
    async with running(house.deliverer()):
        await until(house.nothing_waits)
    letters = await dead(house)
    expected = "is switched off" if how == "switched off" else "was removed"
    assert [letter.last_error for letter in letters] == [f"the event destination {expected}"] * 3
    assert house.receiver.calls == []


async def test_what_waits_goes_where_the_destination_points_now(house: House) -> None:
    await house.configuration_set("news", to_webhook(), to_webhook("other"))
    ids = await clicked(house, 2)
    await house.store.configuration.update_destination(
        "news", replace(to_webhook("corrected"), name="hook")
    )
    await house.store.configuration.update_destination(
        "news", replace(to_stream("instead"), name="other")
    )
    async with running(house.deliverer()):
        await until(house.nothing_waits)
    assert {url for url, _ in house.receiver.calls} == {"https://corrected.example/"}
    told = await house.events("instead")
    assert sorted(e["eventId"] for e in told) == sorted(f"{id_}:1" for id_ in ids)


async def test_two_deliverers_never_send_the_same(house: House) -> None:
    await house.configuration_set("news", to_webhook())
    await clicked(house, 60)
    other_store = await Store.open(house.url)
    other = House(house.url, other_store, house.journal, house.receiver)
    async with running(house.deliverer(concurrency=3)), running(other.deliverer(concurrency=3)):
        await until(house.nothing_waits)
    await other_store.close()
    assert len(house.receiver.calls) == 60


async def test_one_who_read_the_clock_first_and_claims_last_leaves_the_others_claims_alone(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.configuration_set("news", to_webhook())
    await clicked(house, 3)
    key = ("news", "hook")
    assert len((await house.deliverer()._claim(key, 0))[1]) == 3
    # As one that has waited for its turn to write, as long as the store lets anybody wait.
    monkeypatch.setattr("clicktrail.publish.deliver.now_us", lambda: now_us() - 30_000_000)
    assert await house.deliverer()._claim(key, 0) == (False, [])


async def test_a_lost_claim_comes_up_again_and_a_late_failure_does_not_count(house: House) -> None:
    await house.configuration_set("news", to_webhook())
    await clicked(house)
    key, arn = ("news", "hook"), to_webhook().arn
    outbox = house.store.outbox
    due = (await outbox.due())[key]
    assert due is not None
    [first] = await outbox.claim(key, arn, due, due + 100, 10)
    assert await outbox.claim(key, arn, due + 99, due + 200, 10) == []
    [second] = await outbox.claim(key, arn, due + 100, due + 200, 10)
    assert (first.attempt, second.attempt) == (1, 2)
    assert (first.event_id, first.payload) == (second.event_id, second.payload)
    await outbox.settle(key, [], [Failed(first, "late", None)], due + 150)
    assert await dead(house) == []
    await outbox.settle(key, [], [Failed(second, "again", due + 300)], due + 150)
    assert (await outbox.due())[key] == due + 300
    await outbox.settle(key, [first], [], due + 160)
    assert (await outbox.due())[key] is None


async def test_what_is_planned_for_a_time_that_nobody_plans_for_is_due(house: House) -> None:
    await house.configuration_set("news", to_webhook())
    [id_] = await clicked(house)
    key, arn = ("news", "hook"), to_webhook().arn
    outbox = house.store.outbox
    day = 86_400_000_000
    [claimed] = await outbox.claim(key, arn, now_us(), now_us() + 9, 10)
    await outbox.settle(key, [], [Failed(claimed, "late", now_us() + day)], now_us())
    # So it looks when the clock was a day ahead, and has been set back.
    async with running(house.deliverer(lease=30.0)):
        await until(house.nothing_waits)
    assert list(house.receiver.events) == [f"{id_}:0"]


CRASH = """
import asyncio, os, signal, sys
from clicktrail.base.arn import Kind
from clicktrail.publish.deliver import Deliverer, Retry
from clicktrail.store import Store

class Receiver:
    async def send(self, arn, event_id, payload):
        print(event_id, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)  # sent, and not yet booked as delivered
    async def close(self):
        pass

async def main():
    store = await Store.open(sys.argv[1])
    await Deliverer(store, {Kind.WEBHOOK: Receiver()}, Retry(), lease=0.05).run()

asyncio.run(main())
"""


async def test_killed_between_sending_and_booking_it_sends_the_same_event_again(
    house: House,
) -> None:
    await house.configuration_set("news", to_webhook())
    [id_] = await clicked(house)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CRASH, house.url, stdout=subprocess.PIPE
    )
    told, _ = await process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert told.decode().split() == [f"{id_}:0"]
    async with running(house.deliverer()):
        await until(house.nothing_waits)
    assert list(house.receiver.events) == [f"{id_}:0"]


async def test_stopping_lets_what_is_on_its_way_arrive(house: House) -> None:
    await house.configuration_set("news", to_webhook())
    await clicked(house)
    house.receiver.gate.clear()
    async with running(house.deliverer()):
        await until(lambda: house.receiver.calls)
        asyncio.get_running_loop().call_later(0.1, house.receiver.gate.set)
    assert len(house.receiver.events) == 1
    assert await house.nothing_waits()


class TestDeadLetters:
    async def test_they_are_listed_newest_first_in_pages_and_replayed(self, house: House) -> None:
        await house.configuration_set("news", to_webhook())
        await clicked(house, 5)
        assert await house.store.outbox.give_up(("news", "hook"), "given up", 1) == 5
        first = await house.store.outbox.dead(2)
        rest = await house.store.outbox.dead(10, after=first[-1].id)
        ids = [letter.id for letter in (*first, *rest)]
        assert ids == sorted(ids, reverse=True)
        assert len(set(ids)) == 5
        [waiting] = await house.store.outbox.waiting()
        assert (waiting.count, waiting.dead, waiting.oldest_at) == (0, 5, None)
        assert await house.store.outbox.replay([ids[0], ids[0], 10**9]) == 1
        assert await house.store.outbox.replay(None) == 4
        assert await house.store.outbox.replay(None) == 0
        [waiting] = await house.store.outbox.waiting()
        assert (waiting.count, waiting.dead) == (5, 0)
        assert waiting.oldest_at is not None

    async def test_replaying_starts_the_time_for_retries_again(self, house: House) -> None:
        await house.configuration_set("news", to_webhook())
        await clicked(house)
        await house.store.outbox.give_up(("news", "hook"), "given up", 1)
        await house.store.outbox.replay(None)
        house.receiver.error = DeliveryFailed("the call failed")
        async with running(house.deliverer(Retry(0.01, 0.02, 3600))):
            await until(lambda: len(house.receiver.calls) > 1)
        assert await dead(house) == []


class TestRetry:
    def test_waits_double_up_to_the_longest(self) -> None:
        retry = Retry(first=1, most=60, total=10**6)
        for attempt, expected in ((1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (10_000, 60)):
            at = retry.next_at(attempt, 0, 0)
            assert at is not None
            assert 0.8 * expected <= at / 1_000_000 <= 1.2 * expected

    def test_they_end(self) -> None:
        retry = Retry(first=1, most=1, total=10)
        assert retry.next_at(5, 0, 8_000_000) is not None
        assert retry.next_at(5, 0, 9_500_000) is None
        assert Retry(total=0).next_at(1, 0, 0) is None

    @pytest.mark.parametrize("days", [1, 400])
    def test_a_clock_that_was_set_ahead_leaves_it_more_than_one_attempt(self, days: int) -> None:
        after = days * 86_400_000_000
        assert [Retry().next_at(n, 0, after) is None for n in (1, 4, 5)] == [False, False, True]
        short = Retry(first=1, most=60, total=4)  # seconds: there is room for three
        assert [short.next_at(n, 0, after) is None for n in (1, 2, 3)] == [False, False, True]
