"""Puts HTML into emails in every transfer encoding, and takes it out again."""

import base64
import email
import email.policy
import re
from dataclasses import dataclass, field
from email.message import Message
from random import Random

from links.casefile import decode, encode, read_quoted
from support.browser_charset import read, write

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


LABELS = (
    *("utf-8", "UTF8", "us-ascii", "iso-8859-1", "windows-1251", "koi8-u", "iso-8859-8-i", "x-gbk"),
    *("gb2312", "gb18030", "big5", "euc-kr", "shift_jis", "euc-jp", "iso-2022-jp", "utf-16"),
    *("utf-16be", "windows-874", "x-user-defined", "macintosh", "ks_c_5601-1987", "windows-1258"),
)
"""Labels of the Encoding standard, of all kinds of charsets."""


@dataclass(frozen=True)
class Envelope:
    """An email with nothing but an HTML part. ``label`` is its charset, ``None`` without one."""

    label: str | None
    encoding: str
    newline: bytes
    content: bytes = field(repr=False)
    body: bytes = field(repr=False)
    """The content in its transfer encoding."""

    @property
    def raw(self) -> bytes:
        """The whole email."""
        parameter = f"; charset={self.label}" if self.label else ""
        head = f"Content-Type: text/html{parameter}\nContent-Transfer-Encoding: {self.encoding}\n\n"
        return head.encode().replace(b"\n", self.newline) + self.body

    @property
    def ends_escaped(self) -> bool:
        """Whether an escape of ISO-2022-JP is last: behind it nothing is added."""
        return self.content.rstrip()[-3:-2] == b"\x1b"

    def text_of(self, raw: bytes) -> str:
        """Return what a browser reads of this email as it was or as it became."""
        head, _, body = raw.partition(self.newline * 2)
        encoding = head.rpartition(b": ")[2].decode()
        if encoding == "quoted-printable":
            return read(read_quoted(body), self.label)
        return read(base64.b64decode(body) if encoding == "base64" else body, self.label)


def plain(text: str) -> Envelope:
    """Return an email that says nothing but the text."""
    content = text.encode()
    return Envelope("utf-8", "base64", b"\r\n", content, encode(content, "base64"))


def random_envelope(rng: Random, text: str) -> Envelope:
    """Return an email with a text in any charset, transfer encoding and line ends."""
    label: str | None = rng.choice(LABELS)
    assert label is not None
    newline = rng.choice((b"\r\n", b"\r\n", b"\n"))
    encoding = rng.choice(("8bit", "base64", "quoted-printable", "quoted-printable"))
    if label.startswith("utf-16") and encoding == "8bit":
        encoding = "base64"  # RFC 2781 § 4: not without a transfer encoding
    text = re.sub(r"\r\n|\n", rng.choice(("\r\n", "\n", "\r\n \t\n")), text)
    how = rng.randint(0, 7)
    if how == 0 and not label.startswith(("utf-16", "x-user")):
        content = write(f"<meta charset={label}>{text}", label)
        label = None
    elif how == 1:
        label, content = rng.choice((None, "unknown-8bit")), write(text, "windows-1252")
    elif how == 2:
        content = ("\ufeff" + text).encode(rng.choice(("utf-8", "utf-16-le", "utf-16-be")))
        encoding = "base64" if encoding == "8bit" else encoding
    else:
        content = write(text, label)
    if encoding == "8bit":
        content = re.sub(rb"[^\r\n]{900}", rb"\g<0>" + newline, content)  # no line over 998
        body = content
    elif encoding == "quoted-printable":
        body = malformed_quoted(rng, content, newline)
    else:
        body = encode(content, encoding, newline)
    return Envelope(label, encoding, newline, content, body)


def malformed_quoted(rng: Random, content: bytes, newline: bytes) -> bytes:
    """Encode as programs do that have not read RFC 2045; what it means is clear all the same."""
    often = rng.choice((0, 2, 20, 200))
    out = bytearray()
    column = 0
    for at, byte in enumerate(content):
        odd = often and rng.randint(0, 200) < often
        before = len(out)
        if byte in b"\r\n" and content[at : at + 1] == b"\n" and newline == b"\n":
            out.append(byte)
        elif content.startswith(newline, at) and len(newline) == 2:
            out += (b" " if odd else b"") + b"\r"
        elif len(newline) == 2 and byte == 0x0A and content[at - 1 : at] == b"\r" and at:
            out.append(byte)
        elif byte in (0x0D, 0x0A) or byte in b" \t=" or not 0x20 < byte < 0x7F:
            is_raw = odd and byte not in b"\n \t"
            out += bytes((byte,)) if is_raw else b"=%02X" % byte
            if odd and not is_raw:
                out[-2:] = out[-2:].lower()
        else:
            out.append(byte)
        column = 0 if byte == 0x0A else column + len(out) - before
        if column > (60 if not often else rng.randint(40, 200)):
            out += rng.choice((b"=\n", b"= " + newline)) if odd else b"=" + newline
            column = 0
    body = bytes(out)
    return body if read_quoted(body) == content else encode(content, "quoted-printable", newline)
