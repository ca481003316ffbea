"""Finds one person's address in texts, however it is written there."""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

import idna

from clicktrail.base.text.normal import normalized
from clicktrail.errors import InvalidInput
from clicktrail.headers.words import decoded_words
from clicktrail.rules.recipients import recipient_key

ERASED = "[erased]"
"""What stands in the place of a text that held the address."""

_UNQUOTINGS = 3  # a URL in a URL in a URL

# What letters and digits may hide in: encoded words, escapes of URLs, and the characters that
# Unicode folds to letters of ASCII (ß, ſ, ﬁ …), as they are and escaped.
_FOLDED = (
    (b"\xc3", b"\x9f"), (b"\xc4", b"\xb0"), (b"\xc5", b"\x89"), (b"\xc5", b"\xbf"),
    (b"\xc7", b"\xb0"), (b"\xe1", b"\xba"), (b"\xe2", b"\x84"), (b"\xef", b"\xac"),
)  # fmt: skip
_HIDING = re.compile(
    b"|".join(
        (
            rb"=\?|%(?>(?:25)*)(?:3[0-9]|[46][1-9a-f]|[57][0-9a])",
            *(first + second for first, second in _FOLDED),
            *(b"%%(?>(?:25)*)%02x%%(?>(?:25)*)%02x" % (one[0], two[0]) for one, two in _FOLDED),
        )
    )
)


class Person:
    """An address. Raises `InvalidInput` for what is none.

    It is found in any letter case (also of its local part, which RFC 5321 § 2.4 would let differ:
    nobody must be missed), with its domain in Unicode or as ``xn--``, percent-encoded as in URLs,
    and in encoded words of headers (RFC 2047). ``a.name@b.c`` and ``name@b.c.d`` are others than
    ``name@b.c``.
    """

    def __init__(self, address: str) -> None:
        local, at, domain = _folded(address.strip("<> \t")).rpartition("@")
        # RFC 5321 § 4.1.2: in quotes, anything may stand before the @.
        quoted = len(local) > 2 and local[0] == local[-1] == '"'
        local = local.strip('"')
        domain = domain.rstrip(".")
        odd = any(c.isspace() for c in (domain if quoted else local + domain))
        if not local or not domain or odd or ("@" in local and not quoted):
            raise InvalidInput(f"{address!r} is no email address: expected name@example.com")
        domains = _spellings(domain)
        self._local = local
        self._key = recipient_key(address)
        self._addresses = {f"{local}{at}{each}" for each in domains}
        either = "|".join(re.escape(each) for each in domains)
        # Not the end of another name, nor the beginning of another domain.
        self._pattern = re.compile(rf'(?<![\w.-]){re.escape(local)}"?{at}(?:{either})(?!\.?[\w-])')
        self._runs = [run.encode() for run in re.findall(r"[a-z0-9]+", local)]

    def may_be_in(self, raw: bytes) -> bool:
        """Whether it is worth to take these bytes apart: a quick look that misses nothing.

        They are MessagePack or JSON, in which letters and digits stand as they are.
        """
        small = raw.lower()
        return all(run in small for run in self._runs) or _HIDING.search(small) is not None

    def is_in(self, text: str) -> bool:
        """Whether a text holds the address."""
        return any(self._local in each and self._pattern.search(each) for each in _readings(text))

    def is_one(self, address: str) -> bool:
        """Whether an address is this one."""
        plain = _folded(address).strip("<> \t.").replace('"', "")
        return plain in self._addresses or recipient_key(address) == self._key

    def erased(self, value: Any) -> Any:
        """Return a value in which `ERASED` stands for each text that holds the address."""
        if isinstance(value, str):
            return ERASED if self.is_in(value) else value
        if isinstance(value, list | tuple):
            return [self.erased(item) for item in value]
        if isinstance(value, dict):
            return {self.erased(key): self.erased(item) for key, item in value.items()}
        return value


def _folded(text: str) -> str:
    return text.lower() if text.isascii() else normalized("NFC", text).casefold()


def _spellings(domain: str) -> list[str]:
    """Return a domain in ASCII and in Unicode; they may be the same."""
    try:
        ascii_form = idna.encode(domain, uts46=True).decode()
        return sorted({domain, ascii_form, _folded(idna.decode(ascii_form))})
    except (idna.IDNAError, UnicodeError):
        return [domain]


def _readings(text: str) -> Iterator[str]:
    """Yield what a text says: as it stands, and with its encodings taken away."""
    yield _folded(text)
    if "%" in text:
        plain = text
        for _ in range(_UNQUOTINGS):
            quoted, plain = plain, unquote(plain)
            if plain == quoted:
                break
            yield _folded(plain)
    if "=?" in text:
        yield _folded(decoded_words(text))
