"""The hidden link: only where it is wanted, last in the body, and nothing else changes."""

import re

import pytest

from clicktrail.model import HONEYPOT_LINK, Reason
from clicktrail.rewrite import Policy, Rewritten, rewrite_message
from links.casefile import decode
from support.endings import ENDLESS, ENDS, LINK, URL, email_of

HIDDEN = re.compile(
    rf'<a href="https?://t\.example/c/{HONEYPOT_LINK}\.([^"]*)" tabindex="-1" aria-hidden="true"'
    r' style="display:none;visibility:hidden;mso-hide:all"></a>'
)


def policy(*, honeypot: bool = True) -> Policy:
    def link(index: int, url: str) -> str:
        return f"{url.partition(':')[0].lower()}://t.example/c/{index}.{url.encode().hex()}"

    return Policy(link=link, is_own=lambda url: "//t.example/c/" in url, honeypot=honeypot)


def rewritten(html: str) -> str:
    return rewrite_message(email_of(html), policy()).message.decode().partition("\r\n\r\n")[2]


def hidden_in(html: str) -> list[str]:
    """Return where the hidden links of a document lead."""
    return [bytes.fromhex(found[1]).decode() for found in HIDDEN.finditer(html)]


def test_without_being_asked_there_is_none() -> None:
    raw = email_of(f"<body>{LINK}</body>")
    result = rewrite_message(raw, policy(honeypot=False))
    assert result.links
    assert b"aria-hidden" not in result.message


def test_it_is_last_in_the_body_and_no_link_of_the_email() -> None:
    raw = email_of(f"<html><body><p>{LINK}</p>\r\n</body></html>\r\n")
    result = rewrite_message(raw, policy())
    html = result.message.decode()
    assert re.search(r"</p>\r\n<a href=[^<]*></a></body></html>\r\n\Z", html)
    assert hidden_in(html) == ["https://shop.example/"]
    assert [(link.index, link.url) for link in result.links] == [(0, URL)]


def test_all_else_is_as_without_it() -> None:
    raw = email_of(f"<html><body><p>{LINK}</p>\r\n</body></html>\r\n")
    plain = rewrite_message(raw, policy(honeypot=False))
    result = rewrite_message(raw, policy())
    assert HIDDEN.sub("", result.message.decode()).encode() == plain.message
    assert (result.links, result.warnings) == (plain.links, plain.warnings)


@pytest.mark.parametrize(("html", "behind"), ENDS)
def test_it_stands_where_a_browser_reads_it(html: str, behind: str) -> None:
    found = HIDDEN.search(rewritten(html))
    assert found is not None
    before = rewritten(html)[: found.start()]
    assert before.endswith(behind)


@pytest.mark.parametrize("html", ENDLESS)
def test_where_no_place_is_left_there_is_none(html: str) -> None:
    done = rewritten(html)
    assert "t.example/c/0." in done
    assert hidden_in(done) == []


@pytest.mark.parametrize("html", ["<body>no link</body>", '<body><a href="mailto:a@b.c">x</a>'])
def test_an_email_without_links_stays_untouched(html: str) -> None:
    result = rewrite_message(email_of(html), policy())
    assert result == Rewritten(email_of(html), reason=Reason.NO_LINKS)


@pytest.mark.parametrize(
    ("charset", "encoding"),
    [
        (charset, encoding)
        for charset in ("utf-8", "utf-16", "iso-2022-jp", "windows-1251")
        for encoding in ("7bit", "8bit", "quoted-printable", "base64")
        if charset != "utf-16" or encoding not in ("7bit", "8bit")  # it is not sent so
    ],
)
@pytest.mark.parametrize("end", ["</body></html>\r\n", "\r\n", "", "=", " "])
def test_it_survives_every_charset_and_encoding(charset: str, encoding: str, end: str) -> None:
    text = {"iso-2022-jp": "日本", "windows-1251": "Привет", "utf-16": "Ω"}.get(charset, "é")
    text = "e" if encoding == "7bit" and charset != "iso-2022-jp" else text
    html = f"<html><body><p>{text}</p>{LINK}{'long ' * 30}{end}"
    result = rewrite_message(email_of(html, charset, encoding), policy())
    head, _, body = result.message.partition(b"\r\n\r\n")
    name = head.decode().rpartition(": ")[2]
    after = decode(body, name).decode(charset)
    assert hidden_in(after) == ["https://shop.example/"]
    tracked = f'<a href="https://t.example/c/0.{URL.encode().hex()}">x</a>'
    assert HIDDEN.sub("", after) == html.replace(LINK, tracked)
    assert max(map(len, body.split(b"\r\n"))) <= 998


def test_only_one_part_gets_it_the_first_with_links() -> None:
    parts = "\r\n".join(
        f"--b\r\nContent-Type: text/html\r\n\r\n<body>{inner}</body>\r\n"
        for inner in ("none", LINK, LINK)
    )
    raw = f'Content-Type: multipart/mixed; boundary="b"\r\n\r\n{parts}--b--\r\n'.encode()
    html = rewrite_message(raw, policy()).message.decode()
    assert hidden_in(html) == ["https://shop.example/"]
    assert html.index("aria-hidden") < html.index("t.example/c/1.")


@pytest.mark.parametrize(
    ("url", "first"),
    [
        ("http://shop.example/a?b#c", "http://shop.example/"),
        ("HTTPS://Shop.example:8443", "https://Shop.example:8443/"),
        ("https://user:secret@shop.example/a", "https://shop.example/"),
        ("https://[2001:db8::1]/a", "https://[2001:db8::1]/"),
    ],
)
def test_it_leads_to_the_first_page_of_the_site_and_never_further(url: str, first: str) -> None:
    assert hidden_in(rewritten(f'<a href="{url}">x</a>')) == [first]


def test_rewritten_again_it_stays_one() -> None:
    once = rewrite_message(email_of(f"<body>{LINK}</body>"), policy()).message
    again = rewrite_message(once, policy())
    assert again.reason is Reason.NO_LINKS
    assert again.message == once
