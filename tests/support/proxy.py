"""TCP proxies in a thread of their own."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import Self

from support.service import PATIENCE


class Proxy:
    """Passes connections on to servers. Use as a context manager."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._servers: list[asyncio.Server] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(PATIENCE)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def listen(self, choose: Callable[[], Sequence[int]]) -> int:
        """Listen on a free port, and return it.

        ``choose`` is called for each connection: it goes to the first port that answers.
        """

        async def start() -> int:
            server = await asyncio.start_server(
                lambda reader, writer: self._connect(choose(), reader, writer), "127.0.0.1", 0
            )
            self._servers.append(server)
            return int(server.sockets[0].getsockname()[1])

        return asyncio.run_coroutine_threadsafe(start(), self._loop).result(PATIENCE)

    def is_lost(self, born: int, data: bytes) -> bool:
        """Whether data of a connection is lost; ``born`` is `generation` at its begin."""
        return False

    generation = 0
    """Of connections."""

    async def _connect(
        self, ports: Sequence[int], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        born, ends = self.generation, [writer]

        async def carry(source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
            while data := await source.read(1 << 16):
                if not self.is_lost(born, data):
                    to.write(data)
                    await to.drain()
            raise ConnectionError  # one side has ended: so does the other

        try:
            back, out = await _first_of(ports)
            ends.append(out)
            async with asyncio.TaskGroup() as group:
                group.create_task(carry(reader, out))
                group.create_task(carry(back, writer))
        except* OSError:
            pass
        finally:
            for end in ends:
                end.transport.abort()

    async def _close(self) -> None:
        for server in self._servers:
            server.close()
        ways = asyncio.all_tasks() - {asyncio.current_task()}
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        await asyncio.sleep(0)  # their transports end with the next round of the loop


async def _first_of(
    ports: Sequence[int],
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    for port in ports[:-1]:
        try:
            return await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            continue
    return await asyncio.open_connection("127.0.0.1", ports[-1])
