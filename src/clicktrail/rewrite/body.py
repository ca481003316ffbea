"""Transfer encodings (RFC 2045 § 6): undone, and done again with as little change as possible."""

import binascii
import re
from collections.abc import Sequence

import pybase64

from clicktrail.rewrite import quoted
from clicktrail.rewrite.quoted import Edit, apply

LINE_LIMIT = 998
"""RFC 5322 § 2.1.1: bytes in a line, without its end."""

_IDENTITY = frozenset(("7bit", "8bit", "binary"))
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/=]++")


class Undecodable(ValueError):
    """The body cannot be decoded without loss: it stays as it is."""


def as_sent(body: bytes, encoding: str) -> bytes:
    """Return a body without what was added to it on the way, as the other functions want it."""
    return quoted.without_padding(body) if encoding == "quoted-printable" else body


def decode_transfer(body: bytes, encoding: str) -> bytes:
    """Undo a transfer encoding. Raises `Undecodable`."""
    if encoding in _IDENTITY:
        return body
    if encoding == "quoted-printable":
        return binascii.a2b_qp(body)
    if encoding == "base64":
        return _from_base64(body)
    raise Undecodable(f"transfer encoding {encoding!r} is not known")


def _from_base64(body: bytes) -> bytes:
    digits = body.translate(None, b"\r\n")
    try:
        return pybase64.b64decode(digits, validate=True)
    except binascii.Error:
        pass
    # RFC 2045 § 6.8: characters outside the alphabet are ignored. Padding may be missing.
    digits = _NOT_BASE64.sub(b"", body).rstrip(b"=")
    digits += b"=" * (-len(digits) % 4)
    try:
        return pybase64.b64decode(digits, validate=True)
    except binascii.Error:
        raise Undecodable("the body is not base64") from None


def edit_transfer(
    body: bytes, data: bytes, edits: Sequence[Edit], encoding: str, newline: bytes
) -> tuple[bytes | bytearray, str]:
    """Return a body with its decoded ``data`` changed, and its transfer encoding.

    Raises `Undecodable`. ``newline`` is how lines end.
    """
    if encoding == "quoted-printable":
        changed = quoted.splice(body, data, edits, newline)
        if changed is not None:
            return changed, encoding
    return encode_transfer(body, apply(data, edits), encoding, newline)


def encode_transfer(body: bytes, data: bytes, encoding: str, newline: bytes) -> tuple[bytes, str]:
    """Return ``data`` in the transfer encoding and style of ``body``, and which encoding it is.

    7bit and 8bit become quoted-printable where a line would be too long. Raises `Undecodable`.
    """
    if encoding == "base64":
        return _base64(data, body, newline), encoding
    if encoding == "quoted-printable" or (encoding != "binary" and _is_long(data)):
        encoded = quoted.encode(data, newline)
        if binascii.a2b_qp(encoded) != data:
            raise Undecodable("the body does not survive quoted-printable")
        return encoded, "quoted-printable"
    return data, encoding


def _is_long(data: bytes) -> bool:
    """Whether a line is longer than an email may have it."""
    at, end = 0, len(data)
    while end - at > LINE_LIMIT:
        # The last line end within reach; what is before it is short enough, however it is cut.
        newline = data.rfind(b"\n", at, at + LINE_LIMIT + 2)
        if newline < 0 or (newline == at + LINE_LIMIT + 1 and data[newline - 1] != 0x0D):
            newline = data.rfind(b"\n", at, at + LINE_LIMIT + 1)
            if newline < 0:
                return True
        at = newline + 1
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
