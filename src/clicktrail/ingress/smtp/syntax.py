"""The texts of SMTP: addresses and parameters of commands, replies. No I/O."""

import re

from clicktrail.errors import MessageRefused
from clicktrail.ingress.replies import too_large
from clicktrail.model import Envelope

# RFC 5321 § 4.1.2, more lenient: what the smarthost takes is the smarthost's business. A source
# route (§ 4.1.1.3, appendix C) is dropped.
_PATH = re.compile(
    r"""
    \s*
    (?: < (?: @ [^:>"]* : )? (?P<inside> (?: "(?:[^"\\]|\\.)*" | [^"<>\s] )* ) >
      | (?P<bare> [^<>\s]+ )
    )
    (?: \s+ (?P<parameters> .* ) )?
    """,
    re.VERBOSE | re.DOTALL,
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_PARAMETER = re.compile(r"([A-Za-z0-9][A-Za-z0-9-]*)(?:=([^=\s]+))?")  # RFC 5321 § 4.1.2
_PLAIN_REPLY = re.compile(r"([245]\d\d) (?![245]\.\d)")
_CODES = {
    "500": "5.5.2",
    "501": "5.5.4",
    "502": "5.5.1",
    "503": "5.5.1",
    "504": "5.5.4",
    "535": "5.7.8",
    "538": "5.7.11",
}
"""Enhanced status codes of replies that have none of their own (RFC 3463)."""


# RFC 3461 § 4: xtext, and what may stand in each of its parameters.
_XTEXT = re.compile(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})+")
_REPORTS = frozenset({"SUCCESS", "FAILURE", "DELAY"})
_PIECE = re.compile(r"([0-9]{1,20})(?: +(LAST))?", re.IGNORECASE)  # RFC 3030 § 2
_PRIORITY = re.compile(r"-?[0-9]")  # RFC 6710 § 3


def read_mail(
    argument: str | None,
    *,
    extended: bool,
    max_size: int,
    offered: frozenset[str] = frozenset(),
    encrypted: bool = False,
) -> Envelope:
    """Return what MAIL announces. Raises `MessageRefused` with the reply to give.

    ``offered`` are the extensions of the smarthost: what it must do itself is taken where it can.
    """
    sender, parameters = _path("MAIL FROM:<address>", "FROM:", argument)
    if parameters and not extended:
        raise MessageRefused(501, "5.5.4 parameters need EHLO")
    size = 0
    body_8bit = smtputf8 = requires_tls = False
    dsn = []
    priority = ""
    for name, value in parameters.items():
        if name == "SIZE" and value.isascii() and value.isdigit() and len(value) <= 20:
            size = int(value)
        elif name == "BODY" and value.upper() in ("7BIT", "8BITMIME"):
            body_8bit = value.upper() == "8BITMIME"
        elif name == "SMTPUTF8" and not value:
            smtputf8 = True
        elif name == "RET" and value.upper() in ("FULL", "HDRS"):
            dsn.append(f"RET={value.upper()}")
        elif name == "ENVID" and len(value) <= 100 and _XTEXT.fullmatch(value):  # § 4.4
            dsn.append(f"ENVID={value}")
        elif name == "MT-PRIORITY" and name.lower() in offered and _PRIORITY.fullmatch(value):
            priority = value
        elif name == "REQUIRETLS" and name.lower() in offered and encrypted and not value:
            requires_tls = True
        elif name in ("SIZE", "BODY", "SMTPUTF8", "RET", "ENVID"):
            raise MessageRefused(501, f"5.5.4 {name} has a value that cannot be used")
        elif name != "AUTH":  # RFC 4954 § 5: taken, and not needed here
            raise MessageRefused(555, f"5.5.4 the parameter {name} is not known here")
    if size > max_size:
        raise MessageRefused(552, too_large(max_size))  # RFC 1870 § 6.1
    _check(sender, smtputf8=smtputf8)
    return Envelope(sender, size, body_8bit, smtputf8, tuple(dsn), priority, requires_tls)


def read_bdat(argument: str | None, max_size: int) -> tuple[int, bool]:
    """Return how many bytes follow BDAT, and whether they are the last (RFC 3030 § 2).

    Raises `MessageRefused`, also where so many are not even read to refuse the email.
    """
    found = _PIECE.fullmatch(argument or "")
    if found is None:
        raise MessageRefused(501, "5.5.4 expected BDAT size [LAST]")
    size = int(found[1])
    if size > 2 * max_size:
        raise MessageRefused(552, too_large(max_size))
    return size, found[2] is not None


def read_rcpt(argument: str | None, *, smtputf8: bool) -> tuple[str, tuple[str, ...]]:
    """Return the address of RCPT, and what it asks of delivery reports (RFC 3461).

    Raises `MessageRefused` with the reply to give.
    """
    address, parameters = _path("RCPT TO:<address>", "TO:", argument)
    if not address:
        raise MessageRefused(501, "5.1.3 a recipient needs an address")
    dsn = []
    for name, value in parameters.items():
        if name == "NOTIFY" and _is_notify(value.upper()):
            dsn.append(f"NOTIFY={value.upper()}")
        elif name == "ORCPT" and _is_original(value, smtputf8=smtputf8):
            dsn.append(f"ORCPT={value}")
        elif name in ("NOTIFY", "ORCPT"):
            raise MessageRefused(501, f"5.5.4 {name} has a value that cannot be used")
        else:
            raise MessageRefused(555, f"5.5.4 the parameter {name} is not known here")
    _check(address, smtputf8=smtputf8)
    return address, tuple(dsn)


def _is_notify(value: str) -> bool:
    """Whether it is a value of NOTIFY (RFC 3461 § 4.1)."""
    wanted = value.split(",")
    return value == "NEVER" or (_REPORTS.issuperset(wanted) and len(set(wanted)) == len(wanted))


def _is_original(value: str, *, smtputf8: bool) -> bool:
    """Whether it is a value of ORCPT (RFC 3461 § 4.2; RFC 6533 § 3 for addresses in UTF-8)."""
    kind, semicolon, address = value.partition(";")
    if smtputf8 and kind.lower() == "utf-8":
        is_text = bool(address) and not _is_garbled(address)
    else:
        is_text = _XTEXT.fullmatch(address) is not None
    is_kind = kind.isascii() and kind.replace("-", "").isalnum()
    return bool(semicolon) and len(value) <= 500 and is_kind and is_text


def reply(code: int, text: str) -> bytes:
    """Return a reply as it goes over the wire; a text of several lines makes several (§ 4.2.1)."""
    if text.isprintable():  # one line, as nearly all are
        return f"{code} {text}\r\n".encode()
    lines = [_CONTROL.sub(" ", line.rstrip("\r")) for line in text.split("\n")]
    last = len(lines) - 1
    wire = "".join(f"{code}{'-' if n < last else ' '}{line}\r\n" for n, line in enumerate(lines))
    return wire.encode("utf-8", "surrogateescape")


def with_status(status: str) -> str:
    """Return a reply with an enhanced status code, which all but greetings need (RFC 2034 § 4)."""
    found = _PLAIN_REPLY.match(status)
    if found is None:
        return status
    code = found[1]
    return f"{code} {_CODES.get(code, code[0] + '.0.0')} {status[4:]}"


def _path(syntax: str, keyword: str, argument: str | None) -> tuple[str, dict[str, str]]:
    given = argument or ""
    found = None
    if given[: len(keyword)].upper() == keyword:
        found = _PATH.fullmatch(given[len(keyword) :])
    if found is None:
        raise MessageRefused(501, f"5.5.4 expected {syntax}")
    parameters = {}
    for word in (found["parameters"] or "").split():
        parameter = _PARAMETER.fullmatch(word)
        if parameter is None:
            raise MessageRefused(501, f"5.5.4 expected {syntax}, then parameters")
        parameters[parameter[1].upper()] = parameter[2] or ""
    return found["bare"] if found["bare"] is not None else found["inside"], parameters


def _check(address: str, *, smtputf8: bool) -> None:
    if _is_garbled(address):
        raise MessageRefused(553, "5.1.3 the address holds characters that no address may hold")
    if not smtputf8 and not address.isascii():
        raise MessageRefused(553, "5.6.7 a non-ASCII address needs SMTPUTF8")  # RFC 6531 § 3.5


def _is_garbled(text: str) -> bool:
    """Whether it holds control characters, or bytes that are no UTF-8."""
    if text.isascii():
        return not text.isprintable()
    return bool(_CONTROL.search(text)) or any("\ud800" <= c <= "\udfff" for c in text)
