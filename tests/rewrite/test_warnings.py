"""What the sender of an email is told: in the report, and with the email in the console."""

import pytest

from clicktrail.rewrite import Policy, Rewritten, rewrite_message
from clicktrail.rewrite.warn import CLIPPED_AT

URL = "https://www.example.com/account"


def rewritten(html: str, *, visible_urls: bool = True, report: bool = False) -> Rewritten:
    policy = Policy(
        link=lambda index, url: f"https://t.example/c/{index}{'x' * 150}",
        is_own=lambda url: False,
        visible_urls=visible_urls,
    )
    head = "Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    return rewrite_message(head.encode() + html.encode(), policy, report=report)


def warned(result: Rewritten, word: str) -> list[str]:
    return [warning for warning in result.warnings if warning.startswith(f"{word}: ")]


SHOWN = [
    URL,
    f"  {URL}\r\n",
    f"<b>{URL}</b>",
    f'<span style="color:red">\n<font>{URL}</font></span>',
    "www.example.com",
    "example.com",
    "Example.COM/account",
    "http://example.com/another?page",
    "https:&#x2f;&#47;www.example.com",
    f"{URL}<!-- x -->",
]


@pytest.mark.parametrize("text", SHOWN)
def test_a_link_that_shows_its_url_is_tracked_with_a_warning(text: str) -> None:
    for report in (False, True):
        result = rewritten(f'<a href="{URL}">{text}</a>', report=report)
        assert len(result.links) == 1
        assert len(warned(result, "visible-url")) == 1


@pytest.mark.parametrize("text", SHOWN)
def test_or_is_left_alone_where_the_set_says_so(text: str) -> None:
    html = f'<a href="{URL}">{text}</a><a href="{URL}">account</a>'
    result = rewritten(html, visible_urls=False, report=True)
    assert [row.why for row in result.report] == ["visible-url", "http"]
    assert result.message.count(b"t.example") == 1
    assert f'<a href="{URL}">{text}</a>'.encode() in result.message
    assert not warned(result, "visible-url")


@pytest.mark.parametrize(
    "text",
    [
        "account",
        "",
        "Version 1.2",
        "see https://www.example.com/account",
        "https://other.example/",
        "sub.example.com",
        '<img src="https://www.example.com/x.png">',
        "me@example.com",
        "example.com for you",
    ],
)
def test_any_other_text_is_no_url_of_the_link(text: str) -> None:
    html = f'<a href="{URL}">{text}</a>'
    assert not warned(rewritten(html), "visible-url")
    assert len(rewritten(html, visible_urls=False).links) == 1


def test_many_links_that_show_their_url_are_one_warning() -> None:
    (warning,) = warned(rewritten(f'<a href="{URL}">{URL}</a>' * 30), "visible-url")
    assert "29 more" in warning


def test_hosts_in_other_alphabets_are_compared_as_browsers_write_them() -> None:
    html = '<a href="https://xn--e1afmkfd.xn--p1ai/x">пример.рф</a>'
    assert warned(rewritten(html), "visible-url")


def test_links_bring_the_html_over_what_gmail_shows() -> None:
    link = '<a href="https://e.example/">x</a>\r\n'
    filling = ("y" * 98 + "\r\n") * ((CLIPPED_AT - 100 * len(link)) // 100)
    result = rewritten(filling + link * 100)
    (warning,) = warned(result, "size")
    before = len(filling + link * 100)
    after = len(result.message.partition(b"\r\n\r\n")[2])
    assert before < CLIPPED_AT < after
    assert f"from {before} to {after} bytes" in warning
    assert not warned(rewritten(filling + link * 5), "size")


def test_html_that_was_too_long_before_is_told_with_both_sizes() -> None:
    (warning,) = warned(rewritten(f'{"y" * CLIPPED_AT}<a href="{URL}">x</a>'), "size")
    assert str(CLIPPED_AT + len(URL) + 16) in warning


AMP = """Content-Type: multipart/alternative; boundary=b\r
\r
--b\r
Content-Type: text/x-amp-html\r
\r
<!doctype html><html amp4email><body><a href="https://s.example/amp">x</a></body></html>\r
--b\r
Content-Type: text/html\r
\r
<a href="https://s.example/html">x</a>\r
--b--\r
"""


def test_an_amp_part_is_named_and_stays() -> None:
    policy = Policy(link=lambda index, url: "https://t.example/c/x", is_own=lambda url: False)
    result = rewrite_message(AMP.encode(), policy)
    assert [link.url for link in result.links] == ["https://s.example/html"]
    assert b'<a href="https://s.example/amp">' in result.message
    (warning,) = warned(result, "amp")
    assert "text/x-amp-html" in warning


def test_in_the_report_a_text_that_names_another_host_looks_like_fraud() -> None:
    result = rewritten(f'<a href="{URL}">https://bank.example/</a>', report=True)
    assert warned(result, "phishing")
