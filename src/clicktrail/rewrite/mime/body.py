"""Transfer encodings (RFC 2045 § 6): undone, and done again with as little change as possible."""

import binascii
import re
from collections.abc import Sequence

import pybase64

from clicktrail.rewrite.mime import quoted
from clicktrail.rewrite.mime.quoted import Edit, apply

LINE_LIMIT = 998
"""RFC 5322 § 2.1.1: bytes in a line, without its end."""

_IDENTITY = frozenset(("7bit", "8bit", "binary"))
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/=]++")


class Undecodable(ValueError):
    """The body cannot be decoded without loss: it stays as it is."""


def decode_transfer(body: bytes, encoding: str) -> tuple[bytes, bool]:
    """Undo a transfer encoding; return the data, and whether it is `quoted.is_clear`.

    Raises `Undecodable`.
    """
    if encoding in _IDENTITY:
        return body, False
    if encoding == "quoted-printable":
        clear = quoted.is_clear(body)
        return quoted.decode(body, clear=clear), clear
    if encoding == "base64":
        return _from_base64(body), False
    raise Undecodable(f"transfer encoding {encoding[:100]!r} is not known")


def _from_base64(body: bytes) -> bytes:
    digits = body.translate(None, b"\r\n")
    try:
        return pybase64.b64decode(digits, validate=True)
    except binascii.Error:
        pass
    # RFC 2045 § 6.8: characters outside the alphabet are ignored. Padding may be missing. Of a
    # digit too many, and of what stands behind padding, programs read different things.
    digits = _NOT_BASE64.sub(b"", body).rstrip(b"=")
    digits += b"=" * (-len(digits) % 4)
    try:
        return pybase64.b64decode(digits, validate=True)
    except binascii.Error:
        raise Undecodable("the body is not base64") from None


def edit_transfer(
    body: bytes, data: bytes, edits: Sequence[Edit], encoding: str, newline: bytes, *, clear: bool
) -> tuple[bytes | bytearray, str]:
    """Return a body with its decoded ``data`` changed, and its transfer encoding.

    Raises `Undecodable`. ``newline`` is how the lines of the email end; ``data`` and ``clear`` are
    what `decode_transfer` gave.
    """
    if encoding == "quoted-printable":
        changed = quoted.splice(body, data, edits, newline, clear=clear)
        if changed is None:
            raise Undecodable("the quoted-printable is too broken to be changed")
        return changed, encoding
    return encode_transfer(body, apply(data, edits), encoding, newline)


def encode_transfer(body: bytes, data: bytes, encoding: str, newline: bytes) -> tuple[bytes, str]:
    """Return ``data`` in the transfer encoding and style of ``body``, and which encoding it is.

    The others become quoted-printable where a line would be too long, binary only where none was;
    and where NULs come into text that has none (RFC 5322 § 4.5.3: UTF-16 that is not encoded, which
    RFC 2781 § 4 forbids). Raises `Undecodable`.
    """
    if encoding == "base64":
        return _base64(data, body, newline), encoding
    if encoding == "quoted-printable":
        return quoted.encode(data, newline), encoding
    is_binary = encoding == "binary"
    if is_long(data, newline) and not (is_binary and is_long(body, newline)):
        return quoted.encode(data, newline), "quoted-printable"
    if b"\0" in data and b"\0" not in body and not is_binary:
        return quoted.encode(data, newline), "quoted-printable"
    return data, encoding


def is_long(data: bytes, newline: bytes) -> bool:
    """Whether a line is longer than an email may have it."""
    at, end, size = 0, len(data), len(newline)
    while end - at > LINE_LIMIT:
        # The last line end within reach; what is before it is short enough, however it is cut.
        found = data.rfind(newline, at, at + LINE_LIMIT + size)
        if found < 0:
            return True
        at = found + size
    return False


def _base64(data: bytes, body: bytes, newline: bytes) -> bytes:
    """Encode with lines as long as the original's first one."""
    first, several, _ = body[:1000].lstrip(b"\r\n").partition(b"\n")
    width = min(len(first.rstrip()) // 4 * 4 or 76, 76) if several else 76  # RFC 2045 § 6.8
    if width == 76:
        encoded = pybase64.encodebytes(data).rstrip(b"\n").replace(b"\n", newline)
    else:
        whole = pybase64.b64encode(data)
        encoded = newline.join([whole[at : at + width] for at in range(0, len(whole), width)])
    tail = body[len(body.rstrip(b"\r\n")) :]
    return encoded + tail
