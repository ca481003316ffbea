"""The text of an HTML part: transfer encoding and charset, decoded and encoded without loss."""

import binascii
import codecs
import re
from dataclasses import dataclass

LINE_LIMIT = 998
"""RFC 5322 § 2.1.1: bytes in a line, without its end."""

_IDENTITY = frozenset(("7bit", "8bit", "binary"))
_ASCII = bytes(range(0x20, 0x7F))
_NO_CHARSETS = frozenset(("idna", "punycode", "undefined", "unicode-escape", "raw-unicode-escape"))
"""Python codecs that no email means."""
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/=]+")
_PADDING = re.compile(rb"(?<![ \t])[ \t]++(?=\r?\n|\Z)")  # RFC 2045 § 6.7 (3)
_PADDED = (b" \n", b"\t\n", b" \r\n", b"\t\r\n")
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


class Undecodable(ValueError):
    """The body cannot be decoded without loss: it stays as it is."""


@dataclass(frozen=True, slots=True)
class Text:
    """A decoded body: text, and how to get the same bytes back."""

    text: str
    charset: str
    errors: str
    bom: bytes
    url_charset: str | None
    """Where ``text`` is a Latin-1 view of bytes: the charset to read a URL in, if any."""

    @property
    def has_bytes(self) -> bool:
        """Whether some of its characters stand for bytes."""
        return self.url_charset is not None or self.errors != "strict"

    def read_url(self, url: str) -> str:
        """Return a URL of this text as a browser would read its bytes."""
        if self.url_charset is not None:
            try:
                return url.encode("latin-1").decode(self.url_charset)
            except UnicodeError:
                return url
        if self.errors == "strict" or url.isascii():
            return url
        return url.encode(self.charset, self.errors).decode(self.charset, "replace")

    def encode(self, text: str) -> bytes:
        """Return the bytes of a changed text. Raises `Undecodable`."""
        try:
            return self.bom + text.encode(self.charset, self.errors)
        except UnicodeError:
            raise Undecodable("the text does not fit its charset") from None


def decode_transfer(body: bytes, encoding: str) -> bytes:
    """Undo a transfer encoding. Raises `Undecodable`."""
    if encoding in _IDENTITY:
        return body
    if encoding == "quoted-printable":
        if any(each in body for each in _PADDED) or body.endswith((b" ", b"\t")):
            body = _PADDING.sub(b"", body)
        return binascii.a2b_qp(body)
    if encoding == "base64":
        # RFC 2045 § 6.8: characters outside the alphabet are ignored.
        data = _NOT_BASE64.sub(b"", body).rstrip(b"=")
        data += b"=" * (-len(data) % 4)
        try:
            return binascii.a2b_base64(data, strict_mode=bool(data))
        except binascii.Error:
            raise Undecodable("the body is not base64") from None
    raise Undecodable(f"transfer encoding {encoding!r} is not known")


def encode_transfer(
    data: bytes, encoding: str, original: bytes, newline: bytes
) -> tuple[bytes, str]:
    """Return a body in its transfer encoding again, in the style of the original, and which it is.

    7bit and 8bit become quoted-printable where a line would be too long. ``newline`` is the line
    end of the email.
    """
    if encoding == "base64":
        return _base64(data, original, newline), encoding
    if encoding == "quoted-printable" or (encoding != "binary" and _is_long(data)):
        return _quoted_printable(data, newline), "quoted-printable"
    return data, encoding


def _is_long(data: bytes) -> bool:
    """Whether a line is longer than an email may have it."""
    return max(map(len, data.split(b"\n"))) > LINE_LIMIT and any(
        len(line.rstrip(b"\r")) > LINE_LIMIT for line in data.split(b"\n")
    )


def _base64(data: bytes, original: bytes, newline: bytes) -> bytes:
    """Encode with lines as long as the original's first one."""
    first, several, _ = original.lstrip(b"\r\n").partition(b"\n")
    width = min(len(first.rstrip()) // 4 * 4 or 76, 76) if several else 76  # RFC 2045 § 6.8
    encoded = binascii.b2a_base64(data, newline=False)
    lines = [encoded[at : at + width] for at in range(0, len(encoded), width)]
    tail = original[len(original.rstrip(b"\r\n")) :]
    return newline.join(lines) + tail


def _quoted_printable(data: bytes, newline: bytes) -> bytes:
    """Encode each line; what is no line end of the email is encoded too (RFC 2045 § 6.7)."""
    soft = b"=" + newline
    lines = [
        binascii.b2a_qp(line, istext=False).replace(b"=\n", soft) for line in data.split(newline)
    ]
    encoded = newline.join(lines)
    if binascii.a2b_qp(encoded) != data:
        raise Undecodable("the body does not survive quoted-printable")
    return encoded


def decode_text(data: bytes, charset: str | None) -> Text:
    """Return the text of bytes in a charset, so that `Text.encode` gives the same bytes back.

    An unknown charset, or one that the bytes do not obey, gives a view in which each byte is a
    character: nothing is lost, and ASCII is ASCII.
    """
    name = _known(charset)
    for bom, of in _BOMS:
        if data.startswith(bom) and (name is None or name.startswith(of[:6])):
            return _strict(data[len(bom) :], of, bom) or _view(data, None)
    if name is None:
        return _strict(data, "utf-8", b"") or _escaped(data)
    if name == "utf-16":
        name = "utf-16-be"  # RFC 2781 § 4.3: without a mark
    elif name in ("us-ascii", "ascii"):
        name = "utf-8"
    found = _strict(data, name, b"")
    if found is not None:
        return found
    return _escaped(data) if name == "utf-8" else _view(data, name)


def _escaped(data: bytes) -> Text:
    """Return UTF-8 in which bytes that are none are kept (PEP 383)."""
    return Text(data.decode("utf-8", "surrogateescape"), "utf-8", "surrogateescape", b"", None)


def _strict(data: bytes, charset: str, bom: bytes) -> Text | None:
    try:
        text = data.decode(charset)
    except (UnicodeError, LookupError):
        return None
    # Some codecs read two byte strings as one text (iso-2022-jp, gb18030): then a changed text
    # need not come back as the bytes were, but as the same text.
    try:
        if text.encode(charset).decode(charset) != text:
            return None
    except UnicodeError:
        return None
    return Text(text, charset, "strict", bom, None)


def _view(data: bytes, charset: str | None) -> Text:
    """Return a view in which each byte is a character; ``charset`` is for URLs, if it fits."""
    if charset is None or not _holds_ascii(charset):
        charset = "utf-8"
    return Text(data.decode("latin-1"), "latin-1", "strict", b"", charset)


def _holds_ascii(charset: str) -> bool:
    try:
        return _ASCII.decode(charset) == _ASCII.decode("ascii")
    except UnicodeError:
        return False


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
