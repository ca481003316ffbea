"""Serves an ASGI application on one address, by granian."""

import asyncio
import socket
from typing import Any

from granian.constants import Interfaces
from granian.server.embed import Server

from clicktrail.kinds import Address

STOP_SECONDS = 5.0


class AsgiServer:
    """Serves ``app`` in this event loop; ``address`` has the real port after `start`."""

    def __init__(self, app: Any, address: Address) -> None:
        self._app = app
        self.address = address
        self._reserved: socket.socket | None = None
        self._server: Server | None = None
        self._running: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen. Raises `OSError` for an address that cannot be used."""
        # Bound here, though granian listens: it tells the port, and fails where it is taken.
        family = socket.AF_INET6 if ":" in self.address.host else socket.AF_INET
        self._reserved = socket.socket(family)
        self._reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._reserved.bind((self.address.host, self.address.port))
        self.address = Address(self.address.host, self._reserved.getsockname()[1])
        self._server = Server(
            self._app,
            address=self.address.host,
            port=self.address.port,
            interface=Interfaces.ASGINL,
            websockets=False,
            log_enabled=False,
        )
        self._running = asyncio.create_task(self._server.serve())

    async def stop(self) -> None:
        """Answer the requests that are here, and end."""
        if self._server is not None and self._running is not None:
            self._server.stop()  # type: ignore[no-untyped-call]  # granian's own
            await asyncio.wait([self._running], timeout=STOP_SECONDS)
        if self._reserved is not None:
            self._reserved.close()
