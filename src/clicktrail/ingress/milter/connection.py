"""A milter connection: bytes to and from a `Dialogue`, how long it may be silent, how it ends."""

import asyncio
import socket
from collections.abc import Coroutine, Iterable
from typing import Any, Protocol, cast

from clicktrail.base.logs import get_logger
from clicktrail.doors.budget import Budget, Share
from clicktrail.doors.connections import Connections, Stage
from clicktrail.doors.forwarded import Visitors, peer_address
from clicktrail.ingress.accept import Acceptor
from clicktrail.ingress.milter.dialogue import Closed, Dialogue, Email, Fault
from clicktrail.ingress.milter.mail import answer
from clicktrail.ingress.milter.options import MilterOptions
from clicktrail.ingress.replies import NO_MEMORY, too_large

log = get_logger(__name__)

_QUICK: int = getattr(socket, "TCP_QUICKACK", 0)
"""Linux's: tell the other side at once that its bytes have come, and not only after 40 ms.

Postfix writes an email in two pieces, and its system sends the second when the first has arrived
(RFC 9293 § 3.7.4). It holds for what has come so far (tcp(7)). See
findings/postfix-waits-40-ms-for-a-milter-on-tcp.sh.
"""


class Server(Protocol):
    """What the connections of a server share."""

    options: MilterOptions
    acceptor: Acceptor
    stopping: bool
    connections: "Connections[Connection]"
    memory: Budget
    allowed: Visitors
    senders: Visitors
    exempt: Visitors

    def spawn(self, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        """Run something that outlives the connection."""
        ...


class Connection(asyncio.Protocol):
    """One connection."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._dialogue = Dialogue(self)
        self._transport: asyncio.Transport | None = None
        self._share: Share | None = None
        self._answering = False
        self._heard_at = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self._socket: socket.socket | None = None
        self.peer = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast(asyncio.Transport, transport)
        peername = transport.get_extra_info("peername")
        if isinstance(peername, tuple):
            self._socket = transport.get_extra_info("socket") if _QUICK else None
            # Who may use a socket of the file system, its mode says.
            self.peer = peer_address(str(peername[0]).partition("%")[0])
            if not self._server.allowed.trusts(self.peer):
                log.warning("milter connection refused: see milter.allow", client=self.peer)
                self._transport.abort()
                return
        if self._server.stopping or not self._server.connections.enter(self):
            self._transport.abort()
            return
        self._timer = self._loop.call_later(self._server.options.timeout, self._look)

    def connection_lost(self, error: Exception | None) -> None:
        """End. An email whose end has come is kept all the same, or refused."""
        self._server.connections.leave(self)
        if self._timer is not None:
            self._timer.cancel()
        if not self._answering:
            self._free()
        self._transport = None

    def data_received(self, data: bytes) -> None:
        """Go on with what has come."""
        self._heard_at = self._loop.time()
        if self._socket is not None:
            self._socket.setsockopt(socket.IPPROTO_TCP, _QUICK, 1)
        try:
            said = self._dialogue.receive(data)
        except Closed:
            self.abort()
        except Fault as fault:
            self._give_up(fault)
        else:
            self._do(said)

    def pause_writing(self) -> None:
        """Hear no more of who does not read the answers."""
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Hear the mail server again."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    @property
    def stage(self) -> Stage:
        """See `Client.stage`."""
        if self._answering:
            return Stage.AT_WORK
        return Stage.RECEIVING if self._dialogue.has_begun else Stage.SILENT

    def abort(self) -> None:
        """Hang up; what was written still goes out."""
        if self._transport is not None:
            self._transport.close()

    def leave(self) -> None:
        """Hang up, at once or after the answer to the email whose end has come."""
        if not self._answering:
            self.abort()

    def _do(self, said: Iterable[bytes | Email]) -> None:
        for each in said:
            if isinstance(each, Email):
                self._answering = True
                self._server.spawn(self._answer(each))
            else:
                self._write(each)

    async def _answer(self, email: Email) -> None:
        options = self._server.options
        try:
            await answer(
                self._server.acceptor,
                email,
                self._write,
                spaced=self._dialogue.spaced,
                exempt=self._server.exempt.trusts(email.client_address),
                pass_without_store=options.pass_without_store,
            )
        finally:
            self._answering = False
            self._free()
            self._heard_at = self._loop.time()
        if self._transport is None or self._server.stopping:
            self.abort()
            return
        try:
            self._do(self._dialogue.answered())
        except Closed:
            self.abort()
        except Fault as fault:
            self._give_up(fault)

    def _write(self, data: bytes) -> bool:
        if self._transport is None or self._transport.is_closing():
            return False
        self._transport.write(data)
        return True

    def begin(self, email: Email) -> None:
        """See `Keeper.begin`: emails of senders of ours are kept, all others pass."""
        self._free()
        if email.user or self._server.senders.trusts(email.client_address):
            self._share = self._server.memory.share(email.client_address)
        else:
            email.drop()

    def grow(self, email: Email, by: int) -> None:
        """See `Keeper.grow`: an email has a largest size, and all together have."""
        assert self._share is not None, "the email has begun"
        if email.size + by > (most := self._server.options.max_size):
            email.drop((552, too_large(most)))
        else:
            self.hold(email, by)
        if not email.kept:
            self._free()

    def hold(self, email: Email, by: int) -> None:
        """See `Keeper.hold`: that is bounded for all together."""
        assert self._share is not None, "the email has begun"
        if not self._share.grow(by):
            email.drop(NO_MEMORY)
            self._free()

    def _free(self) -> None:
        if self._share is not None:
            self._share.close()
            self._share = None

    def _give_up(self, fault: Fault) -> None:
        log.warning("milter connection given up", client=self.peer or "local", reason=fault)
        self.abort()

    def _look(self) -> None:
        """Hang up where nothing was heard for too long; one timer for a deadline that moves."""
        left = self._heard_at + self._server.options.timeout - self._loop.time()
        if left <= 0 and not self._answering:
            assert self._transport is not None, "its end ends the timer"
            self._transport.abort()
        else:
            self._timer = self._loop.call_later(max(left, 1.0), self._look)
