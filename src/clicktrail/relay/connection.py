"""One SMTP connection to the smarthost: commands, answers, and an email's bytes as they are."""

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
from aiosmtplib.protocol import SMTPProtocol

from clicktrail.base.redact import reason_of
from clicktrail.errors import (
    SmarthostIsOurselves,
    SmarthostRefused,
    SmarthostRefusesUs,
    SmarthostSilent,
    SmarthostUnavailable,
)
from clicktrail.settings.kinds import IDENT, Address

CHUNK = 64 * 1024
"""Emails of more bytes are sent in pieces, each of which may take ``Patience.block`` seconds."""

_ABOUT_US = frozenset({504, 530, 534, 535, 538})
"""Replies that are about us and not about an email: the name that we say in EHLO, and what we say
at all (RFC 5321 § 4.2.3), authentication or TLS that is wanted (RFC 4954 § 6, RFC 3207 § 4)."""


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

    def __init__(self, client: SMTP, login: Login) -> None:
        self._client = client
        self._login = login

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
            client.close()
            raise SmarthostIsOurselves(
                f"the smarthost {login.address} greets as this service does ({greeting}): emails"
                " would come in again; give the mail server that sends them on, or, where it is"
                " another Clicktrail, an smtp.hostname of its own"
            )
        return cls(client, login)

    @property
    def is_open(self) -> bool:
        """Whether it can carry another command, as far as one can know."""
        return self._client.is_connected

    def offers(self, extension: str) -> bool:
        """Whether the smarthost offers an extension (RFC 5321 § 2.2)."""
        return self._client.supports_extension(extension)

    def parameters(self, extension: str) -> frozenset[str]:
        """Return the words behind an extension that the smarthost offers, in upper case."""
        return frozenset(self._client.esmtp_extensions.get(extension, "").upper().split())

    @property
    def extensions(self) -> frozenset[str]:
        """The extensions that the smarthost offers, in lower case."""
        return frozenset(self._client.esmtp_extensions)

    @property
    def is_trusted(self) -> bool:
        """Whether it is encrypted, with a certificate that was checked."""
        context = self._client.get_transport_info("sslcontext")
        return context is not None and context.verify_mode == ssl.CERT_REQUIRED

    async def command(self, *words: bytes, patience: float = 0.0) -> tuple[int, str]:
        """Send a command; return an answer below 400. Raises `SmarthostRefused` for the others.

        It may take ``patience`` seconds, those of a usual command where none are given.
        """
        try:
            answer = await self._client.execute_command(
                *words, timeout=patience or self._login.patience.command
            )
        except (SMTPException, OSError) as error:
            raise self._fault(reason_of(error)) from error
        except BaseException:
            self.close()  # the answer would be taken for that of the next command
            raise
        return self._judge(*answer)

    async def data(self, message: bytes) -> tuple[int, str]:
        """Send DATA and an email, byte for byte; return the answer that takes it over.

        Raises `SmarthostRefused`; `SmarthostSilent` where it may have been taken.
        """
        code, _ = await self.command(b"DATA", patience=self._login.patience.data)
        # aiosmtplib's own DATA would turn lone CR and LF into CRLF.
        protocol = self._client.protocol
        if code != 354 or protocol is None:  # RFC 5321 § 4.3.2
            raise self._fault(f"answered {code} to DATA")
        try:
            code, text = await self._exchange(protocol, stuffed(message))
        except (SMTPException, OSError) as error:
            raise self._silence(
                f"no answer after the email was sent: {reason_of(error)}"
            ) from error
        except BaseException:
            self.close()
            raise
        if code not in range(200, 300) and code not in range(400, 600):
            raise self._silence(f"answered {code} to an email, which says nothing")
        return self._judge(code, text)

    async def _exchange(self, protocol: SMTPProtocol, wire: bytes) -> tuple[int, str]:
        if len(wire) <= CHUNK:
            protocol.write(wire)
            return await protocol.read_response(timeout=self._login.patience.final)
        # A large email may take long, as long as it goes on; and it may be refused on its way.
        answer = asyncio.ensure_future(protocol.read_response())
        sent = 0
        try:
            while sent < len(wire) and not answer.done():
                protocol.write(wire[sent : sent + CHUNK])
                sent += CHUNK
                async with asyncio.timeout(self._login.patience.block):
                    await protocol._drain_helper()
            async with asyncio.timeout(self._login.patience.final):
                code, text = await answer
        except (SMTPException, OSError) as error:
            if not answer.done() or answer.cancelled() or answer.exception() is not None:
                if sent < len(wire):
                    raise self._fault(
                        f"did not take the whole email: {reason_of(error)}"
                    ) from error
                raise
            code, text = answer.result()
        finally:
            answer.cancel()
        if sent < len(wire):
            self.close()
            if code < 400:
                raise self._fault(f"answered {code} before the end of the email")
        return code, text

    async def reset(self) -> None:
        """Make it fit for another email, or close it. Raises nothing."""
        try:
            await self._client.rset()
        except (SMTPException, OSError):
            self.close()
        except BaseException:
            self.close()
            raise

    async def quit(self) -> None:
        """Say goodbye and close. Raises nothing."""
        with contextlib.suppress(SMTPException, OSError):
            await self._client.quit(timeout=min(self._login.patience.command, 2.0))
        self.close()

    def close(self) -> None:
        """Close without a goodbye."""
        self._client.close()

    def _judge(self, code: int, text: str) -> tuple[int, str]:
        if 200 <= code < 400:
            return code, text
        if not 400 <= code < 600:
            raise self._fault(f"answered {code}, which is no SMTP reply code")
        if code in _ABOUT_US:
            self.close()
            raise SmarthostRefusesUs(
                f"the smarthost {self._login.address} takes no email from us: {code} {text}"
            )
        if code == 421:  # RFC 5321 § 3.8: the smarthost ends the connection
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
