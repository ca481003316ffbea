"""The smarthost over SMTP, with connections that are used again.

An email is sent once. A connection that died while it was idle is replaced before anything of the
email is sent, and so is one that was given away while the sender was silent; once the last byte is
out and no answer came, nobody knows what became of the email, and only the sender may try again.
"""

import asyncio
import ssl
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from aiosmtplib.errors import SMTPServerDisconnected

from clicktrail.base.faults import Faults
from clicktrail.base.logs import get_logger
from clicktrail.base.metrics import Metrics
from clicktrail.errors import (
    MessageRefused,
    SmarthostRefused,
    SmarthostRefusesUs,
    SmarthostUnavailable,
)
from clicktrail.model import Envelope, Recipient, Reply
from clicktrail.relay.connection import Connection, Login, Tls
from clicktrail.relay.envelope import check, mail_from, origin_of, rcpts, tell_origin, unsendable
from clicktrail.relay.places import Places

log = get_logger(__name__)

FAULT = "smarthost's refusal"
"""What it is called in ``/readyz`` that the smarthost takes no email from us."""

ASK_SECONDS = 5.0
"""How long a client waits at the most to hear what the smarthost offers."""
ASK_AGAIN_SECONDS = 5.0
"""How long a smarthost that did not tell is not asked again."""

IDLE_SECONDS = 30.0
"""How long a connection is kept for the next email; servers wait longer for a command."""


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
        metrics: Metrics | None = None,
    ) -> None:
        self._login = login
        self._authorities = authorities
        self._faults = faults or Faults()
        self._verify = verify and login.tls in (Tls.REQUIRED, Tls.FROM_THE_START)
        self.places = Places(connections, metrics or Metrics())
        self._idle: dict[Connection, asyncio.TimerHandle] = {}
        self._context: ssl.SSLContext | None = None
        self._offered: frozenset[str] | None = None
        self._asking: asyncio.Task[None] | None = None
        self._ask_at = 0.0
        self._closed = False

    async def begin(self, envelope: Envelope) -> "SmtpTransaction":
        """Connect, or use a connection again. See `Smarthost.begin`."""
        connection, reused = await self.take()
        try:
            check(connection, envelope)
        except MessageRefused:
            self.give_back(connection)
            raise
        return SmtpTransaction(self, connection, envelope, reused=reused)

    async def take(self) -> tuple[Connection, bool]:
        """Wait for a place, and return `connection`. Raises `SmarthostUnavailable`."""
        await self.places.take(self._login.patience.connect)
        try:
            return await self.connection()
        except BaseException:
            self.places.give_back()
            raise

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
                connection, _ = await self.connection()
                self._keep(connection)
        finally:
            self._asking = None

    async def greet(self) -> None:
        """Connect, with TLS and AUTH, begin an email, and say goodbye.

        Some refuse us as late as at MAIL. The null reverse-path is nobody's: what else is said of
        it is not about us. Raises `SmarthostUnavailable`.
        """
        connection, _ = await self.connection()
        try:
            [reply] = await connection.ask(b"MAIL FROM:<>")
            with suppress(SmarthostRefused):
                connection.judge(reply)
            self.note(None)
            await connection.quit()
        except SmarthostUnavailable as error:
            self.note(error)
            raise
        finally:
            connection.close()

    async def close(self) -> None:
        """Say QUIT on all idle connections, and keep none from now on."""
        self._closed = True
        await self.places.settle()
        if self._asking is not None:
            self._asking.cancel()
        idle, self._idle = self._idle, {}
        for timer in idle.values():
            timer.cancel()
        await asyncio.gather(*(connection.quit() for connection in idle))

    def give_back(self, connection: Connection) -> None:
        """Take a connection back from a transaction that is over."""
        self.places.give_back()
        self._keep(connection)

    async def hand_over(self, connection: Connection) -> None:
        """Take a connection back in the middle of an email. Raises nothing."""
        try:
            if connection.is_open:
                await connection.reset()
        finally:
            self.give_back(connection)

    async def connection(self) -> tuple[Connection, bool]:
        """Return a connection, and whether it has been used before: it may have died meanwhile."""
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
    """One email on its way to an SMTP smarthost, from MAIL to the answer after the email.

    MAIL goes out with the first recipients, in one write where that is offered (RFC 2920). DATA
    does not: who gives us the email hears the answers to its recipients before the email is here,
    and it may yet be refused here, when DATA that was taken could be left by hanging up alone.
    After `SmarthostUnavailable`, and where MAIL is refused, it is over.

    Between two calls it rests: where others wait, it gives its connection away, and takes one again
    and names those whom the smarthost took before when it goes on. So it does where the smarthost
    has hung up meanwhile: nothing of the email was sent.
    """

    def __init__(
        self, smarthost: SmtpSmarthost, connection: Connection, envelope: Envelope, *, reused: bool
    ) -> None:
        self._smarthost = smarthost
        self._connection = connection
        self._envelope = envelope
        self._reused = reused
        self._takes_8bit = connection.offers("8bitmime")
        self._taken: list[Recipient] = []
        self._begun = False
        self._away = False  # it has given its connection away
        self._over = False

    @property
    def takes_8bit(self) -> bool:
        """Whether bodies may be 8 bits there: known, as the email goes over this connection."""
        return self._takes_8bit

    async def rcpt(self, recipients: Sequence[Recipient]) -> list[Reply]:
        """Name recipients; return the smarthost's answers, refusals among them.

        What is asked of delivery reports goes where the smarthost makes them (RFC 3461).

        Raises `SmarthostRefused` and `MessageRefused` where the whole email is refused,
        `SmarthostUnavailable`.
        """
        self._check()
        await self._go_on()
        answers = [unsendable(each, self._envelope) for each in recipients]
        sendable = [each for each, no in zip(recipients, answers, strict=True) if no is None]
        try:
            told = iter(await self._name(sendable))
        except SmarthostUnavailable as error:
            self._smarthost.note(error)
            raise
        finally:
            if self._connection.is_open and self._begun:
                self._smarthost.places.rest(self)
            else:
                self._end()
        replies = [next(told) if no is None else no for no in answers]
        self._taken += [
            each for each, (code, _) in zip(recipients, replies, strict=True) if code < 400
        ]
        return replies

    def give_way(self) -> Coroutine[Any, Any, None]:
        """Give the connection to somebody who waits for one; return what is to be done for that."""
        return self._smarthost.hand_over(self._leave())

    def _leave(self) -> Connection:
        self._away, self._begun = True, False
        return self._connection

    async def _go_on(self) -> None:
        """Rest no more: hold a connection that the email is announced on. Ends it where it raises.

        Raises `SmarthostUnavailable`, and `MessageRefused` where what was taken before is refused.
        """
        self._smarthost.places.wake(self)
        if self._begun and not self._connection.is_open:
            self._smarthost.give_back(self._leave())
        if not self._away:
            return
        try:
            self._connection, self._reused = await self._smarthost.take()
            self._away = False
            if self._takes_8bit and not self._connection.offers("8bitmime"):
                raise SmarthostUnavailable("the smarthost does not offer 8BITMIME any more")
            replies = await self._name(self._taken)
            for code, text in replies:
                if code >= 400:  # who tries again hears it of the recipient whom it is about
                    raise MessageRefused(
                        451,
                        "4.5.0 the mail server behind this one refuses a recipient now that it took"
                        f" before: {code} {text}",
                    )
        except BaseException as error:
            self._smarthost.note(error)
            await self.abort()
            raise

    async def _name(self, recipients: Sequence[Recipient]) -> list[Reply]:
        """Say MAIL, where it has not been said, and RCPT. Raises what `rcpt` does."""
        while not self._begun:
            connection = self._connection
            # Where they do not go together, nobody is named for an email that is refused.
            named = recipients if connection.offers("pipelining") else ()
            replies: list[Reply] = []
            try:
                if origin := origin_of(connection, self._envelope):
                    await tell_origin(connection, origin)
                mail, *replies = await connection.ask(
                    mail_from(connection, self._envelope), *rcpts(connection, named, self._envelope)
                )
                connection.judge(mail)
            except SmarthostUnavailable as error:
                # It died while it was idle, and nothing of the email was sent: try another one.
                if not (self._reused and isinstance(error.__cause__, SMTPServerDisconnected)):
                    raise
                await self._replace()
            except SmarthostRefused as refused:
                # RFC 5321 § 3.8: with 421 a server ends a connection that it has had enough of.
                if self._reused and refused.code == 421:
                    await self._replace()
                    continue
                # The next email is not from there, nor to those whom it has taken all the same.
                if connection.is_open and (origin or any(code < 400 for code, _ in replies)):
                    await connection.reset()
                raise
            else:
                self._begun = True
                if named:
                    return self._judged(replies, len(named))
        if not recipients:
            return []
        commands = rcpts(self._connection, recipients, self._envelope)
        return self._judged(await self._connection.ask(*commands), len(commands))

    def _judged(self, replies: list[Reply], count: int) -> list[Reply]:
        """Return ``count`` answers to RCPT. Raises `SmarthostUnavailable`."""
        for reply in replies:
            with suppress(SmarthostRefused):
                self._connection.judge(reply)
        return replies + replies[-1:] * (count - len(replies))  # 421 answers those behind it too

    async def _replace(self) -> None:
        """Take another connection. Raises `SmarthostUnavailable`."""
        self._connection.close()
        self._connection, self._reused = await self._smarthost.connection()

    async def data(self, message: bytes) -> Reply:
        """Send the email; return the smarthost's answer. It is sent once, whatever happens.

        Raises `SmarthostRefused`, `SmarthostUnavailable`, and `SmarthostSilent` where no answer
        came after the whole email: the smarthost may have it or not.
        """
        self._check()
        await self._go_on()
        try:
            answer = await self._connection.send(message)
        except BaseException as error:
            self._smarthost.note(error)
            await self.abort()  # a refusal leaves the recipients standing: only RSET ends it
            raise
        self._smarthost.note(None)
        self._end()
        return answer

    async def abort(self) -> None:
        """Give the email up. Raises nothing; after the end it does nothing."""
        if self._over:
            return
        self._smarthost.places.wake(self)
        try:
            if self._begun and self._connection.is_open:
                await self._connection.reset()
        finally:
            self._end()

    def _check(self) -> None:
        if self._over:
            raise SmarthostUnavailable("the transaction with the smarthost is over")

    def _end(self) -> None:
        if not self._over:
            self._over = True
            if not self._away:
                self._smarthost.give_back(self._connection)
