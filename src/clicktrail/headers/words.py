"""Encoded words of headers (RFC 2047), decoded."""

import binascii
import codecs
import re

# RFC 2047 § 2, and § 5 of RFC 2231 (a language behind the charset); some write spaces in them.
_WORD = re.compile(r"=\?([^?*\s]++)(?:\*[^?\s]*+)?\?([bBqQ])\?([^?]*+)\?=")
_ESCAPE = re.compile(rb"=([0-9A-Fa-f]{2})")
# Python's codecs that are no charsets of emails; their decoders are slow.
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
