"""Charsets are the browser's: labels, what documents say of themselves, and every character.

What Chromium answered once is in ``links/charset_table.json``; `links.charset_table` asks it.
"""

import base64
import json
import string

import pytest

from clicktrail.rewrite import Policy, Rewritten, rewrite_message
from clicktrail.rewrite.mime.charset import codec_of, known, prescan
from clicktrail.rewrite.mime.text import is_single_byte, open_text
from links.casefile import is_own, tracking_link
from links.charset_table import (
    CHROMIUM_DEPARTS,
    HEADS,
    MULTIBYTE,
    PATH,
    TABLE,
    by_python,
    document,
    heads,
    sequences,
)

ANSWERS = json.loads(TABLE.read_text())
CHARSETS = sorted({*ANSWERS["labels"].values()})
# Those of many thousand characters are long rounds, but one.
READ = [
    pytest.param(name, marks=[pytest.mark.long] if name in {*MULTIBYTE} - {"shift_jis"} else [])
    for name in sorted(ANSWERS["reads"])
]
POLICY = Policy(link=tracking_link, is_own=is_own)


def email_of(html: bytes, charset: str | None, encoding: str = "8bit") -> bytes:
    parameter = f"; charset={charset}" if charset else ""
    head = f"Content-Type: text/html{parameter}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
    return head.encode() + (base64.encodebytes(html) if encoding == "base64" else html)


def rewritten(html: bytes, charset: str | None, encoding: str = "8bit") -> Rewritten:
    return rewrite_message(email_of(html, charset, encoding), POLICY)


def urls(html: bytes, charset: str | None, encoding: str = "8bit") -> list[str]:
    return [link.url for link in rewritten(html, charset, encoding).links]


@pytest.mark.parametrize("label", sorted(ANSWERS["labels"]))
def test_every_label_of_the_standard_means_what_it_does_in_the_browser(label: str) -> None:
    for written in (label, label.upper(), f" {label}\t"):
        assert known(written) == ANSWERS["labels"][label]


def test_no_other_label_is_known_as_one_of_the_standard() -> None:
    for label in ("", None, "x-klingon", "unknown-8bit", "utf-7", "unicode_escape", "\xa0utf-8"):
        assert known(label) is None
    for label in (
        "utf-8:",
        "utf:8",
        "-utf-8",
        "utf--8",
        "utf 8",
        "iso-8859-2.",
        "cp437;",
        "cp437\0",
    ):
        assert known(label) is None
    assert known("cp437") == "cp437"  # Python knows it, and no browser


@pytest.mark.parametrize("name", READ)
def test_every_character_of_a_charset_in_an_href_is_what_the_browser_reads(name: str) -> None:
    """One that the browser does not know either is not sealed, and its bytes stay."""
    differs = ANSWERS["reads"][name] | CHROMIUM_DEPARTS.get(name, {})
    html = document(sequences(name))
    result = rewritten(html, name)
    expected, lost = [], []
    for sequence in sequences(name):
        text = differs.get(sequence.hex(), by_python(name, sequence))
        if text is None or "\ufffd" in text:
            lost.append(sequence)
        else:
            expected.append(PATH.decode() + text)
    assert [link.url for link in result.links] == expected
    warnings = [each for each in result.warnings if each.startswith("undecodable")]
    assert len(warnings) == bool(lost)
    assert not lost or f"(and {len(lost) - 1} more)" in warnings[0] or len(lost) == 1
    for sequence in lost:
        assert b'<a href="' + PATH + sequence + b'">' in result.message
    assert len(expected) > (5000 if name in MULTIBYTE else 40)


@pytest.mark.parametrize(("head", "html"), list(zip(HEADS, heads(), strict=True)))
def test_a_document_without_a_parameter_says_its_charset_itself(head: str, html: bytes) -> None:
    name = ANSWERS["heads"][head]
    for label in (None, "unknown-8bit"):
        result = rewritten(html, label)
        if name in ("utf-8", "replacement", "iso-2022-jp"):  # C1 hexadecimal is nothing in them
            assert result.message == email_of(html, label)
        else:
            assert [link.url for link in result.links] == ["https://e.example/" + read(name)]
        assert (prescan(html) or "windows-1252") == name
        assert urls(html, "windows-1251") == ["https://e.example/Б"]


def test_what_a_meta_without_its_quote_says_is_nothing() -> None:
    """HTML § 13.2.3.2, get an attribute: the bytes run out in the value, so the prescan ends."""
    assert prescan(b"<meta charset='gbk><meta charset=koi8-r>") is None


def read(name: str) -> str:
    """Return what C1 hexadecimal is."""
    return {"koi8-r": "а"}.get(name, "Á")


@pytest.mark.parametrize("label", ["utf-8", "windows-1251", "iso-2022-jp", "replacement", None])
@pytest.mark.parametrize("codec", ["utf-8", "utf-16-le", "utf-16-be"])
def test_a_byte_order_mark_wins(codec: str, label: str | None) -> None:
    html = '\ufeff<a href="https://e.example/к">x</a>'.encode(codec)
    assert urls(html, label, "base64") == ["https://e.example/к"]


def test_utf_16_comes_back_the_same_with_what_is_no_character_in_it() -> None:
    html = '<p>{}</p><a href="https://e.example/к">x</a><a href="https://e.example/{}">y</a>'
    for codec, label in (("utf-16-le", "utf-16"), ("utf-16-be", "utf-16be")):
        data = html.format("\ud800", "\udc00").encode(codec, "surrogatepass") + b"x"
        result = rewritten(data, label, "base64")
        assert [link.url for link in result.links] == ["https://e.example/к"]
        body = base64.b64decode(result.message.partition(b"\r\n\r\n")[2])
        link = tracking_link(0, "https://e.example/к").encode(codec)
        assert body == data.replace("https://e.example/к".encode(codec), link)


@pytest.mark.parametrize(
    ("charset", "value"),
    [
        ("utf-8", b"caf\xe9"),
        ("utf-8", b"\xed\xa0\x80"),
        ("iso-2022-jp", b"\xe9"),
        ("gb18030", b"\x81"),
        ("windows-1253", b"\xaa"),
        ("ascii", b""),
    ],
)
def test_what_cannot_be_decoded_without_loss_is_never_sealed(charset: str, value: bytes) -> None:
    html = b'<a href="https://e.example/%b">x</a> <a href="https://e.example/z">z</a>' % value
    for encoding in ("8bit", "base64"):
        result = rewritten(html, charset, encoding)
        whole = ["https://e.example/"] if not value else []
        assert [link.url for link in result.links] == [*whole, "https://e.example/z"]
        assert [each.split(":")[0] for each in result.warnings] == ["undecodable"] * bool(value)


def test_nothing_is_relative_to_a_base_that_cannot_be_decoded() -> None:
    html = b'<base href="https://e.example/\xe9/"><a href="/x">x</a>'
    assert urls(html, "utf-8") == []
    assert urls(html, "windows-1252") == ["https://e.example/x"]


@pytest.mark.parametrize("charset", ["iso-2022-kr", "hz-gb-2312", "replacement", "csiso2022kr"])
def test_a_charset_that_no_browser_reads_is_left_alone_and_named(charset: str) -> None:
    html = b'<a href="https://e.example/">x</a>'
    result = rewritten(html, charset)
    assert result.message == email_of(html, charset)
    assert result.reason == "unparsable"
    assert charset in result.warnings[0]


def test_iso_2022_jp_in_another_state_is_read_as_browsers_do() -> None:
    """JIS X 0201 has a yen and an overline (WHATWG Encoding § 12.2.1); a value may begin it."""
    html = b'\x1b(J<a href="https://e.example/~">x</a>\x1b(B<a href="https://e.example/~">y</a>'
    assert urls(html, "iso-2022-jp") == ["https://e.example/‾", "https://e.example/~"]
    html = b'<a href="https://e.example/\x1b(J">\\</a>\x1b$B<A\x1b(B'
    result = rewritten(html, "iso-2022-jp")
    assert [link.url for link in result.links] == ["https://e.example/"]
    body = result.message.partition(b"\r\n\r\n")[2]
    link = tracking_link(0, "https://e.example/")
    assert body.decode("whatwg-iso-2022-jp") == f'<a href="{link}">¥</a>質'
    # What looks like markup between the sequences is none, unknown ones and lines within.
    html = b'\x1b$B<a href="https://x.example/">\n\x1b$(D\x1b(B<a href="https://e.example/">x</a>'
    assert urls(html, "iso-2022-jp") == ["https://e.example/"]


@pytest.mark.parametrize("name", READ)
def test_offsets_are_those_of_what_the_browser_reads(name: str) -> None:
    html = document(sequences(name))
    text = html.decode(codec_of(name))
    result = rewritten(html, name)
    assert all(text.startswith("<a", link.offset) for link in result.links)
    single = name not in MULTIBYTE
    assert is_single_byte(codec_of(name)) == single


def test_ascii_and_utf_8_need_no_decoder() -> None:
    """Such an email is looked at as it is."""
    for charset in ("utf-8", "us-ascii", "iso-8859-1", "windows-1252", "UTF8", None):
        data = string.printable.encode()
        text = open_text(data, charset)
        assert text.html is text.source is data
        assert text.codec == "utf-8"
