"""The milter door: listens for mail servers, and sees them out when it stops."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from clicktrail.doors.budget import Budget
from clicktrail.doors.connections import Connections
from clicktrail.doors.forwarded import Visitors
from clicktrail.doors.sockets import ListeningSocket
from clicktrail.ingress.accept import Acceptor
from clicktrail.ingress.milter.connection import Connection
from clicktrail.ingress.milter.options import MilterOptions
from clicktrail.settings.kinds import Address, SocketPath


class MilterServer:
    """Listens for mail servers. ``address`` has the real port once it is started.

    ``door`` is the socket in the file system where other processes listen too; it is not closed
    here.
    """

    STOP_SECONDS = 25.0
    """How long `stop` waits for emails whose end has come."""

    def __init__(
        self, options: MilterOptions, acceptor: Acceptor, door: ListeningSocket | None = None
    ) -> None:
        self.options = options
        self.acceptor = acceptor
        self.address = options.listen
        self.stopping = False
        self.connections: Connections[Connection] = Connections(options.max_connections)
        self.memory = Budget(options.memory, options.max_size * 2)
        self.allowed = Visitors(options.allow)
        self.senders = Visitors(options.senders)
        self.exempt = Visitors(options.identities_exempt)
        self._shared = door
        self._socket: ListeningSocket | None = None  # our own
        self._listening: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    async def start(self) -> None:
        """Listen. Raises `OSError`."""
        loop, listen = asyncio.get_running_loop(), self.options.listen
        if isinstance(listen, SocketPath):
            if self._shared is not None:
                listening = self._shared.open().dup()
            else:
                self._socket = ListeningSocket(listen.path)
                listening = self._socket.open()
            self._listening = await loop.create_unix_server(
                lambda: Connection(self), sock=listening
            )
            return
        self._listening = await loop.create_server(
            lambda: Connection(self),
            listen.host,
            listen.port,
            backlog=1024,
            reuse_port=self.options.shared or None,
        )
        host, port = self._listening.sockets[0].getsockname()[:2]
        self.address = Address(host, port)

    async def stop(self) -> None:
        """Take no more emails, answer those whose end has come, and close all connections."""
        self.stopping = True
        if self._listening is not None:
            self._listening.close()
            self._listening = None
        if self._socket is not None:
            self._socket.close()
        for connection in list(self.connections):
            connection.leave()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self.STOP_SECONDS)
        for connection in list(self.connections):
            connection.abort()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def spawn(self, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        """Run something that outlives the connection; `stop` waits for it."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
