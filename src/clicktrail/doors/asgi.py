"""Serves an ASGI application on one address: uvicorn's protocol, and limits for who says nothing.

uvicorn limits neither how long a head or a body may take nor how large a head may be, and counts
all connections alike; that is added here.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from clicktrail.doors.connections import HANGING_UP, WAITING_ROOM, Connections, Stage
from clicktrail.doors.forwarded import peer_address
from clicktrail.settings.kinds import Address

STOP_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Limits:
    """What a server takes on: times in seconds, sizes in bytes."""

    connections: int = 1000
    """Open at once; where there are more, see `Connections`."""
    for_one: int = 100
    """Connections of one client."""
    waiting: int = 100
    """Requests that wait for something to happen, apart from all others."""
    head: float = 10.0
    """For the head of a request, from its first byte; for the first request of a connection."""
    head_size: int = 32 * 1024
    body: float = 30.0
    """For a body, and one second more for each ``body_rate`` of it that has come."""
    body_rate: int = 16 * 1024
    unwanted: int = 32 * 1024 * 1024
    """Of a body that comes though the answer is given: who sends more is hung up on."""
    idle: int = 75
    """For another request; longer than proxies keep connections (nginx: 60)."""
    unread: float = 60.0
    """For a client that does not read its answer, and a second more for each ``unread_rate``."""
    unread_rate: int = 1024
    pipelined: int = 16
    """Requests that come before the first of them is answered."""
    look: float = 1.0
    """How often the server looks who has taken too long."""


class AsgiServer:
    """Serves ``app`` in this event loop; ``address`` has the real port after `start`.

    ``trusts`` tells which addresses are proxies', which stand for many clients. With ``shared``,
    other processes on this machine may listen there too (``SO_REUSEPORT``).
    """

    def __init__(
        self,
        app: Any,
        address: Address,
        limits: Limits = Limits(),
        trusts: Callable[[str], bool] = lambda _: False,
        *,
        shared: bool = False,
    ) -> None:
        self.address = address
        self._shared = shared
        self.limits = limits
        self.state = ServerState()
        self.connections: Connections[_Connection] = Connections(
            limits.connections, limits.for_one, trusts, limits.waiting
        )
        self.now = 0.0
        """The loop's clock, at the last look."""
        self.config = Config(
            app,
            loop="none",
            http=_Connection,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            log_level="error",  # what clients do wrong is no news
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=limits.idle,
        )
        self._listening: asyncio.Server | None = None
        self._housekeeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen. Raises `OSError` for an address that cannot be used."""
        self.config.load()
        self._tick()
        self._listening = await asyncio.get_running_loop().create_server(
            lambda: _Connection(self),
            self.address.host,
            self.address.port,
            backlog=1024,
            reuse_port=self._shared or None,
        )
        self.address = Address(*self._listening.sockets[0].getsockname()[:2])
        self._housekeeper = asyncio.create_task(self._keep_house())

    async def stop(self) -> None:
        """Answer the requests that are here, and end."""
        if self._listening is None or self._housekeeper is None:
            return
        self._listening.close()
        for connection in self.connections:
            connection.shutdown()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                await self.connections.until_empty()
        for connection in self.connections:
            connection.abort()
        if self.state.tasks:  # they learn that their clients are gone
            await asyncio.wait(self.state.tasks, timeout=STOP_SECONDS)
        for task in self.state.tasks:
            task.cancel()
        await self._listening.wait_closed()
        self._housekeeper.cancel()
        await asyncio.wait([self._housekeeper])
        self._listening = self._housekeeper = None

    async def _keep_house(self) -> None:
        while True:
            await asyncio.sleep(self.limits.look)
            self._tick()
            for connection in self.connections:
                connection.look()

    def _tick(self) -> None:
        self.now = asyncio.get_running_loop().time()
        self.state.default_headers = [(b"date", formatdate(usegmt=True).encode())]


class _Connection(HttpToolsProtocol):
    """One client."""

    def __init__(self, server: AsgiServer) -> None:
        super().__init__(server.config, server.state, {}, asyncio.get_running_loop())
        self._house = server
        self._limits = server.limits
        self.peer = ""
        self._refusal = 400
        self._in_head = True
        """Whether a head is due: the first one, or one that has begun."""
        self._in_body = False
        self._since = server.now
        """When head or body began."""
        self._size = 0
        """How much of head or body has come."""
        self._unread: tuple[float, int] | None = None
        """Since when the client does not read, and how much there was to read."""

    @property
    def stage(self) -> Stage:
        """See `Client.stage`."""
        if self.cycle is None or self.cycle.response_complete:
            return Stage.SILENT
        return Stage.RECEIVING if self._in_body else Stage.AT_WORK

    def abort(self) -> None:
        """Hang up at once."""
        self.transport.abort()

    def look(self) -> None:
        """Hang up on a client that takes too long."""
        limits, now = self._limits, self._house.now
        taken = now - self._since
        left = self.transport.get_write_buffer_size()
        if self._unread is None and self.transport.is_closing():
            self._unread = now, left
        if self._unread is not None:
            since, most = self._unread
            if now - since > limits.unread + (most - left) / limits.unread_rate:
                self.abort()
        elif self._in_body:
            if self.flow.read_paused:  # it is we who do not read
                self._since += limits.look
            elif taken > limits.body + self._size / limits.body_rate:
                self._refuse(408)
        elif self._in_head and taken > limits.head:
            self._refuse(408)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a client in."""
        super().connection_made(transport)
        self.peer = peer_address(self.client[0]) if self.client else ""
        if not self._house.connections.enter(self):
            self._refuse(503)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget a client."""
        self._house.connections.leave(self)
        super().connection_lost(exc)
        self._unset_keepalive_if_required()

    def data_received(self, data: bytes) -> None:
        """Take what the client says."""
        if self.transport.is_closing():
            return
        if self.stage is Stage.SILENT and not (self._in_head or self._in_body):
            self._in_head, self._since, self._size = True, self._house.now, 0
        super().data_received(data)
        if self._in_head and self.parser is not None:
            # A line that does not end has not been shown to us.
            self._size += len(data)
            if self._size > self._limits.head_size:
                self._refuse(431)  # RFC 6585 § 5

    def pause_writing(self) -> None:
        """Note that the client does not read."""
        self._unread = self._house.now, self.transport.get_write_buffer_size()
        super().pause_writing()

    def resume_writing(self) -> None:
        """Go on."""
        self._unread = None
        super().resume_writing()

    # httptools: what is raised in here ends the connection with `send_400_response`

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._in_head = True
        self._since = self._house.now
        self._size = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Take a part of the request target."""
        self._grow(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, or a trailer."""
        if self._in_head:
            self._grow(len(name) + len(value) + _AROUND)
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Begin to answer."""
        if len(self.pipeline) >= self._limits.pipelined:
            raise _TooMuch
        self._in_head, self._in_body = False, True
        self._since = self._house.now
        self._size = 0
        self.scope["client"] = (self.peer, self.client[1]) if self.client else None
        self.scope["extensions"] = {
            WAITING_ROOM: {"enter": self._apart},
            HANGING_UP: {"now": self._hang_up},
        }
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a part of a body."""
        self._size += len(body)
        if self.cycle.response_complete and self._size > self._limits.unwanted:
            self.abort()
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Note that all of a request is here."""
        self._in_body = False
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what has come."""
        self._refuse(self._refusal)

    def _grow(self, by: int) -> None:
        self._size += by
        if self._size > self._limits.head_size:
            self._refusal = 431
            raise _TooMuch

    def _refuse(self, status: int) -> None:
        """Answer, where no answer has begun, and hang up."""
        begun = self.cycle is not None and not self.cycle.response_complete
        if not (begun and self.cycle.response_started):
            head, why = b"", b""
            if status == 503:
                why = b"too many connections (%b): try again later\n"
                why %= self._house.connections.met.encode()
                head = b"Content-Type: text/plain\r\nRetry-After: 1\r\n"
            self.transport.write(
                b"%b%bContent-Length: %d\r\nConnection: close\r\n\r\n%b"
                % (STATUS_LINE[status], head, len(why), why)
            )
        self.transport.close()

    def _hang_up(self) -> None:
        self.cycle.disconnected = True  # nobody waits for the rest: uvicorn says nothing of it
        self.transport.close()

    def _apart(self) -> contextlib.AbstractContextManager[None]:
        return self._house.connections.apart(self)


_AROUND = len(b": \r\n")


class _TooMuch(Exception):
    """More than is taken of a client."""
