"""One SMTP connection to the smarthost: commands, answers, and an email's bytes as they are.

aiosmtplib begins it (greeting, TLS, AUTH); what is said of emails is said by a `Wire`.
"""

import asyncio
import contextlib
import errno
import os
import re
import socket
import ssl
from dataclasses import dataclass
from enum import StrEnum

from aiosmtplib import SMTP
from aiosmtplib.errors import SMTPException, SMTPNotSupported, SMTPResponseException

from clicktrail.base.redact import reason_of
from clicktrail.errors import (
    MessageRefused,
    SmarthostIsOurselves,
    SmarthostRefused,
    SmarthostRefusesUs,
    SmarthostSilent,
    SmarthostUnavailable,
)
from clicktrail.model import Reply
from clicktrail.relay.wire import Wire
from clicktrail.settings.kinds import IDENT, Address

CHUNK = 64 * 1024
"""Emails of more bytes are sent in pieces, each of which may take ``Patience.block`` seconds."""

_ABOUT_US = frozenset({504, 530, 534, 535, 538})
"""Replies that are about us and not about an email: the name that we say in EHLO, and what we say
at all (RFC 5321 § 4.2.3), authentication or TLS that is wanted (RFC 4954 § 6, RFC 3207 § 4)."""


_UNSAFE = re.compile(rb"[\x00-\x1f\x7f]")
"""What no command holds: it could be another command."""

_STATUS = re.compile(r"[245]\.\d{1,3}\.\d{1,3}(?=\s|$)", re.ASCII)  # RFC 3463 § 2


class Tls(StrEnum):
    """When a connection is encrypted."""

    NEVER = "never"
    IF_OFFERED = "if-offered"
    REQUIRED = "required"
    FROM_THE_START = "from-the-start"


@dataclass(frozen=True, slots=True)
class Patience:
    """How many seconds the smarthost may take (RFC 5321 § 4.5.3.2)."""

    connect: float = 30.0
    """To be reached, with TLS."""
    command: float = 300.0
    """To greet, and to answer EHLO, AUTH, MAIL and RCPT."""
    data: float = 120.0
    block: float = 180.0
    """To read one piece of an email."""
    final: float = 600.0
    """To take over a whole email."""


@dataclass(frozen=True, slots=True)
class Login:
    """How to reach the smarthost."""

    address: Address
    tls: Tls = Tls.IF_OFFERED
    username: str = ""
    password: str = ""
    hostname: str = "localhost"
    """What we call ourselves."""
    patience: Patience = Patience()


class Connection:
    """A connection that is greeted, encrypted and signed in; closed after any fault.

    Every method raises `SmarthostUnavailable` when the smarthost is down, slow or makes no sense.
    """

    def __init__(self, wire: Wire, login: Login, offered: dict[str, str]) -> None:
        self._wire = wire
        self._login = login
        self._offered = offered
        self.extensions = frozenset(offered)
        """The extensions that the smarthost offers, in lower case (RFC 5321 § 2.2)."""

    @classmethod
    async def open(cls, login: Login, context: ssl.SSLContext) -> "Connection":
        """Connect."""
        try:
            reached = await _reach(login)
        except OSError as error:
            raise SmarthostUnavailable(
                f"the smarthost {login.address} cannot be reached: {reason_of(error)}"
            ) from error
        client = SMTP(
            hostname=login.address.host,
            sock=reached,
            local_hostname=login.hostname,
            timeout=login.patience.command,
            use_tls=login.tls is Tls.FROM_THE_START,
            start_tls={Tls.IF_OFFERED: None, Tls.REQUIRED: True}.get(login.tls, False),
            tls_context=context,
        )
        try:
            greeting = (await client.connect()).message
            if client.is_ehlo_or_helo_needed:
                await _hello(client)
            if login.username:
                await _sign_in(client, login)
            wire = Wire.take_over(client)
        except (SMTPException, OSError, ValueError) as error:
            client.close()
            # Whatever it says here is about us, not about the sender's email.
            kind = SmarthostRefusesUs if _is_about_us(error) else SmarthostUnavailable
            raise kind(
                f"the smarthost {login.address} cannot be used: {reason_of(error)}"
            ) from error
        except BaseException:
            client.close()
            raise
        finally:
            if not client.is_connected:
                reached.close()
        if greeting == f"{login.hostname} {IDENT}":
            wire.close()
            raise SmarthostIsOurselves(
                f"the smarthost {login.address} greets as this service does ({greeting}): emails"
                " would come in again; give the mail server that sends them on, or, where it is"
                " another Clicktrail, an smtp.hostname of its own"
            )
        return cls(wire, login, client.esmtp_extensions)

    @property
    def is_open(self) -> bool:
        """Whether it can carry another command, as far as one can know."""
        return self._wire.is_open

    def offers(self, extension: str) -> bool:
        """Whether the smarthost offers an extension."""
        return extension in self.extensions

    def parameters(self, extension: str) -> frozenset[str]:
        """Return the words behind an extension that the smarthost offers, in upper case."""
        return frozenset(self._offered.get(extension, "").upper().split())

    @property
    def is_trusted(self) -> bool:
        """Whether it is encrypted, with a certificate that was checked."""
        context = self._wire.about("sslcontext")
        return context is not None and context.verify_mode == ssl.CERT_REQUIRED

    async def ask(self, *commands: bytes, patience: float = 0.0) -> list[Reply]:
        """Send commands, at once where that is offered (RFC 2920); return the answers, in order.

        An answer that ends the connection, or is about us, closes it and is the last one. Each may
        take ``patience`` seconds, those of a usual command where none are given.
        """
        if any(map(_UNSAFE.search, commands)):
            raise MessageRefused(553, "5.1.3 the address cannot be sent on")
        patience = patience or self._login.patience.command
        group = len(commands) if self.offers("pipelining") else 1
        replies: list[Reply] = []
        try:
            while len(replies) < len(commands):
                now = commands[len(replies) : len(replies) + group]
                self._wire.write(b"\r\n".join((*now, b"")), replies=len(now))
                for _ in now:
                    reply = await self._wire.reply(patience)
                    replies.append(reply)
                    # RFC 5321 § 3.8: with 421 the smarthost ends the connection.
                    if reply[0] == 421 or reply[0] in _ABOUT_US:
                        self.close()
                        return replies
        except (SMTPException, OSError) as error:
            raise self._fault(reason_of(error)) from error
        except BaseException:
            self.close()  # the answers would be taken for those of the next commands
            raise
        return replies

    async def command(self, command: bytes, patience: float = 0.0) -> Reply:
        """Send one command; return an answer below 400. Raises `SmarthostRefused` for others."""
        [reply] = await self.ask(command, patience=patience)
        return self.judge(reply)

    async def send(self, message: bytes) -> Reply:
        """Send an email, byte for byte, by BDAT or DATA; return the answer that takes it over.

        Raises `SmarthostRefused`; `SmarthostSilent` where it may have been taken.
        """
        if self.offers("chunking"):
            # RFC 3030 § 2: no answer is waited for before the email, and its dots are no end.
            content = message if message.endswith(b"\r\n") else message + b"\r\n"
            wire = b"BDAT %d LAST\r\n%b" % (len(content), content)
        else:
            code, _ = await self.command(b"DATA", self._login.patience.data)
            if code != 354:  # RFC 5321 § 4.3.2
                raise self._fault(f"answered {code} to DATA")
            wire = stuffed(message)
        try:
            code, text = await self._exchange(wire)
        except (SMTPException, OSError) as error:
            raise self._silence(
                f"no answer after the email was sent: {reason_of(error)}"
            ) from error
        except BaseException:
            self.close()
            raise
        if code not in range(200, 300) and code not in range(400, 600):
            raise self._silence(f"answered {code} to an email, which says nothing")
        return self.judge((code, text))

    async def _exchange(self, content: bytes) -> Reply:
        wire, patience = self._wire, self._login.patience
        sent = min(len(content), CHUNK)
        # A large email may take long, as long as it goes on; and it may be refused on its way.
        try:
            wire.write(content[:sent], replies=1)
            while sent < len(content) and not wire.has_reply:
                await wire.drain(patience.block)
                wire.write(content[sent : sent + CHUNK])
                sent += CHUNK
        except (SMTPException, OSError) as error:
            if not wire.has_reply:
                raise self._fault(f"did not take the whole email: {reason_of(error)}") from error
        whole = sent >= len(content)
        try:
            reply = await wire.reply(patience.final)
        except (SMTPException, OSError) as error:
            if whole:
                raise
            raise self._fault(f"did not take the whole email: {reason_of(error)}") from error
        if not whole:
            self.close()
            if reply[0] < 400:
                raise self._fault(f"answered {reply[0]} before the end of the email")
        return reply

    async def reset(self) -> None:
        """Make it fit for another email, or close it. Raises nothing."""
        with contextlib.suppress(SmarthostUnavailable):
            [(code, _)] = await self.ask(b"RSET")
            if code != 250:  # RFC 5321 § 4.1.1.5
                self.close()

    async def quit(self) -> None:
        """Say goodbye and close. Raises nothing."""
        with contextlib.suppress(SmarthostUnavailable):
            await self.ask(b"QUIT", patience=min(self._login.patience.command, 2.0))
        self.close()

    def close(self) -> None:
        """Close without a goodbye."""
        self._wire.close()

    def judge(self, reply: Reply) -> Reply:
        """Return an answer below 400. Raises `SmarthostRefused` for others."""
        code, text = reply
        if 200 <= code < 400:
            return reply
        if not 400 <= code < 600:
            raise self._fault(f"answered {code}, which is no SMTP reply code")
        if code in _ABOUT_US:
            self.close()
            raise SmarthostRefusesUs(
                f"the smarthost {self._login.address} takes no email from us: {code} {text}"
            )
        if code == 421:
            self.close()
        raise SmarthostRefused(code, text)

    def _fault(self, why: str) -> SmarthostUnavailable:
        self.close()
        return SmarthostUnavailable(f"the smarthost {self._login.address}: {why}")

    def _silence(self, why: str) -> SmarthostSilent:
        self.close()
        return SmarthostSilent(f"the smarthost {self._login.address}: {why}")


async def _reach(login: Login) -> socket.socket:
    """Return a connected socket. Raises `OSError`."""
    place = login.address
    loop = asyncio.get_running_loop()
    fault = OSError(errno.EADDRNOTAVAIL, "the name has no address")
    async with asyncio.timeout(login.patience.connect):
        for family, kind, protocol, _, address in await loop.getaddrinfo(
            place.host, place.port, type=socket.SOCK_STREAM
        ):
            reached = socket.socket(family, kind, protocol)
            reached.setblocking(False)
            try:
                await loop.sock_connect(reached, address)
            except OSError as error:
                reached.close()
                # The loop's own words name the address in place of the reason.
                number = error.errno or errno.EIO
                fault = OSError(number, os.strerror(number))
            except BaseException:
                reached.close()
                raise
            else:
                return reached
    raise fault


def _is_about_us(error: Exception) -> bool:
    """Whether trying again changes nothing: somebody has to mend our settings, or theirs."""
    if isinstance(error, SMTPResponseException):
        return error.code >= 500
    if isinstance(error.__cause__, ssl.SSLCertVerificationError):
        return True
    # aiosmtplib: the bare class for STARTTLS that is not offered, the other for AUTH.
    lacks = type(error) is SMTPException or isinstance(error, SMTPNotSupported)
    return lacks or isinstance(error, ssl.SSLCertVerificationError | ValueError)


async def _sign_in(client: SMTP, login: Login) -> None:
    """Sign in. What the smarthost says of it is not told: it may hold the password, in any form."""
    try:
        await client.login(login.username, login.password)
    except SMTPResponseException as error:
        status = _STATUS.match(error.message)
        told = f"{error.code} {status[0] if status else ''}".strip()
        raise SMTPResponseException(
            error.code,
            f"it answered {told} to AUTH: smarthost.username and smarthost.password are not taken",
        ) from None


async def _hello(client: SMTP) -> None:
    try:
        await client.ehlo()
    except SMTPResponseException:
        await client.helo()  # RFC 5321 § 3.2


def stuffed(message: bytes) -> bytes:
    """Return an email as it goes over the wire, with the final dot (RFC 5321 § 4.5.2)."""
    wire = message.replace(b"\r\n.", b"\r\n..")
    if message.startswith(b"."):
        wire = b"." + wire
    return wire + (b".\r\n" if wire.endswith(b"\r\n") or not wire else b"\r\n.\r\n")
