"""URLs against the test data of the URL standard, and against a second implementation of it."""

import html
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pywhatwgurl import URL

from clicktrail.base.weburl import is_url, join, serialized
from clicktrail.redirect.location import location
from clicktrail.rewrite.html.url import classify

ROWS = json.loads(Path(__file__).with_name("url_test_data.json").read_text())["rows"]
ABSOLUTE = [row for row in ROWS if row[1] is None]
WITH_BASE = [row for row in ROWS if row[1] is not None and row[1].startswith("http")]


@pytest.mark.parametrize(("text", "base", "href"), ABSOLUTE)
def test_a_url_is_read_as_the_standard_reads_it(text: str, base: None, href: str | None) -> None:
    assert serialized(text) == href
    assert is_url(text) == (href is not None)


@pytest.mark.parametrize(("text", "base", "href"), WITH_BASE)
def test_a_relative_url_leads_where_the_standard_says(
    text: str, base: str, href: str | None
) -> None:
    assert join(base, text) == href


IN_HTML = [row for row in ABSOLUTE if "\0" not in row[0]]  # HTML replaces it


@pytest.mark.parametrize(("text", "base", "href"), IN_HTML)
def test_a_link_leads_where_a_browser_goes_or_is_left_alone(
    text: str, base: None, href: str | None
) -> None:
    url, why = classify(html.escape(text), None)
    if href is None:
        assert (url, why) == (None, "refused")
    elif href.startswith("http"):
        assert url is not None
        assert serialized(location(url).decode("ascii")) == href


def test_there_is_test_data() -> None:
    assert len(ABSOLUTE) > 100
    assert len(WITH_BASE) >= 150


PIECES = st.sampled_from(
    [
        *"/\\?#@:.%[]- ",
        "//",
        "..",
        "%2e",
        "a",
        "b.c",
        "example.com",
        "80",
        "x=1",
        "{{u}}",
        "1.2.3.4",
    ]
)


@given(st.lists(PIECES, max_size=8).map("".join))
def test_both_implementations_agree(rest: str) -> None:
    base = "https://base.example/d//e/f?q#f"
    for text in (f"http://{rest}", rest):
        try:
            expected = str(URL(text, base).href)
        except ValueError:
            expected = None
        assert join(base, text) == expected


@given(st.text(), st.sampled_from(["", "http://", "https:", "//", "www."]))
def test_any_text_is_a_url_or_none(text: str, start: str) -> None:
    written = serialized(start + text)
    assert is_url(start + text) == (written is not None)
    assert written is None or written.isascii()
