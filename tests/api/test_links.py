"""The library's links: what a program makes and opens with nothing but keys."""

from pathlib import Path

import pytest

from clicktrail.api import InvalidInput, InvalidToken, Reason, Tracking, new_keys
from clicktrail.base.ids import new_id
from clicktrail.keys.ringfile import KeyFile
from clicktrail.model import OPEN_LINK, UNSUBSCRIBE_LINK, Subscription
from support.service import email_with, hrefs, html_of

HTML = '<p><a href="https://a.example/?q=1&amp;r=2">A</a> <a href=http://b.example/>B</a></p>'


def test_an_email_is_tracked_and_its_links_open() -> None:
    tracking = Tracking(new_keys(), "Click.example.com")
    raw = email_with(HTML).as_bytes()
    done = tracking.rewrite_email(raw)
    assert done.reason is None
    assert [link.url for link in done.links] == ["https://a.example/?q=1&r=2", "http://b.example/"]
    made = hrefs(html_of(done.message))
    assert made[0].startswith("https://click.example.com/c/")
    assert made[1].startswith("http://click.example.com/c/")
    for number, link in enumerate(made):
        for way in (link, link[link.index("/c/") :], link.rpartition("/")[2], f"{link}?utm=1"):
            opened = tracking.open(way)
            assert (opened.link, opened.message_id) == (number, done.message_id)
            assert opened.url == done.links[number].url
    assert tracking.rewrite_email(done.message).reason is Reason.NO_LINKS, "they are its own"
    assert tracking.rewrite_email(b"\xff\0").message == b"\xff\0"


def test_html_goes_on_where_the_last_left_off() -> None:
    tracking = Tracking(new_keys(), "click.example.com", https="required")
    first = tracking.rewrite_html(HTML)
    second = tracking.rewrite_html(HTML, first.message_id, first=len(first.links))
    opened = [tracking.open(link) for each in (first, second) for link in hrefs(each.html)]
    assert [each.link for each in opened] == [0, 1, 2, 3]
    assert {each.message_id for each in opened} == {first.message_id}
    assert all(link.startswith("https://") for link in hrefs(first.html))
    plain = Tracking(new_keys(), "click.example.com:8080", https=False).rewrite_html(HTML)
    assert all(link.startswith("http://click.example.com:8080/") for link in hrefs(plain.html))


def test_a_location_is_ascii_whatever_the_link_was() -> None:
    tracking = Tracking(new_keys(), "click.example.com")
    done = tracking.rewrite_html('<a href="https://пример.рф/?q=ö&quot;x">x</a>')
    [link] = hrefs(done.html)
    location = tracking.open(link).location
    assert location == "https://xn--e1afmkfd.xn--p1ai/?q=%C3%B6%22x"


def test_a_key_file_is_that_of_a_service(tmp_path: Path) -> None:
    """What one has made the other opens, with a key that was added meanwhile too."""
    keys = KeyFile(tmp_path / "keys.json")
    keys.create_if_missing()
    tracking, other = (Tracking(keys.path, "t.example") for _ in range(2))
    old = tracking.rewrite_html(HTML)
    keys.rotate()
    new = tracking.rewrite_html(HTML)
    for done in (old, new):
        [link, _] = hrefs(done.html)
        assert other.open(link).message_id == done.message_id
        assert keys.open(link.rpartition("/")[2]).message_id == done.message_id
    assert keys.open(hrefs(new.html)[0].rpartition("/")[2]).key_id == 2


@pytest.mark.parametrize("link", ["", "/c/", "x" * 90, "http://[/c/x", "https://a.example/", "é"])
def test_what_is_no_link_of_ours_is_refused(link: str) -> None:
    tracking = Tracking(new_keys(), "t.example")
    with pytest.raises(InvalidToken):
        tracking.open(link)
    [foreign, _] = hrefs(Tracking(new_keys(), "t.example").rewrite_html(HTML).html)
    with pytest.raises(InvalidToken):
        tracking.open(foreign)


def test_what_cannot_be_used_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="what is given is not a key ring"):
        Tracking(b"{}", "t.example")
    with pytest.raises(InvalidInput, match="nowhere"):
        Tracking(tmp_path / "nowhere", "t.example")
    with pytest.raises(InvalidInput, match=r"t\.\.example"):
        Tracking(new_keys(), "t..example")
    with pytest.raises(InvalidInput, match="https = 'always'"):
        Tracking(new_keys(), "t.example", https="always")
    with pytest.raises(InvalidInput, match="id"):
        Tracking(new_keys(), "t.example").rewrite_html(HTML, "42")


@pytest.mark.parametrize(
    ("link", "text"),
    [(OPEN_LINK, ""), (UNSUBSCRIBE_LINK, Subscription("news", "", "a@example.org").packed())],
)
def test_what_is_no_link_to_be_followed_leads_nowhere(tmp_path: Path, link: int, text: str) -> None:
    file = KeyFile(tmp_path / "keys.json")
    file.create_if_missing()
    token = file.ring().seal(new_id(), link, text)
    with pytest.raises(InvalidToken, match="no link to be followed"):
        Tracking(file.path, "click.example.com").open(f"https://click.example.com/c/{token}")
