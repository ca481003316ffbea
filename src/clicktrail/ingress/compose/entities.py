"""MIME entities as bytes (RFC 2045, RFC 2046): texts, attachments, and what holds them together.

All is written here: the standard library's `email` package would encode and fold bodies line by
line in Python, which takes longer than all the rest of an email, and it changes texts of headers.
"""

import binascii
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from clicktrail.headers.parameters import written
from clicktrail.headers.words import text_value
from clicktrail.rewrite.mime.body import encode_transfer

_CRLF = b"\r\n"
_LINE_END = re.compile(rb"\r\n|\r|\n")
_SNIFFED = 10
"""So many lines tell whether a text is shorter in quoted-printable or in base64."""
_SHORT = 78
"""Bytes of a line that needs no encoding (RFC 5322 § 2.1.1: recommended at the most)."""


@dataclass(frozen=True, slots=True)
class Entity:
    """``header`` has whole lines, each with its CRLF; the body follows after an empty one."""

    header: bytes
    body: bytes

    def __bytes__(self) -> bytes:
        return self.header + _CRLF + self.body


def text_entity(text: str, subtype: str, charset: str) -> Entity:
    """Return a text of which each line ends with CRLF, in an encoding that fits it.

    Raises `UnicodeEncodeError` where the charset cannot hold it.
    """
    lines = text.encode(charset).splitlines()
    data = b"\n".join(lines) + b"\n"
    encoding = _encoding_of(lines, data)
    body = data.replace(b"\n", _CRLF)
    if encoding == "quoted-printable":
        body = binascii.b2a_qp(data).replace(b"\n", _CRLF)
    elif encoding == "base64":
        body = encode_transfer(b"", body, encoding, _CRLF)[0] + _CRLF
    header = f'Content-Type: text/{subtype}; charset="{charset}"\r\n'
    header += f"Content-Transfer-Encoding: {encoding}\r\n"
    return Entity(header.encode(), body)


def _encoding_of(lines: Sequence[bytes], data: bytes) -> str:
    if b"\0" in data:  # quoted-printable would do (RFC 2045 § 6.7), not all readers would
        return "base64"
    if data.isascii() and max(map(len, lines), default=0) <= _SHORT:
        return "7bit"
    sniffed = b"\n".join(lines[:_SNIFFED])
    quoted, sextets = binascii.b2a_qp(sniffed), binascii.b2a_base64(sniffed)
    return "base64" if len(quoted) > len(sextets) else "quoted-printable"


def attachment_entity(
    data: bytes,
    kind: tuple[str, str],
    parameters: Mapping[str, str],
    *,
    encoding: str,
    name: str,
    content_id: str,
    description: str,
    inline: bool,
) -> Entity:
    """Return an attachment of a type and subtype, in a transfer encoding that can hold it.

    The lines of one in ``7bit`` end with CRLF then; the others arrive byte for byte. ``content_id``
    is in ASCII, without its angle brackets.
    """
    fields = [
        _field("Content-Type", "/".join(kind), parameters),
        f"Content-Transfer-Encoding: {encoding}\r\n",
        _field(
            "Content-Disposition",
            "inline" if inline else "attachment",
            {"filename": name} if name else {},
        ),
    ]
    if description:
        fields.append(f"Content-Description: {text_value(description, 21)}\r\n")
    if content_id:  # neither folded nor encoded words (RFC 2047 § 5)
        fields.append(f"Content-ID: <{content_id}>\r\n")
    header = "".join(fields).encode("ascii")
    if encoding == "7bit":
        return Entity(header, _LINE_END.sub(_CRLF, data))
    if encoding == "quoted-printable":
        # Also its line ends are bytes of the content (RFC 2045 § 6.7, rule 4).
        return Entity(header, binascii.b2a_qp(data, istext=False).replace(b"\n", _CRLF))
    return Entity(header, encode_transfer(b"", data, encoding, _CRLF)[0] + _CRLF)


def _field(name: str, value: str, parameters: Mapping[str, str]) -> str:
    given = [written(key, text) for key, text in parameters.items()]
    return f"{name}: " + ";\r\n ".join((value, *given)) + "\r\n"


def multipart(subtype: str, parts: Sequence[Entity], parameters: str = "") -> Entity:
    """Return one that holds others, in their order (RFC 2046 § 5.1); one alone as it is.

    ``parameters`` are those of its type, each behind its semicolon.
    """
    if len(parts) == 1:
        return parts[0]
    # RFC 2045 § 6.7: "=_" stands in no quoted-printable, nor in base64; the rest is chance.
    boundary = f"=_{secrets.token_hex(16)}"
    header = f'Content-Type: multipart/{subtype}{parameters}; boundary="{boundary}"\r\n'.encode()
    line = f"--{boundary}".encode()
    lines = [each for part in parts for each in (line, bytes(part))]
    return Entity(header, _CRLF.join([*lines, line + b"--", b""]))


def whole(entity: Entity) -> Entity:
    """Return it as that of an email (RFC 2045 § 4)."""
    return replace(entity, header=b"MIME-Version: 1.0\r\n" + entity.header)
