"""Who clicked: the address that cannot have been invented."""

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clicktrail.doors.forwarded import Visitors, peer_address
from clicktrail.model import Request as Shown
from clicktrail.redirect.visitor import USER_AGENT_LIMIT, Visitor, look, seen_before

PROXIES = [ip_network("10.0.0.0/8"), ip_network("2001:db8:aaaa::/48")]


class Request:
    """The headers of a request."""

    def __init__(self, peer: str, *headers: str) -> None:
        self.peer = peer
        pairs = [header.partition(":") for header in headers]
        self._headers = [
            (name.strip().lower().encode(), value.strip().encode("latin-1"))
            for name, _, value in pairs
        ]

    def header(self, name: bytes) -> bytes | None:
        return next(iter(self.headers(name)), None)

    def headers(self, name: bytes) -> list[bytes]:
        return [value for other, value in self._headers if other == name]


def shown(*headers: str) -> Visitor:
    fields = "\r\n".join(["", *headers, ""]).encode("latin-1")
    found = look(fields)
    assert seen_before(fields) == seen_before(fields) == found
    return found


def address(peer: str, *headers: str) -> str:
    return Visitors(PROXIES).address(Request(peer, *headers))


# Peer, headers, and the client's address.
CASES = [
    # No proxy of ours: the headers are the client's own invention.
    ("192.0.2.1", [], "192.0.2.1"),
    ("192.0.2.1", ["X-Forwarded-For: 203.0.113.9"], "192.0.2.1"),
    ("192.0.2.1", ["Forwarded: for=203.0.113.9"], "192.0.2.1"),
    ("2001:db8::1", ["X-Forwarded-For: 203.0.113.9"], "2001:db8::1"),
    # One proxy of ours.
    ("10.0.0.1", [], "10.0.0.1"),
    ("10.0.0.1", ["X-Forwarded-For: 203.0.113.9"], "203.0.113.9"),
    ("10.0.0.1", ["X-Forwarded-For: 6.6.6.6, 203.0.113.9"], "203.0.113.9"),
    ("10.0.0.1", ["X-Forwarded-For: 6.6.6.6", "X-Forwarded-For: 203.0.113.9"], "203.0.113.9"),
    ("10.0.0.1", ["X-Forwarded-For: 203.0.113.9:4711"], "203.0.113.9"),
    ("10.0.0.1", ["X-Forwarded-For: 2001:DB8::9"], "2001:db8::9"),
    ("10.0.0.1", ["X-Forwarded-For: [2001:db8::9]:4711"], "2001:db8::9"),
    ("10.0.0.1", ["X-Forwarded-For: ::ffff:203.0.113.9"], "203.0.113.9"),
    ("2001:db8:aaaa::5", ["X-Forwarded-For: 203.0.113.9"], "203.0.113.9"),
    ("10.0.0.1", ["X-Forwarded-For: fe80::1%<b>x"], "fe80::1"),
    # Several proxies of ours.
    ("10.0.0.1", ["X-Forwarded-For: 6.6.6.6, 203.0.113.9, 10.0.0.2"], "203.0.113.9"),
    ("10.0.0.1", ["X-Forwarded-For: 203.0.113.9, [2001:db8:aaaa::1]:80, 10.2.2.2"], "203.0.113.9"),
    ("10.0.0.1", ["X-Forwarded-For: 10.0.0.9, 10.0.0.2"], "10.0.0.9"),
    # A proxy that does not tell: what lies behind is not known, what is said of it not believed.
    ("10.0.0.1", ["X-Forwarded-For: 6.6.6.6, unknown"], "10.0.0.1"),
    ("10.0.0.1", ["X-Forwarded-For: 6.6.6.6, "], "10.0.0.1"),
    ("10.0.0.1", ["X-Forwarded-For: 6.6.6.6, nonsense, 10.0.0.2"], "10.0.0.2"),
    ("10.0.0.1", ["X-Forwarded-For: 203.0.113.999"], "10.0.0.1"),
    ("10.0.0.1", ["X-Forwarded-For: <script>"], "10.0.0.1"),
    ("10.0.0.1", ["X-Forwarded-For: \xff\xfe"], "10.0.0.1"),
    # RFC 7239 § 4, § 6, § 7.
    ("10.0.0.1", ["Forwarded: for=203.0.113.9"], "203.0.113.9"),
    ("10.0.0.1", ["Forwarded: For=203.0.113.9;proto=http;by=10.0.0.1"], "203.0.113.9"),
    ("10.0.0.1", ['Forwarded: for="[2001:db8:cafe::17]:4711"'], "2001:db8:cafe::17"),
    ("10.0.0.1", ['Forwarded: for="203.0.113.9:_port"'], "203.0.113.9"),
    ("10.0.0.1", ["Forwarded: for=6.6.6.6, for=203.0.113.9"], "203.0.113.9"),
    ("10.0.0.1", ["Forwarded: for=6.6.6.6", "Forwarded: for=203.0.113.9"], "203.0.113.9"),
    ("10.0.0.1", ['Forwarded: for="6.6.6.6, for=7.7.7.7", for=203.0.113.9'], "203.0.113.9"),
    ("10.0.0.1", ['Forwarded: host="a\\",for=7.7.7.7";for=203.0.113.9'], "203.0.113.9"),
    ("10.0.0.1", ["Forwarded: for=6.6.6.6, for=unknown"], "10.0.0.1"),
    ("10.0.0.1", ["Forwarded: for=6.6.6.6, for=_hidden"], "10.0.0.1"),
    ("10.0.0.1", ["Forwarded: for=6.6.6.6, by=10.0.0.1"], "10.0.0.1"),
    ("10.0.0.1", ["Forwarded: for=6.6.6.6;for=203.0.113.9"], "10.0.0.1"),
    ("10.0.0.1", ['Forwarded: for="6.6.6.6'], "10.0.0.1"),
    # Both: one of them may have come from the client, unless they agree.
    (
        "10.0.0.1",
        ["X-Forwarded-For: 203.0.113.9", "Forwarded: for=203.0.113.9"],
        "203.0.113.9",
    ),
    ("10.0.0.1", ["X-Forwarded-For: 203.0.113.9", "Forwarded: for=6.6.6.6"], "10.0.0.1"),
]


@pytest.mark.parametrize(("peer", "headers", "client"), CASES)
def test_the_client_is_the_last_address_that_is_vouched_for(
    peer: str, headers: list[str], client: str
) -> None:
    assert address(peer, *headers) == client


@given(
    st.text(alphabet=st.characters(codec="latin-1", exclude_characters="\r\n"), max_size=80),
    st.sampled_from(["X-Forwarded-For", "Forwarded"]),
)
def test_what_a_client_writes_before_the_proxys_entry_never_matters(said: str, name: str) -> None:
    entry = "203.0.113.9" if name == "X-Forwarded-For" else "for=203.0.113.9"
    found = address("10.0.0.1", f"{name}: {said}, {entry}")
    # An open quotation mark swallows the proxy's entry: then the proxy is all that is known.
    assert found == "203.0.113.9" or (found == "10.0.0.1" and '"' in said)


def test_the_peer_is_logged_as_ipv4_where_it_is() -> None:
    assert peer_address("::ffff:192.0.2.1") == "192.0.2.1"
    assert peer_address("192.0.2.1") == "192.0.2.1"
    assert peer_address("2001:db8::1") == "2001:db8::1"
    assert peer_address("fe80::1%eth0") == "fe80::1%eth0"


@pytest.mark.parametrize(
    ("header", "prefetch"),
    [
        ("Sec-Purpose: prefetch", True),
        ("Sec-Purpose: prefetch;prerender", True),
        ("Purpose: Prefetch", True),
        ("X-Moz: prefetch", True),
        ("Sec-Purpose: navigate", False),
        ("X-Purpose: prefetch", False),
        ("User-Agent: prefetch", False),
    ],
)
def test_programs_that_fetch_ahead_are_known_by_three_headers(header: str, prefetch: bool) -> None:
    assert shown(header).is_prefetch is prefetch


WINDOWS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko)"
    " Chrome/142.0.0.0 Safari/537.36"
)
FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0"
SAFARI = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15"
    " (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1"
)
DESKTOP_SITE = WINDOWS.replace("Windows NT 10.0; Win64; x64", "X11; Linux x86_64")
HTML = "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
HTML_LAST = "Accept: image/gif, image/jpeg, */*, text/html"
LANGUAGE = "Accept-Language: de"
NAVIGATE = "Sec-Fetch-Mode: navigate"
BRANDS = 'Sec-CH-UA: "Chromium";v="142", "Google Chrome";v="142", "Not_A Brand";v="99"'
ON_WINDOWS = 'Sec-CH-UA-Platform: "Windows"'
ON_LINUX = 'Sec-CH-UA-Platform: "Linux"'
ON_ANDROID = 'Sec-CH-UA-Platform: "Android"'


@pytest.mark.parametrize(
    ("agent", "headers", "expected"),
    [
        (WINDOWS, [], 0),
        (WINDOWS, ["Accept: */*"], 0),
        (WINDOWS, [HTML], Shown.HTML),
        (WINDOWS, [HTML_LAST], Shown.HTML),
        (WINDOWS, ["X-Accept: text/html", "X-Accept-Language: de"], 0),
        (WINDOWS, [HTML, LANGUAGE], Shown.HTML | Shown.LANGUAGE),
        (WINDOWS, ["accept-LANGUAGE:de"], Shown.LANGUAGE),
        (WINDOWS, [NAVIGATE], Shown.NAVIGATION),
        (WINDOWS, ["Sec-Fetch-Mode:navigate"], Shown.NAVIGATION),
        (WINDOWS, ["Sec-Fetch-Mode: cors"], Shown.SUBRESOURCE),
        (WINDOWS, [BRANDS], Shown.HINTS),
        (WINDOWS, [BRANDS, ON_WINDOWS], Shown.HINTS),
        (WINDOWS, [BRANDS, 'Sec-CH-UA-Platform: "Haiku"'], Shown.HINTS),
        (WINDOWS, ["Sec-CH-UA: nonsense"], Shown.HINTS),
        # The brand's own version beside Chromium's.
        (
            f"{WINDOWS} OPR/125.0.0.0",
            ['Sec-CH-UA: "Opera";v="125", "Chromium";v="142"'],
            Shown.HINTS,
        ),
        (DESKTOP_SITE, [BRANDS, ON_ANDROID], Shown.HINTS),
        (WINDOWS, [BRANDS.replace("142", "120")], Shown.HINTS | Shown.OTHER_HINTS),
        (WINDOWS, [BRANDS, ON_LINUX], Shown.HINTS | Shown.OTHER_HINTS),
        (FIREFOX, [BRANDS, ON_WINDOWS], Shown.HINTS | Shown.OTHER_HINTS),
        (SAFARI, [BRANDS], Shown.HINTS | Shown.OTHER_HINTS),
        ("Example/1.0 (Android 14)", [BRANDS, ON_ANDROID], Shown.HINTS),
        (
            WINDOWS,
            ['Sec-CH-UA: "Chromium";v="142", "HeadlessChrome";v="142"', ON_WINDOWS],
            Shown.HINTS | Shown.HEADLESS,
        ),
        (SAFARI, ["X-Purpose: preview"], Shown.PREVIEW),
        (SAFARI, ["Purpose: preview"], Shown.PREVIEW),
    ],
)
def test_a_request_shows_who_sends_it(agent: str, headers: list[str], expected: int) -> None:
    found = shown("Host: a.example", f"User-Agent: {agent}", *headers)
    assert found == Visitor(agent, Shown.LOOKED | expected, False)


def test_what_is_not_there_or_long_or_no_text_is_read_all_the_same() -> None:
    assert look(b"\r\n") == Visitor("", Shown.LOOKED, False)
    assert shown("user-agent:" + "x" * 5000).user_agent == "x" * USER_AGENT_LIMIT
    assert look(b"\r\nUser-Agent: \xff\r\n").user_agent == "\ufffd"
