"""Encoded words of headers (RFC 2047), decoded and made."""

import binascii
import codecs
import re
from collections.abc import Iterator

# RFC 2047 § 2, and § 5 of RFC 2231 (a language behind the charset); some write spaces in them.
_WORD = re.compile(r"=\?([^?*\s]++)(?:\*[^?\s]*+)?\?([bBqQ])\?([^?]*+)\?=")
_ESCAPE = re.compile(rb"=([0-9A-Fa-f]{2})")
# Python's codecs that are no charsets of emails; their decoders are slow.
_WORD_SIZE = 75  # § 2
_LONG = 900  # RFC 5322 § 2.1.1: 998 at the most
# § 5 (3): what stands for itself in a name too; a space is "_".
_ITSELF = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!*+-/")
_QUOTED = [chr(each) if each in _ITSELF else f"={each:02X}" for each in range(256)]
_QUOTED[0x20] = "_"
_QUOTED_SIZE = [*map(len, _QUOTED)]
_NO_CHARSETS = frozenset(("idna", "punycode", "unicode-escape", "raw-unicode-escape", "undefined"))


def decoded_words(text: str) -> str:
    """Return a header's text with its encoded words decoded, as far as they can be.

    White space between two words goes (§ 6.2); a character may be split over words of one charset.
    """
    found: list[str] = []
    run: list[bytes] = []
    charset = ""
    at = 0
    for word in _WORD.finditer(text):
        between = text[at : word.start()]
        apart = bool(between.strip()) or (not run and bool(between))
        if apart or word[1].lower() != charset:
            found.append(_text(run, charset))
            run = []
        if apart:
            found.append(between)
        charset = word[1].lower()
        run.append(_bytes(word[2], word[3]))
        at = word.end()
    if not at:
        return text
    return "".join((*found, _text(run, charset), text[at:]))


def text_value(text: str, taken: int) -> str:
    """Return the value of a header that says a text: as it is, or as encoded words.

    ``taken`` is how many characters stand before it, in its line.
    """
    plain = text.isascii() and text == text.strip() and "=?" not in text
    if plain and taken + len(text) < _LONG:
        return text
    return encoded_words(text, taken=taken)


def encoded_words(text: str, charset: str = "utf-8", taken: int = 0) -> str:
    """Return a text as encoded words (§ 2), whatever its characters: a line for each word.

    The first line has ``taken`` characters less. Raises `UnicodeEncodeError` where the charset
    cannot hold the text.
    """
    octets = text.encode(charset)
    quoted = sum(map(_QUOTED_SIZE.__getitem__, octets))
    is_quoted = quoted <= 4 * -(-len(octets) // 3)
    begin = f"=?{charset}?{'q' if is_quoted else 'b'}?"
    room = _WORD_SIZE - len(begin) - len("?=")
    first = room - taken - 1
    write = _quoted if is_quoted else _in_base64
    words = [
        f"{begin}{write(piece)}?="
        for piece in _split(text, charset, max(first, 16), room, is_quoted=is_quoted)
    ]
    return ("\r\n " if first < 16 else "") + "\r\n ".join(words)


def _split(text: str, charset: str, first: int, room: int, *, is_quoted: bool) -> Iterator[bytes]:
    """Yield the bytes of each word; all of a character go into one (§ 5)."""
    piece = bytearray()
    size, most = 0, first
    for character in text:
        octets = character.encode(charset)
        more = sum(map(_QUOTED_SIZE.__getitem__, octets)) if is_quoted else len(octets)
        if piece and size + more > (most if is_quoted else most // 4 * 3):
            yield bytes(piece)
            piece.clear()
            size, most = 0, room
        piece += octets
        size += more
    yield bytes(piece)


def _quoted(octets: bytes) -> str:
    return "".join(map(_QUOTED.__getitem__, octets))


def _in_base64(octets: bytes) -> str:
    return binascii.b2a_base64(octets, newline=False).decode("ascii")


def _bytes(encoding: str, text: str) -> bytes:
    raw = text.encode("ascii", "replace")
    if encoding in "qQ":
        return _ESCAPE.sub(lambda m: bytes((int(m[1], 16),)), raw.replace(b"_", b" "))
    try:
        return binascii.a2b_base64(raw + b"=" * (-len(raw) % 4))
    except binascii.Error:
        return raw


def _text(run: list[bytes], charset: str) -> str:
    raw = b"".join(run)
    try:
        if charset and codecs.lookup(charset).name not in _NO_CHARSETS:
            return raw.decode(charset, "replace")
    except (LookupError, ValueError):  # not known; a decoder that knows no "replace"
        pass
    return raw.decode("ascii", "replace")
