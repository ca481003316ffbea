"""The image that tells of opens: where a browser shows it, and nothing else changes."""

import re
from dataclasses import replace
from random import Random

import pytest

from clicktrail.model import Reason
from clicktrail.rewrite import Policy, Rewritten, rewrite_message
from clicktrail.rewrite.pixel import NO_PLACE, PLACEHOLDER
from clicktrail.rewrite.shown import MOST
from links.casefile import decode, is_own, tracking_link
from links.documents import document, simple_document
from links.envelopes import Envelope, plain, random_envelope
from support.endings import ENDLESS, ENDS, LINK, email_of
from support.pixels import IMAGE, PIXEL, has_place, is_shown
from support.rewrite_checks import check_wire

PLAIN = Policy(link=tracking_link, is_own=is_own)
OPENS = replace(PLAIN, pixel=PIXEL)
OPENS_ALONE = replace(OPENS, links=False)
LINES = f"{' ' * 70}\r\n" * 130
HERE = PLACEHOLDER.decode()


def rewritten(html: str, policy: Policy = OPENS_ALONE) -> str:
    return rewrite_message(email_of(html), policy).message.decode().partition("\r\n\r\n")[2]


@pytest.mark.parametrize(
    ("html", "behind"),
    [
        *ENDS,
        ("", ""),
        ("text", "text"),
        (f"{LINK}<template></body></template>", "</body></template>"),
        (f"<TEMPLATE>{LINK}</template></body>", "</template>"),
        (f"<template>{LINK}</body></template>end", "</template>end"),
        (f"<p>{LINES}</p></body>{LINES}", "</p>"),
    ],
)
@pytest.mark.parametrize("policy", [OPENS, OPENS_ALONE], ids=["with links", "alone"])
def test_it_stands_at_the_end_of_what_a_browser_shows(
    html: str, behind: str, policy: Policy
) -> None:
    done = rewritten(html, policy)
    [found] = IMAGE.finditer(done)
    assert done[: found.start()].endswith(behind)
    assert IMAGE.sub("", done) == rewritten(html, replace(policy, pixel=None))
    assert is_shown(done)


@pytest.mark.parametrize(
    "html",
    [
        *ENDLESS,
        f"{LINK}<template>not closed </body>",
        f"{LINK}<!--[if mso]></body>",
    ],
)
def test_where_nothing_is_shown_there_is_none_and_a_warning_says_so(html: str) -> None:
    result = rewrite_message(email_of(html), OPENS)
    assert (result.pixel, result.links != ()) == (False, True)
    assert PIXEL.encode() not in result.message
    assert NO_PLACE in result.warnings
    assert rewrite_message(email_of(html), OPENS_ALONE).message == email_of(html)


@pytest.mark.parametrize(
    ("html", "behind"),
    [
        (f"<template><!--a--!></template><svg><path d='M0'/></svg>{LINK}</body>", "</a>"),
        # Where drawings and templates end in these, a parser tells.
        (f"<a><svg><style/></svg></a>{LINK}</body>", "</a>"),
        (f"<math><mi><svg></mi></math>{LINK}</body></html>", "</a>"),
        (f"<svg><![CDATA[</svg>]]></svg>{LINK}</body>", "</a>"),
        (f"<svg><template>{LINK}</template></svg></body>", "</svg>"),
        (f"<p><template><svg></template>{LINK}</p></body>", "</p>"),
        # It would end the drawing, so it comes behind what is drawn.
        (f"{LINK}<svg></body><path d='M0'/>", "<path d='M0'/>"),
    ],
)
def test_it_stands_behind_drawings_and_templates(html: str, behind: str) -> None:
    done = rewritten(html)
    [found] = IMAGE.finditer(done)
    assert done[: found.start()].endswith(behind)
    assert IMAGE.sub("", done) == html
    assert is_shown(done)


def test_in_a_drawing_or_a_template_that_is_not_closed_a_placeholder_stays() -> None:
    html = f"{LINK}<svg><text>{HERE}</text><path d='M0'/></svg><template><svg>{HERE}</template>"
    done = rewritten(html)
    assert IMAGE.sub("", done) == html
    assert IMAGE.search(done)
    done = rewritten(f"<svg><desc>{HERE}</desc></svg>{LINK}")
    assert IMAGE.sub(HERE, done) == f"<svg><desc>{HERE}</desc></svg>{LINK}"


def test_a_document_with_frames_has_no_body_and_no_image() -> None:
    for html in (f"<frameset><frame src=a></frameset>{LINK}", f"<FRAMESET>{HERE}{LINK}"):
        result = rewrite_message(email_of(html), OPENS)
        assert not result.pixel
        assert NO_PLACE in result.warnings
    assert is_shown(rewritten(f"{LINK}<p>frameset</p>"))  # text


def test_a_header_that_nothing_follows_gets_no_image() -> None:
    for raw in (
        b"Content-Type: text/html\r\n",
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n--b--",
    ):
        result = rewrite_message(raw, OPENS)
        assert (result.message, result.pixel) == (raw, False)


def test_utf_16_that_was_sent_as_it_is_is_encoded_where_that_brings_nuls() -> None:
    """Against RFC 2781 § 4, and read as other characters: without NULs it passes all the same."""
    raw = email_of(LINK, encoding="8bit").replace(b"utf-8", b"utf-16")
    result = rewrite_message(raw, OPENS)
    assert result.pixel
    assert b"Content-Transfer-Encoding: quoted-printable" in result.message
    check_wire(raw, result.message)


def test_what_is_too_large_for_the_parser_has_none() -> None:
    html = f"<svg><![CDATA[x]]></svg>{LINK}{'x' * MOST}</body>"
    result = rewrite_message(email_of(html, encoding="base64"), OPENS)
    assert (result.pixel, len(result.links)) == (False, 1)
    assert NO_PLACE in result.warnings


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("<body><p>above ", f" below</p>{LINK}</body>"),
        (f"{LINK}<td>", "</td></body></html>"),
        (f"<!-- {HERE} --><p title='{HERE}'>", "</p></body>"),
        (f"<template>{HERE}</template><style>{HERE}</style>{LINK}", LINK),
        (f"<!--[if mso]>{HERE}<![endif]-->", f"{HERE}</body>"),
    ],
)
def test_it_stands_where_the_placeholder_is_shown(before: str, after: str) -> None:
    for policy in (OPENS_ALONE, OPENS):
        done = rewritten(f"{before}{HERE}{after}", policy)
        links = replace(policy, pixel=None)
        [found] = IMAGE.finditer(done)
        assert "block" not in found[0]
        assert done[: found.start()] == rewritten(before, links)
        assert done[found.end() :].endswith(after if policy is OPENS_ALONE else "")
        assert is_shown(done)


def test_a_placeholder_that_is_not_shown_stays_and_the_image_is_at_the_end() -> None:
    html = f"<!-- {HERE} --><body title='{HERE}'>text"
    assert rewritten(html) == html + IMAGE.findall(rewritten(html))[0]


def test_without_being_asked_there_is_none_and_a_placeholder_stays() -> None:
    for html in (f"<body>{LINK}</body>", f"<body>{HERE}</body>"):
        assert PIXEL not in rewritten(html, PLAIN)
    assert rewritten(f"<p>{HERE}{LINK}", PLAIN).startswith(f"<p>{HERE}<a ")


def test_opens_alone_leave_links_and_their_attributes_as_they_are() -> None:
    tagged = LINK.replace("<a", '<a postbox:tags="a:b" ses:no-track')
    html = f"<body>{tagged}</body>"
    result = rewrite_message(email_of(html), OPENS_ALONE)
    assert (result.reason, result.links, result.pixel) == (Reason.OFF, (), True)
    assert IMAGE.sub("", result.message.decode()).encode() == email_of(html)


def test_an_email_without_links_has_it_too() -> None:
    raw = email_of('<body postbox:tags="a:b"><a href="mailto:a@b.c">x</a></body>')
    result = rewrite_message(raw, OPENS)
    assert (result.reason, result.links, result.pixel) == (Reason.NO_LINKS, (), True)
    assert IMAGE.sub("", result.message.decode()).encode() == raw


def test_beside_the_hidden_link_it_stands_in_the_body_too() -> None:
    done = rewritten(f"<body>{LINK}</body>", replace(OPENS, honeypot=True))
    assert re.search(rf"</a><a [^>]*></a>{IMAGE.pattern}</body>\Z", done)


def test_rewritten_again_it_stays_one() -> None:
    for policy in (OPENS, OPENS_ALONE):
        once = rewrite_message(email_of(f"<body>{LINK}</body>"), policy).message
        other = replace(policy, pixel=PIXEL.rpartition("/")[0] + "/of-another-email")
        assert rewrite_message(once, other).message == once


def test_only_the_first_html_part_gets_it() -> None:
    parts = "\r\n".join(
        f"--b\r\nContent-Type: {kind}\r\n\r\n<body>{inner}</body>\r\n"
        for kind, inner in (("text/plain", "t"), ("text/html", "none"), ("text/html", LINK))
    )
    raw = f'Content-Type: multipart/mixed; boundary="b"\r\n\r\n{parts}--b--\r\n'.encode()
    html = rewrite_message(raw, OPENS).message.decode()
    assert len(IMAGE.findall(html)) == 1
    assert "<body>none<img " in html
    attached = raw.replace(b"text/html", b"text/html\r\nContent-Disposition: attachment")
    assert rewrite_message(attached, OPENS) == Rewritten(attached, reason=Reason.NO_HTML)
    signed = raw.replace(b"multipart/mixed", b"multipart/signed")
    assert rewrite_message(signed, OPENS).message == signed


@pytest.mark.parametrize(
    ("charset", "encoding"),
    [
        (charset, encoding)
        for charset in ("utf-8", "utf-16", "iso-2022-jp", "windows-1251")
        for encoding in ("7bit", "8bit", "quoted-printable", "base64")
        if charset != "utf-16" or encoding not in ("7bit", "8bit")  # it is not sent so
    ],
)
@pytest.mark.parametrize("end", ["</body></html>\r\n", "\r\n", "", "=", " ", HERE + "</body>"])
def test_it_survives_every_charset_and_encoding(charset: str, encoding: str, end: str) -> None:
    text = {"iso-2022-jp": "日本", "windows-1251": "Привет", "utf-16": "Ω"}.get(charset, "é")
    text = "e" if encoding == "7bit" and charset != "iso-2022-jp" else text
    html = f"<html><body><p>{text}</p>{LINK}{'long ' * 30}{end}"
    result = rewrite_message(email_of(html, charset, encoding), OPENS_ALONE)
    head, _, body = result.message.partition(b"\r\n\r\n")
    after = decode(body, head.decode().rpartition(": ")[2]).decode(charset)
    assert IMAGE.sub(HERE if HERE in html else "", after) == html
    assert len(IMAGE.findall(after)) == 1
    assert max(map(len, body.split(b"\r\n"))) <= 998


@pytest.mark.parametrize("first", range(0, 2000, 500))
def test_in_documents_of_every_kind_all_else_is_as_without_it(first: int) -> None:
    check_documents(first, 500)


@pytest.mark.long
@pytest.mark.parametrize("first", range(10_000, 30_000, 1000))
def test_in_twenty_thousand_documents_all_else_is_as_without_it(first: int) -> None:
    check_documents(first, 1000)


def check_documents(first: int, count: int) -> None:
    shown = 0
    for seed in range(first, first + count):
        rng = Random(seed)
        text = (document if seed % 4 else simple_document)(rng)
        if seed % 7 == 0:
            place = rng.randrange(len(text) + 1)
            text = text[:place] + HERE + text[place:]
        envelope = random_envelope(rng, text) if seed % 2 else plain(text)
        shown += check_document(envelope, seed)
    assert shown > count / 2


def check_document(envelope: Envelope, seed: int) -> bool:
    raw = envelope.raw
    before = envelope.text_of(raw)
    pixels = 0
    for policy in (OPENS, OPENS_ALONE):
        without = rewrite_message(raw, replace(policy, pixel=None))
        result = rewrite_message(raw, policy)
        assert (result.links, result.reason) == (without.links, without.reason), seed
        after = envelope.text_of(result.message)
        found = IMAGE.findall(after)
        assert len(found) == result.pixel, seed
        assert result.pixel or result.message == without.message, seed
        assert result.pixel or NO_PLACE in result.warnings, seed
        if not found:
            assert envelope.ends_escaped or not has_place(after), (seed, after)
            continue
        check_wire(raw, result.message)
        expected = envelope.text_of(without.message) if policy.links else before
        bare = [IMAGE.sub(each, after) for each in ("", HERE)]
        assert expected in bare, seed
        assert is_shown(after), (seed, after)
        pixels += 1
    return pixels == 2
