"""Who finds no room is told which limit was met."""

import asyncio
import resource
from collections.abc import Iterator
from contextlib import AsyncExitStack, closing

import pytest

from clicktrail.doors.asgi import AsgiServer, Limits
from clicktrail.doors.connections import Connections, Limit, Stage
from clicktrail.settings.kinds import Address
from support.service import PATIENCE


class AtWork:
    stage = Stage.AT_WORK

    def __init__(self, peer: str) -> None:
        self.peer = peer

    def abort(self) -> None:
        raise AssertionError("it does not give way")


def refused(connections: Connections[AtWork], peers: Iterator[str]) -> int:
    """Let clients in until one is refused; return how many there are."""
    for number, peer in enumerate(peers):
        if not connections.enter(AtWork(peer)):
            return number
    raise AssertionError("all were let in")


def everybody() -> Iterator[str]:
    return (f"192.0.{n // 250}.{n % 250}" for n in range(5000))


def test_the_limit_of_one_and_that_of_all_are_told_apart() -> None:
    connections: Connections[AtWork] = Connections(10, 3)
    assert refused(connections, iter(["192.0.2.1"] * 20)) == 3
    assert str(connections.met) == "max_per_address"
    assert refused(connections, everybody()) == 7
    assert str(connections.met) == "max_connections"


def test_who_may_open_few_files_is_not_told_of_a_setting() -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1000, limits[1]))
    try:
        connections: Connections[AtWork] = Connections(2000)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert refused(connections, everybody()) == 436
    assert connections.met == Limit.FILES


@pytest.mark.parametrize(("limits", "name"), [((1, 1), b"max_per_a"), ((1, 2), b"max_connections")])
async def test_a_request_too_many_is_told_the_setting(limits: tuple[int, int], name: bytes) -> None:
    at_work, over = asyncio.Event(), asyncio.Event()

    async def app(scope: object, receive: object, send: object) -> None:
        at_work.set()
        await over.wait()

    server = AsgiServer(
        app, Address("127.0.0.1", 0), Limits(connections=limits[0], for_one=limits[1])
    )
    async with AsyncExitStack() as stack, asyncio.timeout(PATIENCE):
        await server.start()
        stack.push_async_callback(server.stop)
        stack.callback(over.set)
        host, port = server.address.host, server.address.port
        _, first = await asyncio.open_connection(host, port)
        with closing(first):
            first.write(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
            await at_work.wait()
            reader, second = await asyncio.open_connection(host, port)
            with closing(second):
                said = await reader.read()
        assert said.startswith(b"HTTP/1.1 503 ")
        assert name in said.partition(b"\r\n\r\n")[2]
