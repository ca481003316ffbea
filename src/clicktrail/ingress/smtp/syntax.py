"""The texts of SMTP: addresses and parameters of commands, replies. No I/O."""

import re
from dataclasses import dataclass

from clicktrail.errors import MessageRefused

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


@dataclass(frozen=True, slots=True)
class Announced:
    """What MAIL has announced of an email."""

    sender: str
    size: int = 0
    """In bytes; 0 where it is not given."""
    body_8bit: bool = False
    smtputf8: bool = False


def read_mail(argument: str | None, *, extended: bool, max_size: int) -> Announced:
    """Return what MAIL announces. Raises `MessageRefused` with the reply to give."""
    sender, parameters = _path("MAIL FROM:<address>", "FROM:", argument)
    if parameters and not extended:
        raise MessageRefused(501, "5.5.4 parameters need EHLO")
    size = 0
    body_8bit = smtputf8 = False
    for name, value in parameters.items():
        if name == "SIZE" and value.isascii() and value.isdigit() and len(value) <= 20:
            size = int(value)
        elif name == "BODY" and value.upper() in ("7BIT", "8BITMIME"):
            body_8bit = value.upper() == "8BITMIME"
        elif name == "SMTPUTF8" and not value:
            smtputf8 = True
        elif name in ("SIZE", "BODY", "SMTPUTF8"):
            raise MessageRefused(501, f"5.5.4 {name} has a value that cannot be used")
        elif name != "AUTH":  # RFC 4954 § 5: taken, and not needed here
            raise MessageRefused(555, f"5.5.4 the parameter {name} is not known here")
    if size > max_size:
        raise MessageRefused(552, too_large(max_size))  # RFC 1870 § 6.1
    _check(sender, smtputf8=smtputf8)
    return Announced(sender, size, body_8bit, smtputf8)


def read_rcpt(argument: str | None, *, smtputf8: bool) -> str:
    """Return the address of RCPT. Raises `MessageRefused` with the reply to give."""
    address, parameters = _path("RCPT TO:<address>", "TO:", argument)
    if not address:
        raise MessageRefused(501, "5.1.3 a recipient needs an address")
    if parameters:
        name = next(iter(parameters))
        raise MessageRefused(555, f"5.5.4 the parameter {name} is not known here")
    _check(address, smtputf8=smtputf8)
    return address


def too_large(max_size: int) -> str:
    """Return the text of the reply to an email of too many bytes."""
    return f"5.3.4 the email is too large: at most {max_size} bytes are taken"


def reply(code: int, text: str) -> bytes:
    """Return a reply as it goes over the wire; a text of several lines makes several (§ 4.2.1)."""
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
    if _CONTROL.search(address) or any("\ud800" <= c <= "\udfff" for c in address):
        raise MessageRefused(553, "5.1.3 the address holds characters that no address may hold")
    if not smtputf8 and not address.isascii():
        raise MessageRefused(553, "5.6.7 a non-ASCII address needs SMTPUTF8")  # RFC 6531 § 3.5
