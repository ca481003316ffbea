"""The first look at an email: its header, and what may not be sent on whoever sends it."""

import re

from clicktrail.base.automaton import automaton
from clicktrail.errors import MessageRefused
from clicktrail.headers.fields import HeaderSection, HeaderTooLong, read_header

MOST_HOPS = 50
"""More ``Received`` headers than that are a loop (RFC 5321 § 6.3)."""

# A dot alone on a line that begins after a lone CR or LF. Servers that take those for line ends
# would see the end of the email, and read what follows as commands of ours.
_SMUGGLED = re.compile(rb"(?:(?<!\r)\n|\r)\.(?:[\r\n]|\Z)")
_LONE_DOTS = (b"\n.\r", b"\n.\n", b"\r.\r", b"\r.\n")
_LONE_DOTS_QUICKLY = automaton(r"[\r\n]\.[\r\n]", once=True)
"""Few emails hold one of these, and looking for them is quick."""


def inspect(raw: bytes) -> HeaderSection:
    """Return the header of an email that can be sent on. Raises `MessageRefused`."""
    try:
        header = read_header(raw)
    except HeaderTooLong as error:
        raise MessageRefused(552, f"5.3.4 {error}: this is no email") from None
    if len(header.fields) > MOST_HOPS and len(header.values("received")) > MOST_HOPS:
        raise MessageRefused(
            554, "5.4.6 too many hops: this email goes round in circles between mail servers"
        )
    if _has_lone_dot(raw) and _SMUGGLED.search(raw):
        raise MessageRefused(
            554, "5.6.0 a lone dot after a lone CR or LF is not sent on: end all lines with CRLF"
        )
    return header


def _has_lone_dot(raw: bytes) -> bool:
    """Whether a line is a dot, however lines end."""
    if raw.endswith((b"\n.", b"\r.")):
        return True
    if _LONE_DOTS_QUICKLY is not None:
        return bool(_LONE_DOTS_QUICKLY.ends(raw))
    return any(each in raw for each in _LONE_DOTS)
