"""The text of an HTML part. Nothing is decoded that need not be.

HTML is looked at as bytes, in a charset in which ASCII is ASCII and no byte that means something
to HTML is part of another character: then every byte that is not replaced stays. Only a charset
such as UTF-16, of which that cannot be said, is decoded, and encoded again.
"""

import re
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from clicktrail.rewrite.mime.body import Undecodable
from clicktrail.rewrite.mime.charset import (
    BOMS,
    ISO_2022_JP,
    REPLACEMENT,
    UTF_8,
    UTF_16,
    WINDOWS_1252,
    codec_of,
    known,
    prescan,
)

_AMBIGUOUS = frozenset(("johab",))
"""Codecs with "<" and ">" as second bytes."""
# ISO-2022-JP switches by these (WHATWG Encoding § 12.2.1). Between some of them bytes look like
# ASCII and are none; in JIS X 0201, all but two are.
_ESCAPE = re.compile(rb"\x1b(?:\([BJI]|\$[@B])")
_SHIFTED = re.compile(rb"\x1b(?:\$[@B]|\(I)(?s:.*?)(?=\x1b\([BJ]|\Z)|\x1b\(J[^\x1b]*+|\x1b\(B")
_ROMAN = b"\x1b(J"
_NOT_ASCII_IN_ROMAN = bytes.maketrans(b"\\~", b"\x80\x80")
# The other ISO 2022 charsets of Python (RFC 1468, RFC 1554).
_OTHER_SHIFTED = re.compile(rb"\x1b(?:\$[^\x1b]*+|\([^BJ\x1b][^\x1b]*+)")
LOST = "\ufffd"
_ANY = "surrogatepass"


@dataclass(slots=True)  # not frozen: that takes three times as long
class Text:
    """An HTML document as bytes in which ASCII is ASCII.

    ``html`` is what is looked at. ``source`` has the same length: what is in ``html`` instead of
    it, in ISO-2022-JP, cannot be taken for ASCII. ``codec`` says how to read them, ``mark`` is the
    byte order mark that stood before. With ``wire``, the document was decoded from that codec, and
    ``tail`` is what of it is no character.
    """

    html: bytes
    source: bytes
    codec: str = UTF_8
    errors: str = "replace"
    mark: bytes = b""
    wire: str | None = None
    tail: bytes = b""
    escapes: tuple[int, ...] = ()
    """Where the escape sequences of ISO-2022-JP stand."""

    def read(self, start: int, end: int) -> str:
        """Return what a browser reads there."""
        value = self.source[start:end]
        if self.escapes and self._is_roman(start) and not value.startswith(b"\x1b"):
            value = _ROMAN + value
        return self.decode(value)

    def decode(self, value: bytes) -> str:
        """Return what a browser reads from bytes of `source`."""
        if value.isascii() and self.source is self.html:
            return value.decode("ascii")
        try:
            return value.decode(self.codec, self.errors)
        except UnicodeError:
            return value.decode(self.codec, "replace")

    def is_exact(self, start: int, end: int, read: str) -> bool:
        """Whether what `read` gave for that place says all that is there."""
        if LOST not in read:
            return True
        return self.codec == UTF_8 and read.encode(errors=_ANY) == self.source[start:end]

    def shift(self, start: int, end: int) -> bytes:
        """Return what has to stay of a value that is replaced: how the text after it is read."""
        last = bisect_left(self.escapes, end) - 1
        if last < 0 or self.escapes[last] < start:
            return b""
        escape = self.source[self.escapes[last] : self.escapes[last] + 3]
        return escape if (escape == _ROMAN) != self._is_roman(start) else b""

    def _is_roman(self, at: int) -> bool:
        """Whether JIS X 0201 is read there instead of ASCII."""
        last = bisect_left(self.escapes, at) - 1
        return last >= 0 and self.source.startswith(_ROMAN, self.escapes[last])

    def counter(self) -> Callable[[int], int]:
        """Return what tells for each offset in bytes, in rising order, that in characters."""
        if self.source is self.html and (is_single_byte(self.codec) or self.html.isascii()):
            return lambda at: at
        last = count = 0
        errors = self.errors if self.wire is None else _ANY

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
            return self.mark + html.decode("utf-8", _ANY).encode(self.wire, _ANY) + self.tail
        except UnicodeError:
            raise Undecodable("the text does not fit its charset") from None


def open_text(data: bytes, charset: str | None) -> Text:
    """Return the text of bytes in a charset, as a browser reads it (HTML § 13.2.3.2).

    A byte order mark wins over ``charset``, what the document says of itself counts without one
    that is known, and windows-1252 without both. Raises `Undecodable`.
    """
    for mark, name in BOMS:
        if data.startswith(mark):
            rest = data[len(mark) :]
            return Text(rest, rest, mark=mark) if name == UTF_8 else _utf_16(rest, name, mark)
    found = known(charset) or prescan(data) or WINDOWS_1252
    if found == UTF_8 or (found == WINDOWS_1252 and data.isascii()):
        return Text(data, data)
    if found == REPLACEMENT:  # WHATWG Encoding § 14.1: a browser shows nothing of it
        raise Undecodable(f"no browser reads the charset {charset or 'that it names'!r}")
    if found in UTF_16:
        return _utf_16(data, found)
    codec = codec_of(found)
    if found == ISO_2022_JP:
        escapes = tuple(each.start() for each in _ESCAPE.finditer(data))
        html = _SHIFTED.sub(_masked, data)
        return Text(html, data, codec, escapes=escapes)
    if codec.startswith("iso2022_jp"):
        html = _OTHER_SHIFTED.sub(lambda each: b"\x80" * len(each[0]), data)
        return Text(html, data, codec)
    if holds_ascii(codec):
        return Text(data, data, codec)
    return _decoded(data, codec)


def _masked(shifted: re.Match[bytes]) -> bytes:
    escape, text = shifted[0][:3], shifted[0][3:]
    if escape == _ROMAN:
        return b"\x80\x80\x80" + text.translate(_NOT_ASCII_IN_ROMAN)
    return b"\x80" * len(shifted[0])


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
    if codec == UTF_8 or "2022" in codec:
        return False
    return len(bytes(range(256)).decode(codec, "replace")) == 256


def _utf_16(data: bytes, name: str, mark: bytes = b"") -> Text:
    """Return a text that comes back the same, its lone surrogates and its last odd byte too."""
    size = len(data) & ~1
    html = data[:size].decode(UTF_16[name], _ANY).encode("utf-8", _ANY)
    return Text(html, html, mark=mark, wire=UTF_16[name], tail=data[size:])


def _decoded(data: bytes, codec: str) -> Text:
    """Return a text that comes back the same when it is encoded. Raises `Undecodable`."""
    try:
        text = data.decode(codec)
        html = text.encode("utf-8")
        if text.encode(codec) != data:
            raise Undecodable(f"the text does not survive {codec}")
    except (UnicodeError, LookupError):
        raise Undecodable(f"the text is not {codec}") from None
    return Text(html, html, wire=codec)
