"""Transfer encodings, charsets and line ends, seen from outside: SMTP in, Maildir, HTTP click."""

import base64
import re

import pytest

from links.casefile import read_quoted
from support.service import Service

HEAD = (
    "From: News <news@example.com>\r\nTo: reader@gmail.com\r\nSubject: x\r\nMIME-Version: 1.0\r\n"
    "X-SES-CONFIGURATION-SET: {}\r\nContent-Type: text/html; charset={}\r\n"
    "Content-Transfer-Encoding: {}\r\n\r\n"
)
HREF = re.compile(rb"href=[\"']?([^\"' >]+)")


def sent(service: Service, charset: str, encoding: str, body: bytes) -> tuple[bytes, bytes]:
    """Send an email of one HTML part; return header and body as they arrived."""
    head = HEAD.format(service.configuration_set(), charset, encoding).encode()
    arrived = service.send(head + body)
    at = re.search(rb"\r?\n\r?\n", arrived)
    assert at is not None
    return arrived[: at.start()], arrived[at.end() :]


def followed(service: Service, html: bytes) -> list[str | None]:
    """Return where each tracking link of a document leads."""
    return [service.request(link.decode()).location for link in HREF.findall(html)]


@pytest.mark.parametrize(
    ("body", "lost"),
    [
        (b'<p>Code: YWJj==</p>\r\n<a href=3D"http://e.example/?c=3DYWJj==">x</a>\r\n', b"YWJj=="),
        (b'<p class="a">\r\n<a href="http://e.example/?c=3DYWJj==">x</a> =zz\r\n', b"=zz"),
        (
            b'=3cp=3e=e9  \r\n=\n<a href=3d"http://e.example/?c=3dYWJ=\n=\t\r\nj==">x</a>\r\n',
            b"\xe9",
        ),
        (b"y" * 90 + b'<a\r\nhref=3D"http://e.example/?c=3DYWJj==">x</a>' + b"z" * 90, b"z" * 90),
    ],
)
def test_malformed_quoted_printable_loses_nothing(
    service: Service, body: bytes, lost: bytes
) -> None:
    _, arrived = sent(service, "iso-8859-15", "quoted-printable", body)
    html, before = read_quoted(arrived), read_quoted(body)
    assert followed(service, html) == ["http://e.example/?c=YWJj=="]
    assert lost in html
    assert HREF.sub(b"", html).split() == HREF.sub(b"", before).split()
    kept = re.split(rb"\r?\n", body)
    assert all(len(line) <= 76 or line in kept for line in re.split(rb"\r?\n", arrived))


@pytest.mark.parametrize("encoding", ["8bit", "quoted-printable"])
@pytest.mark.parametrize("size", [60, 990])
def test_new_lines_end_as_those_of_the_email(service: Service, encoding: str, size: int) -> None:
    """The first line of the part ends with LF alone."""
    body = b"<p>\n<b>\r\n" + b"z" * size + b"\r\n<a href='http://e.example/'>x</a>" + b"y" * size
    _, arrived = sent(service, "utf-8", encoding, body)
    assert len(re.findall(rb"(?<!\r)\n", arrived)) <= 1
    assert max(map(len, arrived.split(b"\r\n"))) <= 998


@pytest.mark.parametrize(
    ("charset", "html", "leads_to"),
    [
        ("gb2312", b"<a href='http://e.example/\xe9F'>", "%E9%95%95"),
        ("shift_jis", b"<a href='http://e.example/\x87@'>", "%E2%91%A0"),
        ("iso-2022-jp", b"<a href='http://e.example/\x1b$B-!\x1b(B'>", "%E2%91%A0"),
        ("iso-8859-1", b"<a href='http://e.example/\x92'>", "%E2%80%99"),
        ("iso-8859-8-i", b"<a href='http://e.example/\xf9'>", "%D7%A9"),
        ('""', b"<meta charset=windows-1251><a href='http://e.example/\xea'>", "%D0%BA"),
        ('""', b"<a href='http://e.example/\xea'>", "%C3%AA"),
        ("unknown-8bit", b"<a href='http://e.example/\xea'>", "%C3%AA"),
        ("koi8-r", "\ufeff<a href='http://e.example/к'>".encode(), "%D0%BA"),
        ("utf-8", b"<a href='http://e.example/\xea'><a href='http://e.example/'>", None),
    ],
)
def test_a_link_leads_where_a_browser_reads_it(
    service: Service, charset: str, html: bytes, leads_to: str | None
) -> None:
    _, arrived = sent(service, charset, "8bit", html + b"x</a>\r\n")
    links = HREF.findall(arrived)
    answers = [service.request(link.decode()) for link in links if b"\xea" not in link]
    assert [each.location for each in answers] == [f"http://e.example/{leads_to or ''}"]
    assert (b"http://e.example/\xea" in links) == (leads_to is None)


def test_a_browser_wins_by_the_byte_order_mark(service: Service) -> None:
    html = "\ufeff<a href='http://e.example/к'>x</a>".encode("utf-16-le")
    body = base64.encodebytes(html).replace(b"\n", b"\r\n")
    _, arrived = sent(service, "utf-8", "base64", body)
    text = base64.b64decode(arrived).decode("utf-16-le")
    assert followed(service, text.encode()) == ["http://e.example/%D0%BA"]
