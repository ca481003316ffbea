"""The text of an HTML part: its charset. Nothing is decoded that need not be.

HTML is looked at as bytes, in a charset in which ASCII is ASCII and no byte that means something
to HTML is part of another character: then every byte that is not replaced stays. Only a charset
such as UTF-16, of which that cannot be said, is decoded, and encoded again.
"""

import codecs
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache

from clicktrail.rewrite.body import Undecodable

_NO_CHARSETS = frozenset(("idna", "punycode", "undefined", "unicode-escape", "raw-unicode-escape"))
"""Python codecs that no email means."""
_AMBIGUOUS = frozenset(("johab",))
"""Codecs with "<" and ">" as second bytes."""
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# ISO-2022-JP (RFC 1468) switches by escape sequences; between them bytes look like ASCII.
_SHIFTED = re.compile(rb"\x1b(?:\$[^\x1b]*+|\([^BJ\x1b][^\x1b]*+)")


@dataclass(frozen=True, slots=True)
class Text:
    """An HTML document as bytes in which ASCII is ASCII.

    ``html`` is what is looked at. ``source`` has the same length: what is in ``html`` instead of
    it, in ISO-2022-JP, cannot be taken for ASCII. ``codec`` says how to read them, ``mark`` is the
    byte order mark that stood before. With ``wire``, the document was decoded from that charset.
    """

    html: bytes
    source: bytes
    codec: str = "utf-8"
    errors: str = "replace"
    mark: bytes = b""
    wire: str | None = None

    def read(self, start: int, end: int) -> str:
        """Return what a browser reads there."""
        return self.decode(self.source[start:end])

    def decode(self, value: bytes) -> str:
        """Return what a browser reads from bytes of `source`."""
        if value.isascii() and self.source is self.html:
            return value.decode("ascii")
        try:
            return value.decode(self.codec, self.errors)
        except UnicodeError:
            return value.decode("latin-1")

    def counter(self) -> Callable[[int], int]:
        """Return what tells for each offset in bytes, in rising order, that in characters."""
        if self.source is self.html and (self.html.isascii() or is_single_byte(self.codec)):
            return lambda at: at
        last = count = 0
        errors = "surrogateescape" if self.codec == "utf-8" else "replace"

        def characters(at: int) -> int:
            nonlocal last, count
            count += len(self.source[last:at].decode(self.codec, errors))
            last = at
            return count

        return characters

    def encode(self, html: bytes) -> bytes:
        """Return a changed ``html`` as it goes on the wire. Raises `Undecodable`."""
        if self.wire is None:
            return self.mark + html
        try:
            return self.mark + html.decode("utf-8").encode(self.wire)
        except UnicodeError:
            raise Undecodable("the text does not fit its charset") from None


def open_text(data: bytes, charset: str | None) -> Text:
    """Return the text of bytes in a charset.

    An unknown charset, or one that the bytes do not obey, is taken for UTF-8; nothing is lost.
    """
    name = _known(charset)
    for mark, of in _BOMS:
        if data.startswith(mark) and (name is None or name.startswith(of[:6])):
            rest = data[len(mark) :]
            if of == "utf-8":
                return Text(rest, rest, mark=mark)
            return _decoded(rest, of, mark) or Text(data, data)
    if name is None or name in ("utf-8", "ascii"):
        return Text(data, data)
    if name.startswith("iso2022_jp"):
        html = _SHIFTED.sub(lambda found: b"\x80" * len(found[0]), data)
        return Text(html, data, name, "strict")
    if holds_ascii(name):
        return Text(data, data, name, "strict")
    if name == "utf-16":
        # RFC 2781 § 4.3 says big-endian where there is no mark; senders on Windows do not obey.
        is_little = data[::2].count(0) < data[1::2].count(0)
        name = "utf-16-le" if is_little else "utf-16-be"
    if name.startswith(("utf-16", "utf-32")) and b"\0" not in data:
        return Text(data, data)  # markup in such a charset is full of NULs
    return _decoded(data, name, b"") or Text(data, data)


@cache
def holds_ascii(codec: str) -> bool:
    """Whether each byte below 128 is that character of ASCII, where it means something to HTML."""
    if codec in _AMBIGUOUS or codec.startswith(("iso2022", "hz")):
        return False
    try:
        return bytes(range(128)).decode(codec) == bytes(range(128)).decode("ascii")
    except UnicodeError:
        return False


@cache
def is_single_byte(codec: str) -> bool:
    """Whether each byte is one character."""
    return len(bytes(range(256)).decode(codec, "replace")) == 256 and codec != "utf-8"


def _decoded(data: bytes, codec: str, mark: bytes) -> Text | None:
    """Return a text that comes back the same when it is encoded, or ``None``."""
    try:
        text = data.decode(codec)
        html = text.encode("utf-8")
        # Some codecs read several byte strings as one text.
        if text.encode(codec).decode(codec) != text:
            return None
    except (UnicodeError, LookupError):
        return None
    return Text(html, html, mark=mark, wire=codec)


@lru_cache(256)
def _known(charset: str | None) -> str | None:
    if not charset:
        return None
    name = charset.strip().strip("'\"").lower()
    try:
        info = codecs.lookup(name)
    except (LookupError, ValueError):
        return None
    if not getattr(info, "_is_text_encoding", True) or info.name in _NO_CHARSETS:
        return None
    return "utf-8" if info.name == "utf-8-sig" else info.name
