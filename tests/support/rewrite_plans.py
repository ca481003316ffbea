"""Emails made from a few bytes of choice and an HTML text, so that it is known what is what.

A fuzzer mutates the bytes; whatever they are, the email is well formed, and the checks know each
part without parsing: all but the bodies of shown HTML parts is the same, byte for byte.
"""

import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass

from clicktrail.model import Reason
from links.casefile import read_quoted
from support.browser_charset import charset_of, read, write
from support.rewrite_checks import (
    LINE_LIMIT,
    check_again,
    check_text,
    check_tree,
    check_wire,
    demand,
    run,
    texts,
    without_image,
)

CHOICES = 5
BOUNDARY = b"=_0d1f"
CANARY = '<a href="http://canary.example/?a=1&amp;b=2">canary</a>\n'
LONG = "<p>" + "long " * 300
CHARSETS = (
    "utf-8",
    "us-ascii",
    "iso-8859-1",
    "windows-1251",
    "koi8-r",
    "utf-16",
    "utf-16le",
    "iso-2022-jp",
    "shift_jis",
    "gb18030",
    "utf-7",
    "x-nobody-knows",
    "",
    *("gb2312", "gbk", "big5", "euc-kr", "euc-jp", "utf-16be", "iso-8859-8-i", "windows-874"),
    *("koi8-u", "macintosh", "x-user-defined", "ibm866", "x-sjis", "hz-gb-2312", "ks_c_5601-1987"),
)
ENCODINGS = (b"base64", b"quoted-printable", b"8bit", b"7bit", b"BASE64", b"Quoted-Printable", b"")
WIDTHS = (76, 60, 4, 72)
_TEXT = (
    b"Content-Type: text/plain; charset=utf-8\n\nhttp://example.com/ <a href=http://a.example>\n"
)
_IMAGE = (
    b"Content-Type: image/png\nContent-Transfer-Encoding: base64\nContent-ID: <a@b>\n\niVBORw0K\n"
)
_FILE = (
    b"Content-Type: text/html; charset=utf-8\nContent-Disposition: attachment; filename=a.html\n\n"
    b'<a href="http://example.com/">attached</a>\n'
)
_FORWARDED = (
    b"Content-Type: message/rfc822\n\nSubject: forwarded\nContent-Type: text/html\n\n"
    b'<a href="http://example.com/">forwarded</a>\n'
)
HTML = b"\0html\0"
"""Stands for an HTML part in `STRUCTURES`."""

STRUCTURES: tuple[tuple[bytes, tuple[bytes, ...]], ...] = (
    (b"", (HTML,)),
    (b"alternative", (_TEXT, HTML)),
    (b"mixed", (HTML, _IMAGE, _FILE)),
    (b'related; type="text/html"', (HTML, _IMAGE)),
    (b"mixed", (_TEXT, HTML, _FORWARDED, HTML)),
    (b"MIXED; x=y", (_FILE, HTML, _TEXT)),
    (b'signed; protocol="application/pgp-signature"', (HTML, _TEXT)),
)


@dataclass(frozen=True)
class Plan:
    """What the bytes choose."""

    structure: int
    charset: str
    encoding: bytes
    width: int
    newline: bytes
    canary: bool
    content: bytes
    """The content of each HTML part, in its charset (if that is not a lie)."""

    @property
    def signed(self) -> bool:
        """Whether the email must not be touched."""
        return STRUCTURES[self.structure][0].startswith(b"signed")

    @property
    def pieces(self) -> list[bytes]:
        """The raw email: even pieces are fixed, odd ones are HTML parts, header and body."""
        kind, parts = STRUCTURES[self.structure]
        head = b"From: a@example.com\nSubject: =?utf-8?q?fuzz?=\n folded\nMIME-Version: 1.0\n"
        if not kind:
            return [self.lines(head), self.part, b""]
        fixed = head + b'Content-Type: multipart/%s; boundary="%s"\n\npreamble\n' % (kind, BOUNDARY)
        pieces: list[bytes] = []
        for part in parts:
            fixed += b"--%s\n" % BOUNDARY
            if part == HTML:
                pieces += [self.lines(fixed), self.part]
                fixed = b"\n"
            else:
                fixed += part + b"\n"
        return [*pieces, self.lines(fixed + b"--%s--\nepilogue\n" % BOUNDARY)]

    @property
    def part(self) -> bytes:
        """An HTML part: header and body."""
        charset = f"; charset={self.charset}" if self.charset else ""
        head = f"Content-Type: text/html{charset}\n".encode()
        if self.encoding:
            head += b"Content-Transfer-Encoding: " + self.encoding + b"\n"
        return self.lines(head + b"\n") + self.encoded

    @property
    def encoded(self) -> bytes:
        """The content as it is on the wire."""
        kind = self.encoding.lower()
        if kind == b"base64":
            size = self.width // 4 * 3
            rows = (self.content[i : i + size] for i in range(0, len(self.content), size))
            return b"".join(binascii.b2a_base64(row, newline=False) + self.newline for row in rows)
        if kind == b"quoted-printable":
            # Line ends of the text are those of the wire (RFC 2045 § 6.7 (4)).
            is_text = not self.charset.startswith("utf-16")
            return self.lines(binascii.b2a_qp(self.content, istext=is_text))
        return self.content

    def decoded(self, body: bytes, encoding: bytes) -> bytes:
        """Return the content of a body (RFC 2045 § 6.7, § 6.8)."""
        if encoding.lower() == b"base64":
            return binascii.a2b_base64(body)
        if encoding.lower() == b"quoted-printable":
            return read_quoted(body)
        return body

    def lines(self, text: bytes) -> bytes:
        """Return the text with the line ends of this email."""
        return text.replace(b"\r\n", b"\n").replace(b"\n", self.newline)


def plan_of(data: bytes) -> Plan | None:
    """Read a plan: five bytes of choice, then the HTML; ``None`` where it makes no email."""
    if len(data) <= CHOICES:
        return None
    structure, charset_at, encoding_at, width, flags = data[:CHOICES]
    charset = CHARSETS[charset_at % len(CHARSETS)]
    encoding = ENCODINGS[encoding_at % len(ENCODINGS)]
    newline = b"\n" if flags & 1 else b"\r\n"
    canary, as_bytes = bool(flags & 2), bool(flags & 4)
    first = (CANARY if canary else "") + (LONG if flags & 8 else "")
    text = first + data[CHOICES:].decode("utf-8", "replace")
    try:
        content = write(text, charset or "us-ascii")
    except (LookupError, UnicodeError):
        content = text.encode("utf-8", "surrogatepass")
    if as_bytes:  # whatever they are in that charset
        content = first.encode() + data[CHOICES:]
    if encoding.lower() not in (b"base64", b"quoted-printable"):
        if charset.startswith("utf-16"):
            return None  # RFC 2781 § 4: not without a transfer encoding
        content = content.replace(b"\r\n", b"\n").replace(b"\n", newline)
    if BOUNDARY in content:
        return None
    number = structure % len(STRUCTURES)
    width = WIDTHS[width % len(WIDTHS)]
    return Plan(number, charset, encoding, width, newline, canary, content)


def plain_html(content: bytes) -> Plan:
    """Return the plan of an email that is nothing but HTML in UTF-8."""
    return Plan(0, "utf-8", b"base64", 76, b"\r\n", False, content)


def check_plan(plan: Plan, *, opens: bool = False) -> None:
    """Check that the email is rewritten as promised."""
    pieces = plan.pieces
    raw = b"".join(pieces)
    result, salt = run(raw, opens=opens)
    demand(opens or not result.pixel, "an image that nobody asked for")
    if result.reason is not None:
        demand(not result.links, "not tracked, but there are links")
        allowed = Reason.SIGNED if plan.signed else Reason.NO_LINKS
        unread = charset_of(plan.content, plan.charset) == "replacement"
        allowed = Reason.UNPARSABLE if unread and not plan.signed else allowed
        demand(result.reason is allowed, "not tracked", result.reason)
        demand(plan.signed or not _sees_canary(plan), "the first link is not tracked")
        if not result.pixel:
            demand(result.message == raw, "not tracked, but changed", result.reason)
            return
    demand(not plan.signed, "signed, but changed")
    check_wire(raw, result.message)
    check_again(raw, result.message, opens=opens)
    found: list[int] = []
    images = 0
    for old, new in zip(pieces[1::2], _parts(pieces, result.message), strict=True):
        encoding, body = _split(plan, new)
        if old != new:
            _check_encoding(plan, encoding, body)
        before = plan.decoded(plan.encoded, plan.encoding)
        after = plan.decoded(body, encoding)
        old_text, new_text, exact = texts(before, after, plan.charset or None, salt)
        new_text, count = without_image(new_text, salt, exact=exact)
        images += count
        found += check_text(old_text, new_text, result.links, salt, exact=exact)
        check_tree(old_text, new_text, salt)
    demand(images == result.pixel, "images", images)
    demand(found == list(range(len(result.links))), "links", found)
    if result.links and _sees_canary(plan):
        demand(result.links[0].url == "http://canary.example/?a=1&b=2", "the first link")


def _sees_canary(plan: Plan) -> bool:
    if not plan.canary:
        return False
    return read(plan.content, plan.charset).startswith(CANARY.rstrip())


def _parts(pieces: list[bytes], message: bytes) -> Iterator[bytes]:
    """Yield the HTML parts of the result: what stands between the fixed pieces."""
    at = 0
    for i in range(0, len(pieces) - 1, 2):
        demand(message.startswith(pieces[i], at), "outside the HTML parts something changed")
        at += len(pieces[i])
        following = pieces[i + 2]
        end = message.find(following, at) if following else len(message)
        demand(end >= 0, "after an HTML part something changed")
        yield message[at:end]
        at = end
    demand(message[at:] == pieces[-1], "the end changed")


def _split(plan: Plan, part: bytes) -> tuple[bytes, bytes]:
    """Return the transfer encoding and the body of a part whose other headers are the same."""
    head, blank, body = part.partition(plan.newline * 2)
    demand(blank, "the header of a part does not end")
    fields = head.split(plan.newline)
    field = re.compile(rb"content-transfer-encoding:[ \t]*(.*)", re.IGNORECASE | re.DOTALL)
    others = [line for line in fields if not field.fullmatch(line)]
    old = plan.part.partition(plan.newline * 2)[0].split(plan.newline)
    demand(others == [line for line in old if not field.fullmatch(line)], "a header changed")
    values = [match[1] for line in fields if (match := field.fullmatch(line))]
    demand(len(values) <= 1, "two transfer encodings", values)
    return (values[0] if values else b""), body


def _check_encoding(plan: Plan, encoding: bytes, body: bytes) -> None:
    was, now = plan.encoding.lower(), encoding.lower()
    if was in (b"base64", b"quoted-printable"):
        demand(was == now, "another transfer encoding", was, now)
    elif was != now:
        demand(now == b"quoted-printable", "another transfer encoding", was, now)
    before, after = (max(map(len, b.split(plan.newline))) for b in (plan.encoded, body))
    limit = LINE_LIMIT
    if now in (b"base64", b"quoted-printable"):  # RFC 2045 § 6.7 (5), § 6.8
        limit = max(76, before if was == now else 0)  # Python's own encoder makes 77 at times
    demand(after <= limit, "a line is too long", after)
