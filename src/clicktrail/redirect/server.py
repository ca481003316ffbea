"""The redirect's HTTP server: granian inside this event loop, on any number of addresses."""

import asyncio
import contextlib
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from granian.constants import HTTPModes, SSLProtocols
from granian.http import HTTP1Settings
from granian.server.embed import Server

from clicktrail.redirect.app import HEADERS_LIMIT, RedirectApp
from clicktrail.settings import Address
from clicktrail.token import MAX_URL

HEADER_TIMEOUT_MS = 15_000
"""How long a client may take to send the head of a request."""

# The longest token is some 11 KB of base64: it must fit, with all the headers.
_BUFFER = HEADERS_LIMIT + 2 * MAX_URL


@dataclass(frozen=True, slots=True)
class Listener:
    """Where to listen: plain http, or https with a certificate (PEM files)."""

    address: Address
    certificate: Path | None = None
    key: Path | None = None


class RedirectServer:
    """Serves one app on several listeners. `start` returns when all of them answer."""

    START_SECONDS = 10.0
    STOP_SECONDS = 10.0

    def __init__(self, app: RedirectApp, listeners: Sequence[Listener]) -> None:
        self._app = app
        self._listeners = tuple(listeners)
        self._servers: list[tuple[Server, asyncio.Task[None]]] = []
        self._reserved: list[socket.socket] = []
        self.addresses: tuple[Address, ...] = ()

    async def start(self) -> None:
        """Listen. ``addresses`` then has the real ports. Raises `OSError`."""
        self.addresses = tuple([await self._listen(one) for one in self._listeners])
        try:
            async with asyncio.timeout(self.START_SECONDS):
                for address in self.addresses:
                    await self._answers(address)
        except TimeoutError:
            await self.stop()
            raise OSError(f"the redirect does not answer on {self.addresses}") from None

    async def stop(self) -> None:
        """Take no more requests, answer those that are here, and end."""
        servers, self._servers = self._servers, []
        for server, _ in servers:
            server.stop()  # type: ignore[no-untyped-call]  # granian's own
        tasks = [task for _, task in servers]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=self.STOP_SECONDS)
            for task in late:
                task.cancel()
        for reserved in self._reserved:
            reserved.close()
        self._reserved.clear()

    async def _listen(self, listener: Listener) -> Address:
        host, port = await self._reserve(listener.address)
        server = Server(
            self._app,
            address=host,
            port=port,
            http=HTTPModes.http1,
            websockets=False,
            backlog=2048,
            backpressure=100_000,
            http1_settings=HTTP1Settings(
                header_read_timeout=HEADER_TIMEOUT_MS, max_buffer_size=_BUFFER
            ),
            log_enabled=False,
            ssl_cert=listener.certificate,
            ssl_key=listener.key,
            ssl_protocol_min=SSLProtocols.tls12,
        )
        self._servers.append((server, asyncio.create_task(server.serve())))
        return Address(host, port)

    async def _reserve(self, address: Address) -> tuple[str, int]:
        """Bind without listening: tells the port, keeps it, and fails here if it is taken."""
        found = await asyncio.get_running_loop().getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, kind, _, _, where = found[0]
        reserved = socket.socket(family, kind)
        self._reserved.append(reserved)
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        reserved.bind(where)
        host, port = reserved.getsockname()[:2]
        return str(host), int(port)

    async def _answers(self, address: Address) -> None:
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection(address.host, address.port)
                writer.close()
                await writer.wait_closed()
                return
            await asyncio.sleep(0.005)
