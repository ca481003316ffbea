"""Addresses as API clients write them: ``news@example.com`` or ``News <news@example.com>``."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from email.errors import HeaderParseError
from email.header import decode_header, make_header

from clicktrail.base.hostname import host_name
from clicktrail.errors import InvalidInput
from clicktrail.headers.words import encoded_words

LONGEST = 998
"""RFC 5322 § 2.1.1: characters of a line."""

CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
"""Characters that no header may hold: CR and LF would begin another header."""

_ATEXT = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
# RFC 5321 § 4.1.2: Dot-string or Quoted-string.
_LOCAL = re.compile(rf"""{_ATEXT}(?:\.{_ATEXT})*|"(?:[ !#-\[\]-~]|\\[ -~])*\"""")
_LITERAL = re.compile(r"\[[0-9A-Za-z.:-]{1,64}\]")
_NAMED = re.compile(r"(?P<name>.*?)[ \t]*<(?P<address>[^<>]*)>[ \t]*", re.DOTALL)
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
# RFC 5322 § 3.2.3, and spaces that readers of words make one, or none.
_SPECIAL = re.compile(r"[()<>\[\]:;@\\,.\"]|  |^ | $")
_UNQUOTED = frozenset('",;:<>@\\')
_NOT_ADDRESS = "expected an address such as news@example.com or News <news@example.com>"


@dataclass(frozen=True, slots=True)
class Mailbox:
    """A name, which may be empty, and an address in ASCII."""

    name: str
    address: str

    def header(self) -> str:
        """Return it as a header holds it: ASCII, long names folded (RFC 2047, RFC 5322 § 3.4)."""
        if not self.name:
            return self.address
        if not self.name.isascii() or "=?" in self.name or len(self.name) > 60:
            return f"{encoded_words(self.name)} <{self.address}>"
        if _SPECIAL.search(self.name):
            quoted = self.name.replace("\\", "\\\\").replace('"', '\\"')
            return f'"{quoted}" <{self.address}>'
        return f"{self.name} <{self.address}>"


def read_mailbox(text: str, member: str) -> Mailbox:
    """Return the one mailbox that a text names. Raises `InvalidInput` naming the member.

    Domains in other alphabets become ASCII (RFC 5891). Local parts must be ASCII, as in SES: not
    every mail server takes others (RFC 6531).
    """
    if CONTROL.search(text):
        raise InvalidInput(
            f"{member}: {text!a} holds line breaks or other control characters: take them out"
        )
    if len(text) > LONGEST:
        raise InvalidInput(f"{member}: an address has at most {LONGEST} characters")
    named = _NAMED.fullmatch(text)
    try:
        if named is None:
            return Mailbox("", _address(text.strip(" \t")))
        return Mailbox(_name(named["name"].strip(" \t")), _address(named["address"]))
    except InvalidInput as error:
        raise InvalidInput(f"{member}: {text!r} is not an address: {error}") from None


def list_header(mailboxes: Sequence[Mailbox]) -> str:
    """Return the value of an address header, an address a line."""
    return ",\r\n ".join(mailbox.header() for mailbox in mailboxes)


def _address(text: str) -> str:
    local, at, domain = text.rpartition("@")
    if not at:
        raise InvalidInput(_NOT_ADDRESS)
    if not local.isascii():
        raise InvalidInput("the part before the @ must be ASCII")
    if len(local) > 64 or not _LOCAL.fullmatch(local):  # RFC 5321 § 4.5.3.1.1
        raise InvalidInput(f"the part before the @ is not one of an address; {_NOT_ADDRESS}")
    if _LITERAL.fullmatch(domain):
        return text
    if not domain or ":" in domain or domain != domain.strip():
        raise InvalidInput(_NOT_ADDRESS)
    if domain.isascii():
        host_name(domain)
        return text
    return f"{local}@{host_name(domain)}"


def _name(text: str) -> str:
    quoted = _QUOTED.fullmatch(text)
    if quoted is not None:
        text = re.sub(r"\\(.)", r"\1", quoted[1])
    elif not _UNQUOTED.isdisjoint(text):
        # "a@b.org, C <c@b.org>" are two addresses: none of them must get lost in a name.
        raise InvalidInput('put one address into each item, and a name with ,;:<>@ into "…"')
    if "=?" in text:
        try:
            text = str(make_header(decode_header(text)))
        except (HeaderParseError, LookupError, ValueError):
            return text
        if CONTROL.search(text):
            raise InvalidInput("its name holds encoded control characters")
    return text
