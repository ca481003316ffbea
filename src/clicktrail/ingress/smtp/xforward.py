"""Postfix's XFORWARD: a mail server in front tells who gave it the email. No I/O.

https://www.postfix.org/XFORWARD_README.html
"""

import ipaddress
import re
from dataclasses import dataclass, field

from clicktrail.errors import MessageRefused

ATTRIBUTES = ("NAME", "ADDR", "PORT", "PROTO", "HELO", "IDENT", "SOURCE")
OFFER = " ".join(("XFORWARD", *ATTRIBUTES))
_LONGEST = 255
"""Characters of a value, decoded."""
_UNKNOWN = frozenset({"[UNAVAILABLE]", "[TEMPUNAVAIL]"})
_XTEXT = re.compile(r"(?:[!-*,-<>-~]|\+[0-9A-Fa-f]{2})+")  # RFC 1891 § 5, RFC 3461 § 4
_ENCODED = re.compile(r"\+([0-9A-Fa-f]{2})")


@dataclass(frozen=True, slots=True)
class Origin:
    """Who gave the email to the mail server in front, as far as it said so."""

    given: dict[str, str] = field(default_factory=dict)
    """Values by attribute, as they came."""

    def and_more(self, argument: str | None) -> "Origin":
        """Return what is known after another command. Raises `MessageRefused`."""
        given = dict(self.given)
        words = (argument or "").split()
        for word in words:
            name, equals, value = word.partition("=")
            name = name.upper()
            if name not in ATTRIBUTES or not equals or not _XTEXT.fullmatch(value):
                raise MessageRefused(501, "5.5.4 expected XFORWARD attribute=value …")
            if len(_decoded(value)) > _LONGEST:
                raise MessageRefused(501, f"5.5.4 {name} is longer than {_LONGEST} characters")
            given[name] = value
        if not words:
            raise MessageRefused(501, "5.5.4 expected XFORWARD attribute=value …")
        return Origin(given)

    @property
    def words(self) -> tuple[str, ...]:
        """What is passed on, as it came."""
        return tuple(f"{name}={value}" for name, value in self.given.items())

    @property
    def address(self) -> str:
        """The client's IP address; ``""`` where it is not known."""
        text = self._value("ADDR")
        if not text:
            return ""
        if text[:5].upper() == "IPV6:":
            text = text[5:]
        try:
            # A zone (RFC 4007 § 11) may hold anything, line ends too, and says nothing elsewhere.
            return str(ipaddress.ip_address(text.partition("%")[0]))
        except ValueError:
            return ""

    @property
    def hello(self) -> str:
        """What the client called itself; ``""`` where it is not known."""
        return self._value("HELO")

    def _value(self, name: str) -> str:
        if not self.given:
            return ""
        value = _decoded(self.given.get(name, ""))
        return "" if value.upper() in _UNKNOWN else value


def _decoded(value: str) -> str:
    return _ENCODED.sub(lambda found: chr(int(found[1], 16)), value)
