"""What stands in the email, and what a browser would ask for."""

import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from clicktrail.redirect.location import location

SAME = [
    "https://example.com",
    "http://example.com/",
    "https://example.com:8443/a/b;c=d/?q=1&r=%20+a%2Fb#frag/ment?x",
    "HTTPS://EXAMPLE.COM/%7euser/%E2%9C%93",
    "http://user:pass@example.com/",
    "http://[2001:db8::1]:8080/x",
    "http://192.0.2.1/?a[]=1&a[]=2",
    "https://example.com/?next=https://other.example/?a=b&c=d",
    "https://example.com/!$&()*+,;=:@~-._",
    "https://under_score.example/x",
    "https://example.com/100%",
    "https://xn--e1afmkfd.xn--p1ai/",
    "https://example.com/?q=a|b",
]


@pytest.mark.parametrize("url", SAME)
def test_a_url_that_is_ascii_already_stays_as_it_is(url: str) -> None:
    assert location(url) == url.encode()


CHANGED = {
    # host: UTS #46 and Punycode, label by label
    "https://пример.рф/": "https://xn--e1afmkfd.xn--p1ai/",
    "https://Bücher.example/": "https://xn--bcher-kva.example/",
    "https://straße.de/": "https://xn--strae-oqa.de/",
    "https://例え。テスト/": "https://xn--r8jz45g.xn--zckzah/",
    "https://ＷＷＷ．example/": "https://www.example/",
    "https://💩.la/": "https://xn--ls8h.la/",
    "https://under_scöre.example/": "https://xn--under_scre-lcb.example/",
    "https://bücher.example:8080/": "https://xn--bcher-kva.example:8080/",
    "http://me:pä@bücher.example/": "http://me:p%C3%A4@xn--bcher-kva.example/",
    # path, query, fragment: UTF-8, each by its own set
    "https://example.com/ü?ü#ü": "https://example.com/%C3%BC?%C3%BC#%C3%BC",
    "https://example.com/a b?a b#a b": "https://example.com/a%20b?a%20b#a%20b",
    'https://example.com/"<>`{}^?"<>\'#"<>`': (
        "https://example.com/%22%3C%3E%60%7B%7D%5E?%22%3C%3E%27#%22%3C%3E%60"
    ),
    "https://example.com/it's?`{}^": "https://example.com/it's?`{}^",
    "https://example.com/%20%zz%ü": "https://example.com/%20%zz%%C3%BC",
    "https://example.com/😀": "https://example.com/%F0%9F%98%80",
    # what a browser repairs
    "http:\\\\example.com\\a\\b?c\\d": "http://example.com/a/b?c\\d",
    "https:example.com/a": "https://example.com/a",
    "https:////example.com/a b": "https://example.com/a%20b",
    " \t\nhttps://example.com/a\r\nb\tc \x00": "https://example.com/abc",
    # no header is ever split, and nothing is ever without an answer
    "https://example.com/\r\nSet-Cookie: a=b": "https://example.com/Set-Cookie:%20a=b",
    "https://example.com/a\x00b": "https://example.com/a%00b",
    "https://example.com/\x00\x1f\x7f\x80": "https://example.com/%00%1F%7F%C2%80",
    "https://example.com/\ud800": "https://example.com/%EF%BF%BD",
    "https://exa mple.com/": "https://exa%20mple.com/",
    "https://\ufffd.example/": "https://%EF%BF%BD.example/",
    'https://"ü.example/': "https://xn--%22-eha.example/",
}


@pytest.mark.parametrize("url", CHANGED)
def test_a_url_becomes_ascii_as_in_a_browser(url: str) -> None:
    assert location(url).decode() == CHANGED[url]


ALLOWED = set((string.ascii_letters + string.digits + string.punctuation).encode()) - set(b'"<>')


@given(st.text(), st.sampled_from(["", "http://", "https://", "https:", "http://a/", "http://a/?"]))
@example("\r\n\r\n", "http://")
@example("\u2028\u0085", "http://a/")
@example("xn--\ud800", "http://")
@example("a" * 70 + "é", "http://")
def test_whatever_comes_is_printable_ascii_without_quotes_or_brackets(
    text: str, start: str
) -> None:
    assert set(location(start + text)) <= ALLOWED


@given(st.text(alphabet=st.characters(codec="ascii", min_codepoint=0x21)))
def test_to_make_a_location_twice_changes_nothing_more(text: str) -> None:
    once = location("https://example.com/" + text)
    assert location(once.decode()) == once
