"""Puts HTML into emails in every transfer encoding, and takes it out again."""

import email
import email.policy
from email.message import Message

from links.casefile import decode, encode

ENCODINGS = ("7bit", "8bit", "quoted-printable", "base64")
BOUNDARY = "=_boundary"

_ALTERNATIVE = (
    "From: a@example.com\r\nTo: b@example.com\r\n"
    "Subject: =?utf-8?q?=D0=9A?=\r\nMIME-Version: 1.0\r\n"
    f'Content-Type: multipart/alternative;\r\n\tboundary="{BOUNDARY}"\r\n\r\n'
    f"preamble\r\n--{BOUNDARY}\r\n"
    "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    'Текст http://example.com/ <a href="http://example.com/">x</a>\r\n'
)
_END = f"\r\n--{BOUNDARY}--\r\nepilogue\r\n"


def ascii_only(text: str) -> str:
    """Write characters over U+007F as references, as programs do that send 7bit."""
    return text.encode("ascii", "xmlcharrefreplace").decode()


def alternative(html: str, encoding: str, charset: str = "utf-8") -> bytes:
    """Return an email with a text part and the HTML, which has CR LF lines in 7bit and 8bit."""
    part = (
        f"--{BOUNDARY}\r\nContent-Type: text/html; charset={charset}\r\n"
        f"Content-Transfer-Encoding: {encoding}\r\n\r\n"
    )
    body = encode(html.encode(charset), encoding)
    return (_ALTERNATIVE + part).encode() + body + _END.encode()


def html_of(raw: bytes, charset: str = "utf-8") -> tuple[str, str]:
    """Return the decoded HTML of such an email and its transfer encoding, by hand and strictly."""
    head, _, rest = raw.rpartition(b"Content-Type: text/html")
    assert head.decode().startswith(_ALTERNATIVE)
    headers, _, body = rest.partition(b"\r\n\r\n")
    assert body.endswith(_END.encode())
    name = headers.rpartition(b"Content-Transfer-Encoding: ")[2].decode()
    return decode(body[: -len(_END)], name).decode(charset), name


def skeleton(raw: bytes) -> list[tuple[str, str | None, list[tuple[str, str]], bytes | None]]:
    """Return what the email package sees, but for the HTML: types, headers, bodies, in order."""
    parts = []
    message: Message = email.message_from_bytes(raw, policy=email.policy.compat32)
    assert not message.defects
    for part in message.walk():
        is_html = part.get_content_type() == "text/html"
        headers = [(name, str(value)) for name, value in part.items()]
        if is_html:
            headers = [pair for pair in headers if pair[0].lower() != "content-transfer-encoding"]
        payload = None if is_html or part.is_multipart() else part.get_payload(decode=True)
        assert payload is None or isinstance(payload, bytes)
        parts.append((part.get_content_type(), part.preamble, headers, payload))
    return parts
