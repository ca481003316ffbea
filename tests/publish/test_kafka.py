"""Kafka: against a real broker, and against the mock cluster of librdkafka for rarer faults."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from clicktrail.base.arn import parse_arn
from clicktrail.errors import DeliveryFailed, SettingError
from clicktrail.publish.destinations import Event
from clicktrail.publish.destinations.kafka import KafkaDestination, KafkaSettings, kafka_settings
from support.batches import event, failure
from support.service import PATIENCE
from support.stream_servers import Kafka, Moto, records


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    folder = tmp_path_factory.mktemp("kafka")
    with Moto(folder / "moto") as moto, Kafka(folder / "kafka", moto) as server:
        yield server


@asynccontextmanager
async def kafka(
    servers: str, seconds: float = 10, **options: str
) -> AsyncIterator[KafkaDestination]:
    made = KafkaDestination(
        KafkaSettings(
            servers.split(","),
            {name.replace("_", "."): value for name, value in options.items()},
            seconds,
        )
    )
    try:
        yield made
    finally:
        await made.close()


def arn(servers: str, topic: str) -> Any:
    return parse_arn(f"arn:clicktrail:kafka:::{servers}/{topic}")


async def test_events_become_records_with_the_emails_id_and_the_event_id(broker: Kafka) -> None:
    servers = f"127.0.0.1:{broker.port}"
    events = [event(n) for n in range(100)]
    async with kafka(servers) as destination:
        assert await destination.send_many(arn(servers, "clicks"), events) == [None] * 100
    found = await asyncio.to_thread(records, servers, "clicks")
    assert sorted((value, headers["event-id"]) for _, value, headers in found) == sorted(
        (e.payload, e.id.encode()) for e in events
    )
    assert {key for key, _, _ in found} == {"message-0", "message-1", "message-2"}
    assert all(json.loads(value)["mail"]["messageId"] == key for key, value, _ in found)


async def test_batches_at_once_each_have_their_own_reports(broker: Kafka) -> None:
    servers = f"127.0.0.1:{broker.port}"
    batches = [[event(100 * b + n) for n in range(100)] for b in range(5)]
    async with kafka(servers) as destination:
        done = await asyncio.gather(
            *(destination.send_many(arn(servers, "at-once"), batch) for batch in batches)
        )
    assert done == [[None] * 100] * 5
    assert len(await asyncio.to_thread(records, servers, "at-once")) == 500


async def test_a_broker_that_hangs_fails_events_and_they_arrive_later(broker: Kafka) -> None:
    servers = f"127.0.0.1:{broker.port}"
    async with kafka(servers, 2) as destination:
        to = arn(servers, "hung")
        while (await outcome(destination, to, event(1))) is not None:
            pass  # 2 seconds may be too little for a busy machine
        with broker.hung():
            assert await failure(destination.send_many(to, [event(2)]))
        async with asyncio.timeout(PATIENCE):
            while (await outcome(destination, to, event(2))) is not None:
                pass
    ids = {h["event-id"] for _, _, h in await asyncio.to_thread(records, servers, "hung")}
    assert ids == {b"event-1:0", b"event-2:0"}


async def outcome(destination: KafkaDestination, to: Any, one: Event) -> DeliveryFailed | None:
    try:
        return (await destination.send_many(to, [one]))[0]
    except DeliveryFailed as error:
        return error


async def test_where_nobody_listens_the_error_says_so() -> None:
    async with kafka("127.0.0.1:1", 1) as destination:
        said = await failure(destination.send_many(arn("127.0.0.1:1", "clicks"), [event(1)]))
    assert "Connection refused" in said


async def test_wrong_credentials_are_told(tmp_path: Path) -> None:
    with Moto(tmp_path / "moto") as moto, Kafka(tmp_path, moto, "--authentication") as broker:
        servers = f"127.0.0.1:{broker.port}"
        made = kafka_settings(
            [servers], "sasl_plaintext", "SCRAM-SHA-512", "me", "the-secret", None, None, 3
        )
        assert "the-secret" not in repr(made)
        destination = KafkaDestination(made)
        try:
            async with asyncio.timeout(PATIENCE):
                said = ""
                while "SASL authentication error" not in said:  # it may take longer than a batch
                    said = await failure(destination.send_many(arn(servers, "a"), [event(1)]))
        finally:
            await destination.close()
    assert "the-secret" not in said


@pytest.mark.parametrize("named", ["127.0.0.1:9", "127.0.0.1:1,10.0.0.1:9092", "localhost:1"])
async def test_servers_that_the_operator_has_not_listed_are_not_called(named: str) -> None:
    async with kafka("127.0.0.1:1,broker.example:9092", 1) as destination:
        said = await failure(destination.send_many(arn(named, "clicks"), [event(1)]))
    assert said.endswith("is not called: servers must be listed in kafka.servers")


async def test_options_that_cannot_be_used_are_named() -> None:
    async with kafka("127.0.0.1:1", no_such="1") as destination:
        said = await failure(destination.send_many(arn("127.0.0.1:1", "clicks"), [event(1)]))
    assert "No such configuration property" in said
    assert "no.such" in said


async def test_durability_is_no_option() -> None:
    async with kafka("127.0.0.1:1", 1, acks="0", enable_idempotence="false") as made:
        said = await failure(made.send_many(arn("127.0.0.1:1", "clicks"), [event(1)]))
    assert "Connection refused" in said  # and not that they do not go together


async def test_a_record_that_is_too_large_fails_alone_and_for_good(broker: Kafka) -> None:
    servers = f"127.0.0.1:{broker.port}"
    async with kafka(servers) as destination:
        outcomes = await destination.send_many(
            arn(servers, "large"), [event(1), event(2, 2_000_000), event(3)]
        )
    assert [o and o.permanent for o in outcomes] == [None, True, None]


def test_more_options_are_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "kafka.properties"
    file.write_text("# for all\nclient.rack = a\n\ncompression.type=zstd\n")
    made = kafka_settings(["a:1"], "ssl", "PLAIN", "", "", tmp_path / "ca.pem", file, 1)
    assert made.options == {
        "security.protocol": "ssl",
        "ssl.ca.location": str(tmp_path / "ca.pem"),
        "client.rack": "a",
        "compression.type": "zstd",
    }
    file.write_text("fine=1\nclient.rack\n")
    with pytest.raises(SettingError, match=r"kafka.options_file: .*, line 2: expected name=value"):
        kafka_settings(["a:1"], "plaintext", "PLAIN", "", "", None, file, 1)


@pytest.fixture
def mock_cluster() -> Iterator[str]:
    """The servers of librdkafka's own mock cluster of three brokers."""
    owner = Producer({"test.mock.num.brokers": 3, "log_level": 0, "bootstrap.servers": "ignored"})
    brokers = owner.list_topics(timeout=10).brokers.values()
    yield ",".join(f"{broker.host}:{broker.port}" for broker in brokers)
    owner.close()


async def test_a_cluster_of_brokers_takes_events_on_all_partitions(mock_cluster: str) -> None:
    events = [event(n) for n in range(1000)]
    async with kafka(mock_cluster) as destination:
        assert set(await destination.send_many(arn(mock_cluster, "clicks"), events)) == {None}
    found = await asyncio.to_thread(records, mock_cluster, "clicks")
    assert sorted(value for _, value, _ in found) == sorted(e.payload for e in events)
