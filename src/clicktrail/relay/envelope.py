"""What is said of an email before it is sent: MAIL, RCPT and XFORWARD, and what cannot be said."""

import re
from collections.abc import Iterable

from clicktrail.base.logs import get_logger
from clicktrail.errors import MessageRefused, SmarthostRefused
from clicktrail.model import Envelope, Recipient, Reply
from clicktrail.relay.connection import Connection

log = get_logger(__name__)

_UNSAFE = re.compile(r"[\x00-\x20\x7f<>]")
# RFC 5321 § 4.1.2: only a quoted local part may hold a space or an angle bracket.
_QUOTED = re.compile(r'"(?:[^"\\\x00-\x1f\x7f]|\\[\x20-\x7e])*"@[^\x00-\x20\x7f<>"]+')


def origin_of(connection: Connection, envelope: Envelope) -> list[bytes]:
    """Return what XFORWARD is to tell: of what is known, the attributes that are asked for."""
    wanted = connection.parameters("xforward")
    return [word.encode() for word in envelope.origin if word.partition("=")[0] in wanted]


async def tell_origin(connection: Connection, origin: list[bytes]) -> None:
    """Say where the email is from. It goes on where that is not taken, as Postfix has it.

    Raises `SmarthostUnavailable`, and `SmarthostRefused` where the smarthost ends the connection.
    """
    try:
        await connection.command(b" ".join((b"XFORWARD", *origin)))
    except SmarthostRefused as refused:
        if not connection.is_open:
            raise
        log.warning("smarthost does not take where an email is from (XFORWARD)", error=refused)


def mail_from(connection: Connection, envelope: Envelope) -> bytes:
    """Return the MAIL command with the parameters that the smarthost understands.

    Raises `MessageRefused` where it must not be sent without one that it does not.
    """
    offers = connection.offers
    words = [b"MAIL FROM:" + _path(envelope.sender, envelope)]
    if envelope.smtputf8:
        if not offers("smtputf8"):
            # RFC 6531 § 3.5
            raise MessageRefused(550, "5.6.7 the mail server behind this one takes no SMTPUTF8")
        words.append(b"SMTPUTF8")
    if envelope.body_8bit and offers("8bitmime"):
        words.append(b"BODY=8BITMIME")  # RFC 6152 § 3; without it emails are converted
    if envelope.size > 0 and offers("size"):
        words.append(b"SIZE=%d" % envelope.size)  # RFC 1870 § 6
    if envelope.dsn and offers("dsn"):
        words += map(str.encode, envelope.dsn)
    if envelope.priority and offers("mt-priority"):
        words.append(b"MT-PRIORITY=" + envelope.priority.encode())
    if envelope.requires_tls:
        if not (offers("requiretls") and connection.is_trusted):
            # RFC 8689 § 4.2.1, § 5
            raise MessageRefused(
                550, "5.7.30 the mail server behind this one cannot promise TLS (REQUIRETLS)"
            )
        words.append(b"REQUIRETLS")
    return b" ".join(words)


def check(connection: Connection, envelope: Envelope) -> None:
    """See that an email can be announced there. Raises `MessageRefused`."""
    mail_from(connection, envelope)


def rcpts(
    connection: Connection, recipients: Iterable[Recipient], envelope: Envelope
) -> list[bytes]:
    """Return the RCPT commands, with NOTIFY and ORCPT where they are understood."""
    told = connection.offers("dsn")
    return [
        b" ".join((b"RCPT TO:" + _path(address, envelope), *(map(str.encode, dsn) if told else ())))
        for address, dsn in recipients
    ]


def unsendable(recipient: Recipient, envelope: Envelope) -> Reply | None:
    """Return the answer to a recipient who cannot be named; ``None`` where it can."""
    try:
        _path(recipient.address, envelope)
    except MessageRefused as refused:
        return refused.code, refused.text
    return None


def _path(address: str, envelope: Envelope) -> bytes:
    if _UNSAFE.search(address) and not _QUOTED.fullmatch(address):
        raise MessageRefused(
            553, "5.1.3 the address holds spaces or other characters that need quotes"
        )
    if not envelope.smtputf8 and not address.isascii():
        raise MessageRefused(553, "5.6.7 a non-ASCII address needs SMTPUTF8")  # RFC 6531 § 3.5
    return b"<" + address.encode("utf-8", "surrogateescape") + b">"
