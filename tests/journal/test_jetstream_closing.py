"""A connection to a broker is closed while it is made anew: nothing of it goes on."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from clicktrail.base import tasks
from clicktrail.base.tasks import hang_up
from clicktrail.journal import jetstream
from clicktrail.journal.jetstream import JetStreamOptions, connect

INFO = b'INFO {"server_id":"one","version":"2.11.0","max_payload":1048576,"headers":true}\r\n'
TURNS = 12
"""So many turns of the loop pass until the answer to a new connection was read."""


class Broker:
    """Ends the first connection, and calls somebody some turns after it has greeted the second."""

    def __init__(self, turns: int) -> None:
        self.connections = 0
        self.when_it_returns: Callable[[], Any] = lambda: None
        self._turns = turns

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Speak as much of the protocol of NATS as a client needs to have connected."""
        self.connections += 1
        writer.write(INFO)
        if self.connections == 1:
            while await reader.readline() != b"PING\r\n":
                pass
            writer.write(b"PONG\r\n")
            await writer.drain()
        else:
            for _ in range(self._turns):
                await asyncio.sleep(0)
            self.when_it_returns()
            await reader.read()
        writer.close()


@pytest.mark.parametrize("turns", range(TURNS))
async def test_no_connection_is_made_anew_once_it_is_closed(
    turns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever has just come: `asyncio.wait_for` of Python 3.11 returns it when it is cancelled."""
    monkeypatch.setattr(jetstream, "_RETRY_SECONDS", 0.001)
    monkeypatch.setattr(tasks, "AGAIN_SECONDS", 0.01)
    broker = Broker(turns)
    server = await asyncio.start_server(broker.serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    async with server:
        before = asyncio.all_tasks()
        closing: asyncio.Future[asyncio.Task[None]] = asyncio.get_running_loop().create_future()
        broker.when_it_returns = lambda: closing.set_result(
            asyncio.create_task(hang_up(client, 5.0))
        )
        client = await connect(JetStreamOptions(f"nats://{host}:{port}", "clicks"), "test")
        await (await closing)
        assert client.is_closed
        for _ in range(50):  # what was cancelled ends
            await asyncio.sleep(0)
        left = {t.get_coro().__qualname__ for t in asyncio.all_tasks() - before}  # type: ignore[union-attr]
        assert left <= {"Broker.serve"}
        assert broker.connections == 2
