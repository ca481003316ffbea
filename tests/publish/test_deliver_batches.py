"""The outbox worker with destinations that take batches."""

import asyncio
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from clicktrail.base.arn import Arn, Kind
from clicktrail.errors import DeliveryFailed
from clicktrail.model import EventDestination, EventType
from clicktrail.publish.deliver import BATCHES, Retry
from clicktrail.publish.destinations import Event
from clicktrail.publish.destinations.kafka import KafkaDestination, KafkaSettings
from clicktrail.publish.destinations.nats import NatsDestination, NatsSettings
from support.publishing import House, click, until

QUICK = Retry(first=0.01, most=0.02, total=3600)
TO = EventDestination(
    "data", "arn:clicktrail:kafka:::kafka.example:9092/clicks", frozenset({EventType.CLICK})
)


class Batches:
    """A destination that takes ten events at once and keeps them."""

    batch = 10

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.events: dict[str, bytes] = {}
        self.refuse: set[str] = set()
        self.now = 0
        self.most = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def send_many(self, arn: Arn, events: Sequence[Event]) -> Sequence[DeliveryFailed | None]:
        self.calls.append([event.id for event in events])
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await self.gate.wait()
        finally:
            self.now -= 1
        taken = [event for event in events if event.id not in self.refuse]
        self.events |= {event.id: event.payload for event in taken}
        return [DeliveryFailed("full") if e.id in self.refuse else None for e in events]

    async def close(self) -> None:
        pass


@pytest.fixture
async def batches(house: House) -> Batches:
    made = Batches()
    house.others[Kind.KAFKA] = made
    await house.configuration_set("news", TO)
    return made


async def clicked(house: House, count: int) -> list[str]:
    """Put clicks into the store; return the ids of their events."""
    message = await house.message()
    made = [click(message, ip=f"203.0.113.{n}") for n in range(count)]
    await house.journal.append(*made)
    assert await house.publish() == count
    return [f"{each.event_id}:0" for each in made]


async def test_what_waits_goes_in_batches(house: House, batches: Batches) -> None:
    ids = await clicked(house, 95)
    deliverer = house.deliverer()
    running = asyncio.create_task(deliverer.run())
    await until(house.nothing_waits)
    await deliverer.stop()
    await running
    assert sorted(batches.events) == sorted(ids)
    assert [len(call) for call in batches.calls] == [10] * 9 + [5]
    assert sorted(id_ for call in batches.calls for id_ in call) == sorted(ids)


async def test_of_a_batch_only_what_was_refused_is_tried_again(
    house: House, batches: Batches
) -> None:
    ids = await clicked(house, 10)
    batches.refuse = set(ids[:3])
    deliverer = house.deliverer(QUICK)
    running = asyncio.create_task(deliverer.run())
    await until(lambda: len(batches.calls) > 3)
    assert set(ids[3:]) == batches.events.keys()
    [doing] = await house.store.outbox.waiting()
    assert (doing.count, doing.dead, doing.last_error) == (3, 0, "full")
    assert doing.last_success_at is not None
    batches.refuse = set()
    await until(house.nothing_waits)
    await deliverer.stop()
    await running
    tried = [id_ for call in batches.calls for id_ in call]
    assert {tried.count(id_) for id_ in ids[3:]} == {1}


async def test_no_more_than_two_batches_are_on_their_way(house: House, batches: Batches) -> None:
    ids = await clicked(house, 100)
    batches.gate.clear()
    deliverer = house.deliverer()
    running = asyncio.create_task(deliverer.run())
    await until(lambda: batches.now == BATCHES)
    batches.gate.set()
    await until(house.nothing_waits)
    await deliverer.stop()
    await running
    assert batches.most == BATCHES
    assert sorted(batches.events) == sorted(ids)


async def test_a_batch_that_takes_too_long_fails_whole(house: House, batches: Batches) -> None:
    ids = await clicked(house, 7)
    batches.gate.clear()
    deliverer = house.deliverer(QUICK, timeout=0.05)
    running = asyncio.create_task(deliverer.run())
    await until(lambda: len(batches.calls) > 1)
    [doing] = await house.store.outbox.waiting()
    assert doing.last_error == "no answer within 0.05 seconds"
    batches.gate.set()
    await until(house.nothing_waits)
    await deliverer.stop()
    await running
    assert sorted(batches.events) == sorted(ids)


@pytest.mark.parametrize("kind", ["kafka", "nats"])
async def test_a_library_that_is_not_installed_is_told_and_waited_for(
    house: House, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    arn = f"arn:clicktrail:{kind}:::127.0.0.1:1/clicks"
    house.others[Kind.KAFKA] = KafkaDestination(KafkaSettings(["127.0.0.1:1"], {}, 1))
    house.others[Kind.NATS] = NatsDestination(NatsSettings(["127.0.0.1:1"], timeout=1))
    await house.configuration_set("news", EventDestination("data", arn, TO.types))
    await clicked(house, 2)
    monkeypatch.setattr("clicktrail.base.arn.find_spec", lambda name: None)
    deliverer = house.deliverer(QUICK)
    running = asyncio.create_task(deliverer.run())

    async def failed() -> bool:
        [doing] = await house.store.outbox.waiting()
        return f"pip install 'clicktrail[{kind}]'" in doing.last_error and doing.count == 2

    await until(failed)
    await deliverer.stop()
    await running
    assert await house.store.outbox.dead() == []


def test_libraries_of_data_streams_are_loaded_only_when_something_is_sent(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from clicktrail.settings.settings import load_settings\n"
        "from clicktrail.service.parts.destinations import build_destinations\n"
        "given = {'kafka.servers': 'a:1', 'nats.servers': 'a:1', 'kinesis.access_key_id': 'a',"
        " 'kinesis.secret_access_key': 'b'}\n"
        "build_destinations(load_settings(given, {}), Path(sys.argv[1]))\n"
        "print({'botocore', 'confluent_kafka', 'nats'} & sys.modules.keys())"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
