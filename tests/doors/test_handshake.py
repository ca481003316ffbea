"""The first record of a TLS client, read ahead, in both kinds of event loop."""

import asyncio
import socket
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
import uvloop

from clicktrail.doors.handshake import first_record
from support.service import PATIENCE

HELLO = b"\x16\x03\x01\x00\xc8" + bytes(200)

Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(params=[asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    chosen: Run = request.param
    return chosen


class Counting(socket.socket):
    """A socket that counts how often it is read."""

    reads = 0

    def recv(self, *arguments: int) -> bytes:
        self.reads += 1
        return super().recv(*arguments)


Pair = tuple[Counting, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Both ends of a TCP connection: ours, and the client's."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        theirs = socket.create_connection(listening.getsockname())
        accepted, _ = listening.accept()
    ours = Counting(fileno=accepted.detach())
    for each in (ours, theirs):
        each.setblocking(False)
    theirs.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    yield ours, theirs
    ours.close()
    theirs.close()


async def told(reading: "asyncio.Task[bytes]") -> bytes:
    async with asyncio.timeout(PATIENCE):
        return await reading


@pytest.mark.parametrize("sizes", [(205,), (1, 204), (4, 1, 200), (100, 105), (5, 199, 1)])
def test_a_record_is_read_whole_and_left_there(
    pair: Pair, run: Run, sizes: tuple[int, ...]
) -> None:
    async def main() -> None:
        ours, theirs = pair
        reading = asyncio.create_task(first_record(ours))
        start = 0
        for size in sizes:
            assert not reading.done()
            theirs.send(HELLO[start : start + size])
            start += size
            await asyncio.sleep(0.01)
        theirs.send(b"more")
        assert (await told(reading)).startswith(HELLO)
        assert ours.recv(10) == HELLO[:10]

    run(main())


@pytest.mark.parametrize(
    "said",
    [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff" + bytes(9)],
    ids=["http", "too long"],
)
def test_what_is_no_record_is_not_waited_for(pair: Pair, run: Run, said: bytes) -> None:
    async def main() -> None:
        ours, theirs = pair
        theirs.send(said)
        assert await told(asyncio.create_task(first_record(ours))) == said

    run(main())


@pytest.mark.parametrize("size", [0, 1, 100])
def test_who_goes_away_is_not_waited_for(pair: Pair, run: Run, size: int) -> None:
    async def main() -> None:
        ours, theirs = pair
        reading = asyncio.create_task(first_record(ours))
        theirs.send(HELLO[:size])
        await asyncio.sleep(0.01)
        theirs.shutdown(socket.SHUT_WR)
        assert await told(reading) == HELLO[:size]

    run(main())


def test_who_sends_a_byte_now_and_then_wakes_nobody(pair: Pair, run: Run) -> None:
    async def main() -> None:
        ours, theirs = pair
        reading = asyncio.create_task(first_record(ours))
        for byte in HELLO:
            await asyncio.sleep(0.001)
            theirs.send(bytes([byte]))
        assert await told(reading) == HELLO
        assert ours.reads <= 2

    run(main())
