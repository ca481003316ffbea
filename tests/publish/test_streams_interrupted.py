"""Data streams that stop and start again in the middle: nothing is missing, repeats are the same.

The whole publisher runs; the servers are real. NATS and Kafka keep what they have taken on disk and
are killed. moto keeps it in memory: there the connections are cut first, and what it has taken is
read before it is killed.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import pytest

from clicktrail.base.arn import Arn, Kind
from clicktrail.errors import DeliveryFailed
from clicktrail.model import EventDestination, EventType
from clicktrail.publish.deliver import Retry
from clicktrail.publish.destinations import BatchDestination, Event
from clicktrail.publish.destinations.aws import AwsClient, AwsSettings
from clicktrail.publish.destinations.firehose import FirehoseDestination
from clicktrail.publish.destinations.kafka import KafkaDestination, KafkaSettings
from clicktrail.publish.destinations.kinesis import KinesisDestination
from clicktrail.publish.destinations.nats import NatsDestination, NatsSettings
from support.publishing import House, click, until
from support.stream_servers import ACCOUNT, KEYS, REGION, Kafka, Moto, Nats, Relay, records

TIMEOUT = 3.0
RETRY = Retry(first=0.1, most=0.5, total=3600)


class Stage(Protocol):
    """A server, and the destination that leads to it."""

    kind: Kind
    arn: str
    destination: BatchDestination

    async def down(self) -> None: ...
    async def up(self) -> None: ...
    async def taken(self) -> list[bytes]: ...


class NatsStage:
    kind = Kind.NATS

    def __init__(self, server: Nats) -> None:
        self._server = server
        self.arn = f"arn:clicktrail:nats:::{server.address}/clicks.all"
        self.destination: BatchDestination = NatsDestination(
            NatsSettings([server.address], timeout=TIMEOUT)
        )

    async def down(self) -> None:
        self._server.kill()

    async def up(self) -> None:
        await asyncio.to_thread(self._server.start)

    async def taken(self) -> list[bytes]:
        return [data for _, data in await self._server.stream("clicks")]


class KafkaStage:
    kind = Kind.KAFKA

    def __init__(self, server: Kafka) -> None:
        self._server = server
        self._servers = f"127.0.0.1:{server.port}"
        self.arn = f"arn:clicktrail:kafka:::{self._servers}/clicks"
        self.destination: BatchDestination = KafkaDestination(
            KafkaSettings([self._servers], {}, TIMEOUT)
        )

    async def down(self) -> None:
        self._server.kill()

    async def up(self) -> None:
        await asyncio.to_thread(self._server.start)

    async def taken(self) -> list[bytes]:
        found = await asyncio.to_thread(records, self._servers, "clicks")
        return [value for _, value, _ in found]


class OneByOne:
    """Sends one batch at a time: moto loses records of requests that come at once."""

    def __init__(self, destination: BatchDestination) -> None:
        self._destination = destination
        self._turn = asyncio.Lock()
        self.batch = destination.batch

    async def send_many(self, arn: Arn, events: Sequence[Event]) -> Sequence[DeliveryFailed | None]:
        async with self._turn:
            return await self._destination.send_many(arn, events)

    async def close(self) -> None:
        await self._destination.close()


class AwsStage:
    def __init__(self, kind: Kind, server: Moto, relay: Relay) -> None:
        self.kind = kind
        self._server = server
        self._relay = relay
        self._before: list[bytes] = []
        endpoint = f"http://127.0.0.1:{relay.port}"
        client = AwsClient(AwsSettings("a", KEYS["aws_secret_access_key"], endpoint, TIMEOUT))
        self.destination: BatchDestination
        if kind is Kind.KINESIS:
            self.arn = f"arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/clicks"
            self.destination = KinesisDestination(client)
            self.destination = OneByOne(self.destination)
            self._make, self._read = server.make_stream, server.stream
        else:
            self.arn = f"arn:aws:firehose:{REGION}:{ACCOUNT}:deliverystream/clicks"
            self.destination = FirehoseDestination(client)
            self._make, self._read = server.make_delivery_stream, server.delivery_stream

    async def down(self) -> None:
        await self._relay.cut()
        self._before = await self.taken()
        self._server.kill()

    async def up(self) -> None:
        await asyncio.to_thread(self._server.start)
        await asyncio.to_thread(self._make, "clicks")
        await self._relay.open()

    async def taken(self) -> list[bytes]:
        found = await asyncio.to_thread(self._read, "clicks")
        return self._before + [data for _, data in found]


@asynccontextmanager
async def stage_of(kind: str, folder: Path) -> AsyncIterator[Stage]:
    async with AsyncExitStack() as stack:
        if kind == "nats":
            nats = stack.enter_context(Nats(folder / "nats"))
            await nats.make_stream("clicks", "clicks.>")
            yield NatsStage(nats)
            return
        moto = stack.enter_context(Moto(folder / "moto"))
        if kind == "kafka":
            yield KafkaStage(stack.enter_context(Kafka(folder / "kafka", moto)))
            return
        relay = Relay(moto.port)
        stack.push_async_callback(relay.cut)
        stage = AwsStage(Kind(kind), moto, relay)
        moto.make_stream("clicks")
        moto.make_delivery_stream("clicks")
        await relay.open()
        yield stage


async def interrupted(house: House, kind: str, folder: Path, clicks: int) -> None:
    async with stage_of(kind, folder) as stage:
        house.others[stage.kind] = stage.destination
        to = EventDestination("data", stage.arn, frozenset({EventType.CLICK}))
        await house.configuration_set("news", to)
        message = await house.message()
        made = [click(message, n % 5, ip=f"203.0.{n // 250}.{n % 250}") for n in range(clicks)]
        async with house.publishing(retry=RETRY, timeout=TIMEOUT):
            await house.journal.append(*made[: clicks // 2])
            await until(has(stage.taken, clicks // 10))
            feeding = asyncio.create_task(feed(house, made[clicks // 2 :]))
            await stage.down()
            await until(lambda: has_failed(house))
            await stage.up()
            await feeding
            await until(lambda: delivered(house, clicks))
        sent = {f"{each.event_id}:0" for each in made}
        await until(lambda: has_all(stage, sent))
        told = await stage.taken()
        by_id = {json.loads(data)["eventId"]: data for data in told}
        assert by_id.keys() == sent
        assert {by_id[json.loads(data)["eventId"]] == data for data in told} == {True}
        [doing] = await house.store.outbox.waiting()
        assert doing.last_error
        assert (doing.count, doing.dead) == (0, 0)


async def feed(house: House, made: list[Any]) -> None:
    for start in range(0, len(made), 100):
        await house.journal.append(*made[start : start + 100])
        await asyncio.sleep(0.01)


def has(taken: Callable[[], Any], number: int) -> Callable[[], Any]:
    async def check() -> bool:
        return len(await taken()) >= number

    return check


async def has_all(stage: Stage, ids: set[str]) -> bool:
    return ids <= {json.loads(data)["eventId"] for data in await stage.taken()}


async def has_failed(house: House) -> bool:
    return any(each.last_error for each in await house.store.outbox.waiting())


async def delivered(house: House, clicks: int) -> bool:
    counted = sum(day.clicks for day in await house.store.statistics.daily())
    return counted == clicks and await house.nothing_waits()


KINDS = ["kinesis", "firehose", "kafka", "nats"]


@pytest.mark.parametrize("kind", ["kinesis", "nats"])
async def test_a_stream_that_stops_and_starts_again_misses_nothing(
    house: House, kind: str, tmp_path: Path
) -> None:
    await interrupted(house, kind, tmp_path, 1000)


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
async def test_in_the_middle_of_ten_thousand_clicks_it_misses_nothing_either(
    house: House, kind: str, tmp_path: Path
) -> None:
    await interrupted(house, kind, tmp_path, 10_000)
