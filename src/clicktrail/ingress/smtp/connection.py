"""An SMTP connection: who is there, how long it may be silent, and how it ends.

aiosmtpd lives only here: it reads commands, and `Session` answers them.
"""

import asyncio
import contextlib
import ipaddress
import math
from collections.abc import Coroutine, Iterator, Sequence
from typing import Any, Protocol

from aiosmtpd.smtp import SMTP

from clicktrail.base.logs import get_logger
from clicktrail.doors.budget import Budget
from clicktrail.doors.connections import Connections, Limit, Stage
from clicktrail.doors.handshake import Handshake
from clicktrail.doors.tls import Certificate
from clicktrail.ingress.accept import Acceptor
from clicktrail.ingress.replies import WRONG
from clicktrail.ingress.smtp.auth import SignIn
from clicktrail.ingress.smtp.mail import Mail
from clicktrail.ingress.smtp.options import SmtpOptions
from clicktrail.ingress.smtp.syntax import reply, with_status
from clicktrail.ingress.submission import Smarthost
from clicktrail.settings.kinds import IDENT, Network

log = get_logger(__name__)

BUFFER = 64 * 1024
COMMAND_LIMIT = 12288  # RFC 4954 § 4, the longest of all
_NO_LIMIT = 86400.0
_CLOSING = "4.3.2 the service is closing: try again later"
_TOO_MANY = {
    Limit.FOR_ONE: "4.3.2 too many connections from your address (smtp.max_per_address)",
    Limit.FOR_ALL: "4.3.2 too many connections (smtp.max_connections)",
    Limit.FILES: "4.3.2 too many connections for the files that the service may open (LimitNOFILE)",
}
SLOWEST = 1024  # bytes a second, on average, of an email


class Server(Protocol):
    """What the connections of a server share."""

    options: SmtpOptions
    acceptor: Acceptor
    smarthost: Smarthost
    certificate: Certificate | None
    stopping: bool
    sessions: "Connections[Connection | Handshake]"
    memory: Budget
    sign_in: SignIn

    def spawn(self, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        """Run something that outlives the connection."""
        ...


class Connection(SMTP):
    """One connection."""

    command_size_limit = COMMAND_LIMIT
    line_length_limit = BUFFER  # of aiosmtpd's reader: the parts that an email is read in

    def __init__(self, server: Server, *, encrypted: bool = False) -> None:
        options = server.options
        super().__init__(
            None,
            data_size_limit=options.max_size,
            enable_SMTPUTF8=True,
            hostname=options.hostname,
            ident=IDENT,
            timeout=options.timeout,
            loop=asyncio.get_running_loop(),
        )
        self.server = server
        self.ip: ipaddress.IPv4Address | ipaddress.IPv6Address | None = None
        self.encrypted = encrypted
        self.signed_in = False
        self.mail: Mail | None = None
        self.has_sent = False
        self._in_data = False  # from DATA to the answer to the email
        self._deadline = 0.0  # when the client has been silent for too long
        self._latest = math.inf  # no deadline is later
        self._received = 0  # bytes since DATA
        self._refused: Limit | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        with contextlib.suppress(ValueError, TypeError, IndexError):
            ip = ipaddress.ip_address(transport.get_extra_info("peername")[0].partition("%")[0])
            mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
            self.ip = mapped or ip
        if not self.may_send():
            options = self.server.options
            self._timeout_duration = min(options.first_timeout, options.timeout)
            self._latest = self.loop.time() + options.timeout
        super().connection_made(transport)
        if not self.server.sessions.enter(self):
            self._refused = self.server.sessions.met

    def connection_lost(self, error: Exception | None) -> None:
        """End."""
        self.server.sessions.leave(self)
        super().connection_lost(error)

    def data_received(self, data: bytes) -> None:
        """Keep what has come; an email may come slowly, as long as it comes."""
        super().data_received(data)
        if self._in_data:
            self._received += len(data)
            latest = self._latest + self._received / SLOWEST
            self._deadline = min(self.loop.time() + self._timeout_duration, latest)

    def eof_received(self) -> bool | None:
        """Go on with what the client has sent: it may have said all and now be listening."""
        return asyncio.StreamReaderProtocol.eof_received(self)

    @property
    def peer(self) -> str:
        """The client's IP address."""
        return str(self.ip or "")

    @property
    def stage(self) -> Stage:
        """See `Client.stage`."""
        if self.mail is not None or self._in_data:
            # An email that has begun and does not go on gives way too.
            heard_at = self._deadline - self._timeout_duration
            silent = self.loop.time() - heard_at > self.server.options.first_timeout
            return Stage.RECEIVING if silent else Stage.AT_WORK
        return Stage.RECEIVING if self.signed_in or self.has_sent else Stage.SILENT

    def abort(self) -> None:
        """Make room for somebody else."""
        self.goodbye(421, _too_many(self.server.sessions.met))

    def leave(self) -> "asyncio.Task[None] | None":
        """Close, at once or after the answer to the email whose DATA has begun."""
        if not self._in_data:
            self.goodbye(421, _CLOSING)
        return self._handler_coroutine

    def cut(self) -> None:
        """Close without another word."""
        if self._handler_coroutine is not None:
            self._handler_coroutine.cancel()

    async def _handle_client(self) -> None:
        try:
            if self.server.stopping:
                await self.say(421, _CLOSING)
            elif self._refused is not None:
                await self.say(421, _too_many(self._refused))
            else:
                await super()._handle_client()
        except (asyncio.CancelledError, ConnectionError):
            pass  # the client is gone, or has been sent away
        finally:
            self._writer.close()
            mail, self.mail = self.mail, None
            if mail is not None:
                self.server.spawn(mail.abort())

    async def encrypt(self, certificate: Certificate) -> None:
        """Speak TLS from here on. Raises `ConnectionAbortedError` where the client does not."""
        certificate.renew()
        seconds = min(self._timeout_duration, 60.0)
        try:
            await self._writer.start_tls(certificate.context, ssl_handshake_timeout=seconds)
        except OSError as error:
            log.info("TLS handshake failed", client=str(self.ip), error=error)
            self.close()
            raise ConnectionAbortedError from None
        self.transport = self._writer.transport
        self._reader._transport = self.transport  # type: ignore[attr-defined]
        self.encrypted = True

    async def handle_exception(self, error: Exception) -> str:
        """Answer what went wrong here; the details are for the log."""
        if isinstance(error, asyncio.IncompleteReadError | ConnectionError):
            self.goodbye(421, "4.4.2 the connection has ended")
            return "421 4.4.2"  # not written any more
        log.exception("SMTP command failed", exc_info=error)
        return "{} {}".format(*WRONG)

    async def push(self, status: Any) -> None:
        """Write a reply of aiosmtpd's own."""
        if isinstance(status, str):
            if not status.startswith("220 "):
                status = with_status(status)
            status = status.encode("utf-8", "replace")
        await self._write(status + b"\r\n")

    def _reset_timeout(self, duration: float | None = None) -> None:
        # One timer looks at a deadline that moves: making timers is not free.
        self._deadline = self.loop.time() + (duration or self._timeout_duration)
        if duration is None and not self._in_data:
            self._deadline = min(self._deadline, self._latest)
        if self._timeout_handle is None:
            self._timeout_handle = self.loop.call_later(self._timeout_duration, self._timeout_cb)

    def _timeout_cb(self) -> None:
        left = self._deadline - self.loop.time()
        if left <= 0:
            self.goodbye(421, "4.4.2 nothing was heard for too long")
        else:
            # Not later: the deadline comes nearer when our own time (`patience`) ends.
            left = min(left, self._timeout_duration)
            self._timeout_handle = self.loop.call_later(left, self._timeout_cb)

    def goodbye(self, code: int, text: str) -> None:
        """Give a last reply, and close."""
        if self.transport is not None and not self.transport.is_closing():
            self._writer.write(reply(code, text))
        self.close()

    def close(self) -> None:
        """Close."""
        if self.transport is not None:
            self.transport.close()
        if self._handler_coroutine is not None:
            self._handler_coroutine.cancel()

    async def _write(self, wire: bytes) -> None:
        self._writer.write(wire)
        await self._writer.drain()
        if self._reader._buffer:  # type: ignore[attr-defined]
            await asyncio.sleep(0)  # more commands are here: first it is the turn of others

    async def say(self, code: int, text: str) -> None:
        """Give a reply."""
        await self._write(reply(code, text))

    def may_send(self) -> bool:
        """Whether emails are taken from this client."""
        return self.signed_in or self.is_in(self.server.options.allow)

    def is_in(self, networks: Sequence[Network]) -> bool:
        """Whether the client is in one of some networks."""
        return self.ip is not None and any(self.ip in network for network in networks)

    def extend_timeout(self) -> None:
        """Let the client be as silent as one that may send: it has signed in."""
        self._timeout_duration = self.server.options.timeout
        self._latest = math.inf
        self._reset_timeout()

    @contextlib.contextmanager
    def receiving(self) -> Iterator[None]:
        """Receive an email, to the answer to it: stopping waits for that, and hangs up then."""
        self._in_data = True
        self._received = 0
        self._latest = self.loop.time() + self._timeout_duration
        try:
            yield
        finally:
            self._in_data = False
            self._latest = math.inf
        if self.server.stopping:
            self.goodbye(421, _CLOSING)

    @contextlib.contextmanager
    def patience(self) -> Iterator[None]:
        """Do not hold the time against the client that we take ourselves."""
        self._reset_timeout(_NO_LIMIT)
        try:
            yield
        finally:
            if self.transport is not None:
                self._reset_timeout()


def _too_many(met: Limit) -> str:
    return f"{_TOO_MANY[met]}: try again later"
