"""The smarthost over SMTP, with connections that are used again.

An email is sent once. A connection that died while it was idle is replaced before anything of the
email is sent; once its last byte is out and no answer came, nobody knows what became of it, and
only the sender may try again.
"""

import asyncio
import re
import ssl
from contextlib import suppress
from pathlib import Path

from aiosmtplib.errors import SMTPServerDisconnected

from clicktrail.base.faults import Faults
from clicktrail.base.logs import get_logger
from clicktrail.errors import (
    MessageRefused,
    SmarthostRefused,
    SmarthostRefusesUs,
    SmarthostUnavailable,
)
from clicktrail.model import Envelope
from clicktrail.relay.connection import Connection, Login, Tls

log = get_logger(__name__)

FAULT = "smarthost's refusal"
"""What it is called in ``/readyz`` that the smarthost takes no email from us."""

ASK_SECONDS = 5.0
"""How long a client waits at the most to hear what the smarthost offers."""
ASK_AGAIN_SECONDS = 5.0
"""How long a smarthost that did not tell is not asked again."""

IDLE_SECONDS = 30.0
"""How long a connection is kept for the next email; servers wait longer for a command."""

_UNSAFE = re.compile(r"[\x00-\x20\x7f<>]")
# RFC 5321 § 4.1.2: only a quoted local part may hold a space or an angle bracket.
_QUOTED = re.compile(r'"(?:[^"\\\x00-\x1f\x7f]|\\[\x20-\x7e])*"@[^\x00-\x20\x7f<>"]+')


class SmtpSmarthost:
    """Sends emails to one SMTP server over at most ``connections`` connections.

    ``verify`` checks its certificate where TLS is not just taken as offered, against the
    ``authorities`` in a PEM file where one is given. ``faults`` gets to know when it takes no email
    from us, until it takes one.
    """

    def __init__(
        self,
        login: Login,
        *,
        verify: bool = True,
        authorities: Path | None = None,
        connections: int = 32,
        faults: Faults | None = None,
    ) -> None:
        self._login = login
        self._authorities = authorities
        self._faults = faults or Faults()
        self._verify = verify and login.tls in (Tls.REQUIRED, Tls.FROM_THE_START)
        self._free = asyncio.Semaphore(connections)
        self._idle: dict[Connection, asyncio.TimerHandle] = {}
        self._context: ssl.SSLContext | None = None
        self._offered: frozenset[str] | None = None
        self._asking: asyncio.Task[None] | None = None
        self._ask_at = 0.0
        self._closed = False

    async def begin(self, envelope: Envelope) -> "SmtpTransaction":
        """Connect, or use a connection again, and say MAIL FROM. See `Smarthost.begin`."""
        try:
            async with asyncio.timeout(self._login.patience.connect):
                await self._free.acquire()
        except TimeoutError:
            raise SmarthostUnavailable(
                f"all connections to the smarthost {self._login.address} are in use"
            ) from None
        try:
            connection = await self._mail(envelope)
        except BaseException:
            self._free.release()
            raise
        return SmtpTransaction(self, connection, smtputf8=envelope.smtputf8)

    async def offered(self) -> frozenset[str]:
        """Return the extensions that it offered last, in lower case.

        It is asked until it has answered once, and kept waiting for by nobody: none where it does
        not answer soon.
        """
        if self._offered is None:
            now = asyncio.get_running_loop().time()
            if self._asking is None and now >= self._ask_at:
                # Clients that may not send yet have it asked too, as often as they like.
                self._ask_at = now + ASK_AGAIN_SECONDS
                self._asking = asyncio.create_task(self._ask())
            if self._asking is not None:
                await asyncio.wait({self._asking}, timeout=ASK_SECONDS)
        return self._offered or frozenset()

    async def _ask(self) -> None:
        try:
            with suppress(SmarthostUnavailable):
                connection, _ = await self._connection()
                self._keep(connection)
        finally:
            self._asking = None

    async def greet(self) -> None:
        """Connect, with TLS and AUTH, and say goodbye. Raises `SmarthostUnavailable`."""
        connection, _ = await self._connection()
        self.note(None)
        await connection.quit()

    async def close(self) -> None:
        """Say QUIT on all idle connections, and keep none from now on."""
        self._closed = True
        if self._asking is not None:
            self._asking.cancel()
        idle, self._idle = self._idle, {}
        for timer in idle.values():
            timer.cancel()
        await asyncio.gather(*(connection.quit() for connection in idle))

    def give_back(self, connection: Connection) -> None:
        """Take a connection back from a transaction that is over."""
        self._free.release()
        self._keep(connection)

    async def _mail(self, envelope: Envelope) -> Connection:
        while True:
            connection, reused = await self._connection()
            origin = _origin(connection, envelope)
            try:
                words = _mail_from(connection, envelope)
                if origin:
                    await _tell_origin(connection, origin)
                await connection.command(*words)
            except SmarthostUnavailable as error:
                # It died while it was idle, and nothing but MAIL was said: try another one.
                if reused and isinstance(error.__cause__, SMTPServerDisconnected):
                    continue
                self.note(error)
                raise
            except MessageRefused as refused:
                # RFC 5321 § 3.8: with 421 a server ends a connection that it has had enough of.
                if reused and isinstance(refused, SmarthostRefused) and refused.code == 421:
                    continue
                if origin and connection.is_open:
                    await connection.reset()  # the next email is not from there
                self._keep(connection)
                raise
            return connection

    async def _connection(self) -> tuple[Connection, bool]:
        while self._idle:
            connection, timer = self._idle.popitem()  # the one used last
            timer.cancel()
            if connection.is_open:
                return connection, True
            connection.close()
        try:
            connection = await Connection.open(self._login, await self._tls_context())
        except SmarthostUnavailable as error:
            log.warning("smarthost is not available", error=error)
            self.note(error)
            raise
        self._offered = connection.extensions
        return connection, False

    @property
    def refuses_us(self) -> bool:
        """Whether it took no email from us when it was last asked."""
        return FAULT in self._faults.current()

    def note(self, error: BaseException | None) -> None:
        """Take notice of how something ended: whether the smarthost takes emails from us."""
        if isinstance(error, SmarthostRefusesUs):
            self._faults.report(FAULT, f"no email can leave: {error}")
        elif error is None:
            self._faults.mend(FAULT)

    async def _tls_context(self) -> ssl.SSLContext:
        if self._context is None:
            context = await asyncio.to_thread(
                ssl.create_default_context, cafile=self._authorities or None
            )
            if not self._verify:
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            self._context = context
        return self._context

    def _keep(self, connection: Connection) -> None:
        if self._closed or not connection.is_open:
            connection.close()
            return
        loop = asyncio.get_running_loop()
        self._idle[connection] = loop.call_later(IDLE_SECONDS, self._expire, connection)

    def _expire(self, connection: Connection) -> None:
        self._idle.pop(connection, None)
        connection.close()


class SmtpTransaction:
    """One email on its way to an SMTP smarthost, from MAIL to the answer after the final dot.

    After `SmarthostUnavailable` it is over.
    """

    def __init__(self, smarthost: SmtpSmarthost, connection: Connection, *, smtputf8: bool) -> None:
        self._smarthost = smarthost
        self._connection = connection
        self._smtputf8 = smtputf8
        self._over = False

    async def rcpt(self, address: str, dsn: tuple[str, ...] = ()) -> tuple[int, str]:
        """Name a recipient; return the smarthost's answer.

        What is asked of delivery reports goes where the smarthost makes them (RFC 3461).

        Raises `SmarthostRefused` (other recipients may still be named), `MessageRefused` for an
        address that cannot be sent, `SmarthostUnavailable`.
        """
        path = _path(address, smtputf8=self._smtputf8)
        self._check()
        wanted = dsn if dsn and self._connection.offers("dsn") else ()
        try:
            return await self._connection.command(b"RCPT", b"TO:" + path, *map(str.encode, wanted))
        except SmarthostRefusesUs as error:
            self._smarthost.note(error)
            raise
        finally:
            if not self._connection.is_open:
                self._end()

    async def data(self, message: bytes) -> tuple[int, str]:
        """Send the email; return the smarthost's answer. It is sent once, whatever happens.

        Raises `SmarthostRefused`, `SmarthostUnavailable`, and `SmarthostSilent` where no answer
        came after the final dot: the smarthost may have the email or not.
        """
        self._check()
        try:
            answer = await self._connection.data(message)
        except BaseException as error:
            self._smarthost.note(error)
            await self.abort()  # a refused DATA leaves the recipients standing: only RSET ends it
            raise
        self._smarthost.note(None)
        self._end()
        return answer

    async def abort(self) -> None:
        """Give the email up. Raises nothing; after the end it does nothing."""
        if self._over:
            return
        try:
            if self._connection.is_open:
                await self._connection.reset()
        finally:
            self._end()

    def _check(self) -> None:
        if self._over:
            raise SmarthostUnavailable("the transaction with the smarthost is over")

    def _end(self) -> None:
        if not self._over:
            self._over = True
            self._smarthost.give_back(self._connection)


def _origin(connection: Connection, envelope: Envelope) -> list[bytes]:
    """Return what XFORWARD is to tell: of what is known, the attributes that are asked for."""
    wanted = connection.parameters("xforward")
    return [word.encode() for word in envelope.origin if word.partition("=")[0] in wanted]


async def _tell_origin(connection: Connection, origin: list[bytes]) -> None:
    """Say where the email is from. It goes on where that is not taken, as Postfix has it.

    Raises `SmarthostUnavailable`, and `SmarthostRefused` where the smarthost ends the connection.
    """
    try:
        await connection.command(b"XFORWARD", *origin)
    except SmarthostRefused as refused:
        if not connection.is_open:
            raise
        log.warning("smarthost does not take where an email is from (XFORWARD)", error=refused)


def _mail_from(connection: Connection, envelope: Envelope) -> list[bytes]:
    """Return the MAIL command with the parameters that the smarthost understands.

    Raises `MessageRefused` where it must not be sent without one that it does not.
    """
    offers = connection.offers
    words = [b"MAIL", b"FROM:" + _path(envelope.sender, smtputf8=envelope.smtputf8)]
    if envelope.smtputf8:
        if not offers("smtputf8"):
            # RFC 6531 § 3.5
            raise MessageRefused(550, "5.6.7 the smarthost does not offer SMTPUTF8")
        words.append(b"SMTPUTF8")
    if envelope.body_8bit and offers("8bitmime"):
        words.append(b"BODY=8BITMIME")  # RFC 6152 § 3; without it the bytes go as they are
    if envelope.size > 0 and offers("size"):
        words.append(b"SIZE=%d" % envelope.size)  # RFC 1870 § 6
    if envelope.dsn and offers("dsn"):
        words += map(str.encode, envelope.dsn)
    if envelope.priority and offers("mt-priority"):
        words.append(b"MT-PRIORITY=" + envelope.priority.encode())
    if envelope.requires_tls:
        if not (offers("requiretls") and connection.is_trusted):
            # RFC 8689 § 4.2.1, § 5
            raise MessageRefused(550, "5.7.30 the smarthost cannot send it by TLS alone")
        words.append(b"REQUIRETLS")
    return words


def _path(address: str, *, smtputf8: bool) -> bytes:
    if _UNSAFE.search(address) and not _QUOTED.fullmatch(address):
        raise MessageRefused(553, "5.1.3 the address cannot be sent on")
    if not smtputf8 and not address.isascii():
        raise MessageRefused(553, "5.6.7 a non-ASCII address needs SMTPUTF8")  # RFC 6531 § 3.5
    return b"<" + address.encode("utf-8", "surrogateescape") + b">"
