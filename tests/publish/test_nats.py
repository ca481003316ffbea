"""NATS JetStream: against a real server."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from clicktrail.base.arn import Arn, parse_arn
from clicktrail.errors import DeliveryFailed
from clicktrail.publish.destinations import Event
from clicktrail.publish.destinations.nats import NatsDestination, NatsSettings
from support.batches import event, failure
from support.certificates import encrypt, make_certificate
from support.service import PATIENCE
from support.stream_servers import Nats


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nats]:
    with Nats(tmp_path_factory.mktemp("nats")) as started:
        yield started


@asynccontextmanager
async def nats(*servers: str, **options: Any) -> AsyncIterator[NatsDestination]:
    made = NatsDestination(NatsSettings(servers, **{"timeout": 60, **options}))
    try:
        yield made
    finally:
        await made.close()


def arn(servers: str, subject: str = "clicks.all") -> Arn:
    return parse_arn(f"arn:clicktrail:nats:::{servers}/{subject}")


async def test_events_become_messages_with_the_event_id_as_their_id(server: Nats) -> None:
    await server.make_stream("clicks", "clicks.>")
    events = [event(n) for n in range(500)]
    async with nats(server.address) as destination:
        assert await destination.send_many(arn(server.address), events) == [None] * 500
        # A repeat is dropped by the stream.
        assert await destination.send_many(arn(server.address), events) == [None] * 500
    assert sorted(await server.stream("clicks")) == sorted((e.id, e.payload) for e in events)


async def test_a_subject_that_no_stream_takes_is_named_and_may_get_one(server: Nats) -> None:
    async with nats(server.address) as destination:
        to = arn(server.address, "later")
        said = await failure(destination.send_many(to, [event(1)]))
        assert said == "no JetStream stream takes the subject later"
        await server.make_stream("later", "later")
        assert await destination.send_many(to, [event(1)]) == [None]


async def test_a_server_that_was_away_is_found_again(tmp_path: Path) -> None:
    with Nats(tmp_path) as server:
        await server.make_stream("clicks", "clicks.>")
        async with nats(server.address) as destination:
            assert await destination.send_many(arn(server.address), [event(1)]) == [None]
            server.kill()
            assert await failure(destination.send_many(arn(server.address), [event(2)]))
            said = await failure(destination.send_many(arn(server.address), [event(2)]))
            assert "Connect call failed" in said
            server.start()
            assert await destination.send_many(arn(server.address), [event(2)]) == [None]
        assert [id_ for id_, _ in await server.stream("clicks")] == ["event-1:0", "event-2:0"]


async def test_a_server_that_dies_with_events_on_their_way_fails_them_at_once(
    tmp_path: Path,
) -> None:
    with Nats(tmp_path) as server:
        await server.make_stream("clicks", "clicks.>")
        async with nats(server.address, timeout=600) as destination:
            assert await destination.send_many(arn(server.address), [event(1)]) == [None]
            with server.hung():
                sending = asyncio.ensure_future(
                    destination.send_many(arn(server.address), [event(n) for n in range(100)])
                )
                await asyncio.sleep(0.1)
                server.kill()
            async with asyncio.timeout(PATIENCE):
                assert "the connection was lost" in await failure(sending)


async def test_a_server_that_hangs_fails_events_in_time(tmp_path: Path) -> None:
    with Nats(tmp_path) as server:
        await server.make_stream("clicks", "clicks.>")
        async with nats(server.address, timeout=0.5) as destination:
            async with asyncio.timeout(PATIENCE):
                while await outcome(destination, server, event(1)) is not None:
                    pass
            with server.hung():
                said = await failure(destination.send_many(arn(server.address), [event(2)]))
                assert said == "no acknowledgement within 0.4 seconds"
            async with asyncio.timeout(PATIENCE):
                while await outcome(destination, server, event(2)) is not None:
                    pass


async def outcome(destination: NatsDestination, server: Nats, one: Event) -> DeliveryFailed | None:
    try:
        return (await destination.send_many(arn(server.address), [one]))[0]
    except DeliveryFailed as error:
        return error


async def test_one_who_says_nothing_is_no_server() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        async with nats(address, timeout=0.5) as destination:
            said = await failure(destination.send_many(arn(address), [event(1)]))
    assert "no connection within 0.4 seconds" in said


async def test_wrong_credentials_are_told(tmp_path: Path) -> None:
    with Nats(tmp_path, "--user", "me", "--pass", "right") as server:
        await server.make_stream("clicks", "clicks.>", user="me", password="right")
        async with nats(server.address, username="me", password="wrong") as destination:
            said = await failure(destination.send_many(arn(server.address), [event(1)]))
            # The end of the connection may overtake the reason.
            assert "Authorization Violation" in said or "are the credentials right?" in said
        async with nats(server.address, username="me", password="right") as destination:
            assert await destination.send_many(arn(server.address), [event(1)]) == [None]


async def test_a_token_is_given(tmp_path: Path) -> None:
    with Nats(tmp_path, "--auth", "the-token") as server:
        await server.make_stream("clicks", "clicks.>", token="the-token")
        async with nats(server.address, token="the-token") as destination:
            assert await destination.send_many(arn(server.address), [event(1)]) == [None]


@pytest.mark.parametrize("first", [False, True])
async def test_tls_is_used_and_its_certificate_checked(tmp_path: Path, first: bool) -> None:
    certificate, key = make_certificate(tmp_path)
    configuration = tmp_path / "nats.conf"
    configuration.write_text(
        f'tls {{ cert_file: "{certificate}", key_file: "{key}",'
        f" handshake_first: {str(first).lower()} }}\n"
    )
    with Nats(tmp_path / "nats", "-c", str(configuration)) as server:
        address = f"localhost:{server.port}"
        options = {"tls_first": first, "ca": certificate}
        async with nats(address, **options) as destination:
            said = await failure(destination.send_many(arn(address), [event(1)]))
            assert said == "no JetStream stream takes the subject clicks.all"
        async with nats(address, tls_first=first) as destination:
            said = await failure(destination.send_many(arn(address), [event(1)]))
            assert "CERTIFICATE_VERIFY_FAILED" in said
        # It was in order at the start; its key was replaced since.
        encrypt(key)
        async with nats(address, **options, certificate=certificate, key=key) as destination:
            said = await failure(destination.send_many(arn(address), [event(1)]))
            assert said.startswith(f"cannot connect: {key} cannot be used: its key is encrypted")


@pytest.mark.parametrize("named", ["127.0.0.1:9", "127.0.0.1,10.0.0.1", "localhost"])
async def test_servers_that_the_operator_has_not_listed_are_not_called(named: str) -> None:
    async with nats("127.0.0.1", "nats.example:4222") as destination:
        said = await failure(destination.send_many(arn(named), [event(1)]))
    assert said.endswith("is not called: servers must be listed in nats.servers")


async def test_a_message_that_is_too_large_fails_alone_and_for_good(server: Nats) -> None:
    await server.make_stream("large", "large")
    async with nats(server.address) as destination:
        outcomes = await destination.send_many(
            arn(server.address, "large"), [event(1), event(2, 2_000_000), event(3)]
        )
    assert [o and o.permanent for o in outcomes] == [None, True, None]


async def test_a_message_that_only_its_header_makes_too_large_fails_alone(server: Nats) -> None:
    await server.make_stream("headers", "headers")
    most = 1024 * 1024  # ``max_payload``, by default
    most_of_all = event(2, most - len(event(2).payload))
    assert len(most_of_all.payload) == most
    async with nats(server.address) as destination:
        one, two, three = await destination.send_many(
            arn(server.address, "headers"), [event(1), most_of_all, event(3)]
        )
    assert (one, three) == (None, None)
    assert two is not None
    assert two.permanent
    assert [id_ for id_, _ in await server.stream("headers")] == ["event-1:0", "event-3:0"]
