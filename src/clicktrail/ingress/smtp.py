"""The SMTP door (RFC 5321). aiosmtpd lives only here: it reads commands, and we answer them.

Recipients are passed to the smarthost as they come, so that its refusals reach the sender one by
one; an email is answered when the smarthost has answered.
"""

import asyncio
import contextlib
import ipaddress
import ssl
from base64 import b64encode
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from aiosmtpd.smtp import SMTP

from clicktrail.errors import MessageRefused, StoreUnavailable
from clicktrail.ingress.accept import Acceptor, Smarthost
from clicktrail.ingress.smtp_auth import Passwords, read_credentials
from clicktrail.ingress.smtp_mail import WRONG, Mail, read_message
from clicktrail.ingress.smtp_syntax import (
    Announced,
    read_mail,
    read_rcpt,
    reply,
    too_large,
    with_status,
)
from clicktrail.kinds import Address, Network
from clicktrail.settings import Settings

log = structlog.get_logger(__name__)

BUFFER = 64 * 1024
COMMAND_LIMIT = 12288  # RFC 4954 § 4, the longest of all
MOST_FAILURES = 3
_NO_LIMIT = 86400.0
_CLOSING = "4.3.2 the service is closing: try again later"


@dataclass(frozen=True, slots=True)
class SmtpOptions:
    """How the SMTP door behaves; see the settings ``smtp.*``."""

    listen: Address
    hostname: str
    allow: tuple[Network, ...] = ()
    max_size: int = 10 * 1024 * 1024
    max_connections: int = 1000
    timeout: float = 300.0
    certificate: Path | None = None
    key: Path | None = None

    @classmethod
    def of(cls, settings: Settings) -> "SmtpOptions":
        """Return the options that the settings give."""
        return cls(
            listen=settings["smtp.listen"],
            hostname=settings.hostname,
            allow=settings["smtp.allow"],
            max_size=settings["smtp.max_size"],
            max_connections=settings["smtp.max_connections"],
            timeout=settings["smtp.timeout"],
            certificate=settings["smtp.tls_certificate"],
            key=settings["smtp.tls_key"],
        )


class SmtpServer:
    """Listens for emails. ``address`` has the real port once it is started."""

    STOP_SECONDS = 25.0
    """How long `stop` waits for emails that are coming in or on their way to the smarthost."""

    def __init__(
        self, options: SmtpOptions, acceptor: Acceptor, smarthost: Smarthost, users: Passwords
    ) -> None:
        self.options = options
        self.acceptor = acceptor
        self.smarthost = smarthost
        self.users = users
        self.address = options.listen
        self.tls: ssl.SSLContext | None = None
        self.stopping = False
        self.sessions: set[_Session] = set()
        self._listening: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    async def start(self) -> None:
        """Listen. Raises `OSError`, also for a certificate that cannot be used."""
        if self.options.certificate is not None:
            self.tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            self.tls.load_cert_chain(self.options.certificate, self.options.key)
        listen = self.options.listen
        self.stopping = False
        self._listening = await asyncio.get_running_loop().create_server(
            lambda: _Session(self), listen.host, listen.port, backlog=1024
        )
        host, port = self._listening.sockets[0].getsockname()[:2]
        self.address = Address(host, port)

    async def stop(self) -> None:
        """Take no more emails, answer those whose DATA has begun, and close all connections."""
        self.stopping = True
        if self._listening is not None:
            self._listening.close()
            self._listening = None
        clock = asyncio.get_running_loop().time
        until = clock() + self.STOP_SECONDS
        handlers = [task for session in list(self.sessions) if (task := session.leave())]
        if handlers:
            await asyncio.wait(handlers, timeout=until - clock())
        for session in list(self.sessions):
            session.cut()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=max(0.0, until - clock()))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def spawn(self, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        """Run something that outlives the connection; `stop` waits for it."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


class _Session(SMTP):
    """One connection."""

    command_size_limit = COMMAND_LIMIT
    line_length_limit = BUFFER  # of aiosmtpd's reader: the parts that an email is read in

    def __init__(self, server: SmtpServer) -> None:
        options = server.options
        super().__init__(
            None,
            data_size_limit=options.max_size,
            enable_SMTPUTF8=True,
            hostname=options.hostname,
            ident="ESMTP Clicktrail",
            timeout=options.timeout,
            loop=asyncio.get_running_loop(),
        )
        self._server = server
        self._mail: Mail | None = None
        self._client_name = ""  # what it called itself; empty before EHLO
        self._extended = False
        self._ip: ipaddress.IPv4Address | ipaddress.IPv6Address | None = None
        self._encrypted = False
        self._signed_in = False
        self._failures = 0
        self._in_data = False  # from DATA to the answer to the email
        self._deadline = 0.0  # when the client has been silent for too long

    # The connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        super().connection_made(transport)
        with contextlib.suppress(ValueError, TypeError, IndexError):
            ip = ipaddress.ip_address(transport.get_extra_info("peername")[0].partition("%")[0])
            mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
            self._ip = mapped or ip
        self._server.sessions.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        """End."""
        self._server.sessions.discard(self)
        super().connection_lost(error)

    def data_received(self, data: bytes) -> None:
        """Keep what has come; an email may come slowly, as long as it comes."""
        super().data_received(data)
        if self._in_data:
            self._deadline = max(self._deadline, self.loop.time() + self._timeout_duration)

    def eof_received(self) -> bool | None:
        """Go on with what the client has sent: it may have said all and now be listening."""
        return asyncio.StreamReaderProtocol.eof_received(self)

    def leave(self) -> "asyncio.Task[None] | None":
        """Close, at once or after the answer to the email whose DATA has begun."""
        if not self._in_data:
            self._goodbye(421, _CLOSING)
        return self._handler_coroutine

    def cut(self) -> None:
        """Close without another word."""
        if self._handler_coroutine is not None:
            self._handler_coroutine.cancel()

    async def _handle_client(self) -> None:
        try:
            if self._server.stopping:
                await self._say(421, _CLOSING)
            elif len(self._server.sessions) > self._server.options.max_connections:
                await self._say(421, "4.3.2 too many connections: try again later")
            else:
                await super()._handle_client()
        except (asyncio.CancelledError, ConnectionError):
            pass  # the client is gone, or has been sent away
        finally:
            self._writer.close()
            mail, self._mail = self._mail, None
            if mail is not None:
                self._server.spawn(mail.abort())

    async def handle_exception(self, error: Exception) -> str:
        """Answer what went wrong here; the details are for the log."""
        if isinstance(error, asyncio.IncompleteReadError | ConnectionError):
            self._goodbye(421, "4.4.2 the connection has ended")
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
        if self._timeout_handle is None:
            self._timeout_handle = self.loop.call_later(self._timeout_duration, self._timeout_cb)

    def _timeout_cb(self) -> None:
        left = self._deadline - self.loop.time()
        if left <= 0:
            self._goodbye(421, "4.4.2 nothing was heard for too long")
        else:
            # Not later: the deadline comes nearer when our own time (`_patience`) ends.
            left = min(left, self._timeout_duration)
            self._timeout_handle = self.loop.call_later(left, self._timeout_cb)

    def _goodbye(self, code: int, text: str) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self._writer.write(reply(code, text))
        self._close()

    def _close(self) -> None:
        if self.transport is not None:
            self.transport.close()
        if self._handler_coroutine is not None:
            self._handler_coroutine.cancel()

    async def _write(self, wire: bytes) -> None:
        self._writer.write(wire)
        await self._writer.drain()

    async def _say(self, code: int, text: str) -> None:
        await self._write(reply(code, text))

    # Who is there

    async def smtp_HELO(self, hostname: str) -> None:
        """Greet (RFC 5321 § 4.1.1.1)."""
        await self._hello(hostname, extended=False)

    async def smtp_EHLO(self, hostname: str) -> None:
        """Greet, and say what is offered."""
        await self._hello(hostname, extended=True)

    async def _hello(self, hostname: str | None, *, extended: bool) -> None:
        if not hostname:
            await self._say(501, "5.5.4 expected the name of your host")
            return
        await self._forget()
        self._client_name = hostname
        self._extended = extended
        lines = [self.hostname]
        if extended:
            lines.append(f"SIZE {self._server.options.max_size}")
            lines += ["8BITMIME", "SMTPUTF8", "PIPELINING", "ENHANCEDSTATUSCODES"]
            if self._server.tls is not None and not self._encrypted:
                lines.append("STARTTLS")
            if self._may_sign_in():
                lines.append("AUTH PLAIN LOGIN")
        await self._say(250, "\n".join(lines))

    async def smtp_STARTTLS(self, arg: str) -> None:
        """Encrypt the connection (RFC 3207)."""
        if arg:
            await self._say(501, "5.5.4 STARTTLS takes no argument")
        elif self._encrypted:
            await self._say(503, "5.5.1 the connection is encrypted already")
        elif self._server.tls is None:
            await self._say(454, "4.7.0 TLS is not available here")
        else:
            await self._forget()
            # RFC 3207 § 6: what came in the clear behind the command may be somebody else's.
            self._reader._buffer.clear()  # type: ignore[attr-defined]
            await self._say(220, "2.0.0 ready for TLS")
            try:
                await self._writer.start_tls(
                    self._server.tls, ssl_handshake_timeout=min(self._timeout_duration, 60.0)
                )
            except OSError as error:
                log.info("TLS handshake failed", client=str(self._ip), error=str(error))
                self._close()
                return
            self.transport = self._writer.transport
            self._reader._transport = self.transport  # type: ignore[attr-defined]
            self._client_name = ""  # RFC 3207 § 4.2: begin anew
            self._encrypted = True
            self._signed_in = False

    async def smtp_AUTH(self, arg: str) -> None:
        """Sign in (RFC 4954)."""
        words = (arg or "").split()
        if not self._client_name or not self._extended:
            await self._say(503, "5.5.1 say EHLO first")
        elif not self._may_sign_in():
            await self._say(538, "5.7.11 encrypt the connection first (STARTTLS)")
        elif self._signed_in or self._mail is not None:
            await self._say(503, "5.5.1 AUTH is not possible now")
        else:
            try:
                credentials = await read_credentials(words, self._challenge)
            except MessageRefused as refused:
                await self._say(refused.code, refused.text)
                return
            await self._sign_in(*credentials)

    async def _challenge(self, prompt: str) -> bytes:
        await self._say(334, b64encode(prompt.encode()).decode())
        return await self._reader.readline()

    async def _sign_in(self, name: str, password: str) -> None:
        try:
            self._signed_in = await self._server.users.verify(name, password)
        except StoreUnavailable:
            log.exception("sign-in could not be checked")
            await self._say(454, "4.7.0 signing in is not possible now: try again later")
            return
        if self._signed_in:
            await self._say(235, "2.7.0 signed in")
            return
        self._failures += 1
        log.info("sign-in failed", client=str(self._ip))
        if self._failures >= MOST_FAILURES:
            self._goodbye(421, "4.7.0 too many wrong passwords")
        else:
            await self._say(535, "5.7.8 user name or password is wrong")

    def _may_sign_in(self) -> bool:
        return self._encrypted or (self._ip is not None and self._ip.is_loopback)

    def _may_send(self) -> bool:
        ip = self._ip
        return self._signed_in or (
            ip is not None and any(ip in network for network in self._server.options.allow)
        )

    async def smtp_HELP(self, arg: str) -> None:
        """Help (RFC 5321 § 4.1.1.8)."""
        await self._say(214, "2.0.0 RFC 5321 says how to talk to this server")

    # An email

    async def smtp_MAIL(self, arg: str | None) -> None:
        """Begin an email (RFC 5321 § 4.1.1.2)."""
        if not self._client_name:
            await self._say(503, "5.5.1 say EHLO first")
        elif not self._may_send():
            await self._say(530, "5.7.0 sign in first (AUTH)")  # RFC 4954 § 6
        elif self._mail is not None:
            await self._say(503, "5.5.1 an email has begun already")
        else:
            try:
                announced = read_mail(
                    arg,
                    extended=self._extended,
                    max_size=self._server.options.max_size,
                )
            except MessageRefused as refused:
                await self._say(refused.code, refused.text)
                return
            self._mail = Mail(announced, self._server.smarthost)
            await self._say(250, "2.1.0 Ok")

    async def smtp_RCPT(self, arg: str | None) -> None:
        """Name a recipient: the smarthost answers."""
        if self._mail is None:
            await self._say(503, "5.5.1 say MAIL first")
            return
        try:
            address = read_rcpt(arg, smtputf8=self._mail.announced.smtputf8)
        except MessageRefused as refused:
            await self._say(refused.code, refused.text)
            return
        with self._patience():
            code, text = await self._mail.rcpt(address)
        await self._say(code, text)

    async def smtp_DATA(self, arg: str) -> None:
        """Take the email, send it on, and answer (RFC 5321 § 4.1.1.4)."""
        mail = self._mail
        if arg:
            await self._say(501, "5.5.4 DATA takes no argument")
        elif mail is None:
            await self._say(503, "5.5.1 say MAIL first")
        elif (why := mail.not_ready()) is not None:
            await self._say(*why)
        else:
            self._in_data = True
            try:
                await self._take(mail)
            finally:
                self._in_data = False
            if self._server.stopping:
                self._goodbye(421, _CLOSING)

    async def _take(self, mail: Mail) -> None:
        await self._say(354, "end with a dot on a line of its own")
        most = self._server.options.max_size
        message = await read_message(self._reader, most)
        if message is None:
            await self._forget()
            await self._say(552, too_large(most))
            return
        self._mail = None  # from here on it ends by itself
        work = mail.deliver(
            self._server.acceptor,
            message,
            source_ip=str(self._ip) if self._ip else None,
            client=self._client_name,
            how=self._protocol_name(mail.announced),
        )
        with self._patience():
            # Shielded: the smarthost's answer is kept even if the client is gone.
            code, text = await asyncio.shield(self._server.spawn(work))
        await self._say(code, text)

    def _protocol_name(self, announced: Announced) -> str:
        """Return how the email came in (RFC 3848, RFC 6531 § 4.3)."""
        if not self._extended:
            return "SMTP"
        marks = ("S" if self._encrypted else "") + ("A" if self._signed_in else "")
        return ("UTF8SMTP" if announced.smtputf8 else "ESMTP") + marks

    async def smtp_RSET(self, arg: str) -> None:
        """Forget the email that has begun (RFC 5321 § 4.1.1.5)."""
        if arg:
            await self._say(501, "5.5.4 RSET takes no argument")
            return
        await self._forget()
        await self._say(250, "2.0.0 Ok")

    async def _forget(self) -> None:
        mail, self._mail = self._mail, None
        if mail is not None:
            await asyncio.shield(self._server.spawn(mail.abort()))

    @contextlib.contextmanager
    def _patience(self) -> Iterator[None]:
        """Do not hold the time against the client that we take ourselves."""
        self._reset_timeout(_NO_LIMIT)
        try:
            yield
        finally:
            if self.transport is not None:
                self._reset_timeout()
