"""Tracking link tokens: what is sealed comes back, and nothing else opens."""

import random
import string
from base64 import urlsafe_b64decode, urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clicktrail.base.ids import new_id
from clicktrail.errors import InvalidInput, InvalidToken, NotFound
from clicktrail.keys.packing import MAX_URL
from clicktrail.keys.token import KEY_SIZE, PASSES, Key, KeyRing, TrackingHosts
from clicktrail.model import HttpsPolicy
from clicktrail.model.anonymous import (
    anonymous_origin,
    provider_in,
    read_anonymous,
    set_in,
    set_mark,
)

ONE = Key(1, bytes(range(KEY_SIZE)), 0)
TWO = Key(2, bytes(range(1, KEY_SIZE + 1)), 1)
RING = KeyRing([ONE])
URL_OF_100 = (
    "https://shop.example.com/catalogue/item/48151623?utm_source=newsletter&utm_medium=email&q=a%20b#reviews"
)[:100]


@given(st.text(max_size=300), st.integers(0, 100_000))
def test_what_is_sealed_opens(url: str, link: int) -> None:
    message_id = new_id()
    opened = RING.open(RING.seal(message_id, link, url))
    assert (opened.message_id, opened.link, opened.url) == (message_id, link, url)
    assert opened.key_id == 1


@pytest.mark.parametrize(
    ("token", "url"),
    [
        ("AgECDaiF1iDrhR9KNDXAMt5bx8YvpxEii-uzGFfpK2mQBmojJUneFZo", "http://a/"),
        (
            "AgFQQ1v1xLATI4G8n-qKwRlA6xW2AUjqLUnbtgBLbyo6odUAhzGfmlDJIcv8ouwxkfAUzs3WHv7g1g",
            "https://www.shop.example/sale?utm_source=newsletter&utm_medium=email",
        ),
        ("AgFLkMrba3Eo_5e5tffmeCfX1U4oAEU_vNRftvVsYbZb3spgPEPaxCAe", "ftp://x/"),
        ("AgH40dWyFqYq5q4SnLC4n-ehuJ9uhsMVVGIySs3UN7K1ax1Swnq2Jjn3uw", "https://h/é"),
    ],
)
def test_links_in_emails_of_long_ago_open(token: str, url: str) -> None:
    opened = RING.open(token)
    assert (opened.message_id, opened.link, opened.url) == ("0123456789abcdefghijk", 3, url)


@given(st.text(max_size=300), st.integers(0, 100_000), st.booleans())
def test_a_link_says_its_configuration_set(url: str, link: int, passes: bool) -> None:
    message_id = new_id()
    token = RING.sealer(message_id, "news").seal(link | PASSES if passes else link, url)
    opened = RING.open(token)
    assert (opened.message_id, opened.link, opened.url) == (message_id, link, url)
    assert (opened.passes, opened.mark) == (passes, set_mark("news"))
    assert set_mark("news") != set_mark("News")
    assert RING.open(RING.seal(message_id, link, url)).mark == b""


@given(st.text(max_size=300), st.integers(0, 100_000), st.booleans())
def test_an_anonymous_link_says_set_provider_and_day(url: str, link: int, passes: bool) -> None:
    at = 20_000 * 86_400_000_000 + 5
    origin = anonymous_origin("news", "anna@gmail.com", at)
    token = RING.anonymous_sealer(origin).seal(link | PASSES if passes else link, url)
    opened = RING.open(token)
    assert (opened.link, opened.url, opened.passes) == (link, url, passes)
    assert opened.mark == set_mark("news")
    read = read_anonymous(opened.message_id)
    assert (read, read.at) == (origin, at - 5)
    assert provider_in(read) == "Google"
    assert set_in(read, ["other", "news"]) == "news"
    assert set_in(read, ["other"]) == ""
    # All who get it from one provider on one day get the same.
    again = anonymous_origin("news", "berta@googlemail.com", at + 1000)
    assert RING.anonymous_sealer(again).seal(link, url) == RING.anonymous_sealer(origin).seal(
        link, url
    )


def test_a_lone_surrogate_survives() -> None:
    assert RING.open(RING.seal(new_id(), 0, "http://h/\udc80")).url == "http://h/\udc80"


def test_sealing_is_deterministic() -> None:
    message_id = new_id()
    assert RING.seal(message_id, 3, "http://a/") == RING.seal(message_id, 3, "http://a/")
    assert RING.seal(message_id, 3, "http://a/") != RING.seal(message_id, 4, "http://a/")


def test_a_token_needs_no_quoting_and_stays_short() -> None:
    token = RING.seal(new_id(), 7, URL_OF_100)
    assert set(token) <= set(string.ascii_letters + string.digits + "-_")
    assert len(token) <= 170


def test_the_url_cannot_be_read_from_the_token() -> None:
    token = RING.seal(new_id(), 0, "http://secret.example/")
    assert b"secret" not in urlsafe_b64decode(token + "=" * (-len(token) % 4))


def test_the_longest_url_fits_and_a_longer_one_is_refused() -> None:
    chance = random.Random(1)
    url = "".join(chance.choices(string.ascii_letters, k=MAX_URL))
    assert RING.open(RING.seal(new_id(), 0, url)).url == url
    with pytest.raises(InvalidInput, match="too long"):
        RING.seal(new_id(), 0, url + "x")


def test_no_other_text_opens() -> None:
    chance = random.Random(2)
    token = RING.seal(new_id(), 0, URL_OF_100)
    alphabet = string.ascii_letters + string.digits + "-_"
    forged = {"", "A", "é", token + "=", token + "A", token + "\n", token.swapcase(), "%41" + token}
    forged |= {token[:cut] for cut in range(len(token))}
    for place in range(len(token)):
        forged |= {token[:place] + letter + token[place + 1 :] for letter in alphabet}
    while len(forged) < 20_000:
        forged.add("".join(chance.choices(alphabet, k=chance.randrange(300))))
    forged.discard(token)
    for text in forged:
        with pytest.raises(InvalidToken):
            RING.open(text)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_do_not_open(raw: bytes) -> None:
    with pytest.raises(InvalidToken):
        RING.open(urlsafe_b64encode(raw).rstrip(b"=").decode())


def test_new_links_use_the_newest_key_and_old_links_keep_working() -> None:
    message_id = new_id()
    old = RING.seal(message_id, 0, "http://a/")
    rotated = KeyRing([ONE, TWO])
    assert rotated.open(old).key_id == 1
    assert rotated.open(rotated.seal(message_id, 0, "http://a/")).key_id == 2


def test_a_retired_key_opens_nothing() -> None:
    old = RING.seal(new_id(), 0, "http://a/")
    with pytest.raises(InvalidToken, match="not on the key ring"):
        KeyRing([ONE, TWO]).without(1).open(old)


def test_the_newest_key_cannot_be_retired() -> None:
    with pytest.raises(InvalidInput, match="rotate first"):
        KeyRing([ONE, TWO]).without(2)
    with pytest.raises(NotFound, match="no key 9"):
        RING.without(9)


def test_an_empty_ring_and_a_short_key_are_refused() -> None:
    with pytest.raises(InvalidInput, match="empty"):
        KeyRing([])
    with pytest.raises(InvalidInput, match="key 3"):
        KeyRing([Key(3, b"short", 0)])


def test_own_tracking_links_are_known_on_any_host() -> None:
    token = RING.seal(new_id(), 0, "http://a/")
    assert RING.is_tracking_link(f"https://track.example.com/c/{token}")
    assert RING.is_tracking_link(f"http://127.0.0.1:8480/c/{token}?utm_source=x#y")
    assert not RING.is_tracking_link(f"http://h/c/{token}x")
    assert not RING.is_tracking_link(f"http://h/x/{token}")
    assert not RING.is_tracking_link("http://h/c/about")
    assert not RING.is_tracking_link("http://[/c/about")


def test_a_tracking_link_has_the_scheme_of_its_link() -> None:
    hosts = TrackingHosts("t.example:8080", "t.example")
    assert hosts.prefix("http://a/", HttpsPolicy.OPTIONAL) == "http://t.example:8080/c/"
    assert hosts.prefix("HTTPS://a/", HttpsPolicy.OPTIONAL) == "https://t.example/c/"
    assert hosts.prefix("http://a/", HttpsPolicy.REQUIRE) == "https://t.example/c/"
    always = TrackingHosts("t.example:8080", "t.example", "http")
    assert always.prefix("https://a/", HttpsPolicy.OPTIONAL) == "http://t.example:8080/c/"
