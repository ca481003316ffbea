"""What is too big, too deep or too broken for a case file."""

import base64
import email
import email.policy
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clicktrail.model import Reason
from clicktrail.rewrite import Policy, Rewritten, rewrite_message
from links.casefile import encode, is_own, load_all, tracking_link
from links.judge import read_html5lib

TRACKING = Policy(link=tracking_link, is_own=is_own)
HEAD = b"Subject: x\r\nContent-Type: text/html; charset=utf-8\r\n"
LINK = b'<a href="http://example.com/">x</a>'
TRACKED = f'<a href="{tracking_link(0, "http://example.com/")}">x</a>'.encode()

rounds = settings(
    max_examples=150,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)


def rewrite(raw: bytes, policy: Policy = TRACKING) -> Rewritten:
    result = rewrite_message(raw, policy)
    assert (result.reason is None) == bool(result.links)
    assert result.reason is None or result.message == raw
    for link in result.links:
        link.url.encode()
        repr(link.tags).encode()
    return result


def payload(raw: bytes) -> tuple[bytes, str]:
    """Return the body of a single part, decoded, and its transfer encoding."""
    message = email.message_from_bytes(raw, policy=email.policy.compat32)
    assert not message.defects
    data = message.get_payload(decode=True)
    assert isinstance(data, bytes)
    values = message.get_all("Content-Transfer-Encoding", ["7bit"])
    assert len(values) == 1
    return data, str(values[0])


def longest_line(raw: bytes) -> int:
    return max(map(len, raw.split(b"\r\n")))


@pytest.mark.parametrize("encoding", ["7bit", "8bit"])
def test_a_line_made_too_long_becomes_quoted_printable(encoding: str) -> None:
    line = b"y" * 950 + LINK
    raw = HEAD + b"Content-Transfer-Encoding: %s\r\n\r\na \r\n" % encoding.encode() + line + b"\r\n"
    assert longest_line(raw) <= 998
    result = rewrite(raw)
    data, used = payload(result.message)
    assert used == "quoted-printable"
    assert data == b"a \r\n" + b"y" * 950 + TRACKED + b"\r\n"
    assert longest_line(result.message) <= 76  # RFC 2045 § 6.7 (5)
    head = result.message.partition(b"\r\n\r\n")[0]
    assert head == HEAD + b"Content-Transfer-Encoding: quoted-printable"


def test_without_an_encoding_header_a_long_line_adds_one() -> None:
    raw = HEAD + b"X-After: y\r\n\r\n" + b"y" * 950 + LINK + b"\r\n"
    result = rewrite(raw)
    data, used = payload(result.message)
    assert used == "quoted-printable"
    assert data == b"y" * 950 + TRACKED + b"\r\n"
    head = result.message.partition(b"\r\n\r\n")[0].split(b"\r\n")
    assert [line for line in head if not line.startswith(b"Content-Transfer")] == [
        *HEAD.rstrip().split(b"\r\n"),
        b"X-After: y",
    ]


@pytest.mark.parametrize("name", ["8-bit", "8bits", "7-bit", "hexa", "x" * 5000])
def test_the_reason_names_a_transfer_encoding_that_does_not_exist(name: str) -> None:
    [warning] = rewrite(
        HEAD + f"Content-Transfer-Encoding: {name}\r\n\r\n".encode() + LINK
    ).warnings
    assert repr(name[:100]) in warning
    assert len(warning) < 300


def test_two_encoding_fields_change_together() -> None:
    fields = b"Content-Transfer-Encoding: 8bit\r\nX: y\r\nContent-Transfer-Encoding: (x) 8BIT\r\n"
    result = rewrite(HEAD + fields + b"\r\n" + b"y" * 950 + LINK + b"\r\n")
    message = email.message_from_bytes(result.message)
    assert message.get_all("Content-Transfer-Encoding") == ["quoted-printable"] * 2
    assert message["X"] == "y"
    assert message.get_payload(decode=True) == b"y" * 950 + TRACKED + b"\r\n"


def test_only_the_part_with_the_long_line_changes_its_encoding() -> None:
    part = b"--b\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: 7bit\r\n\r\n"
    raw = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
    raw += part + LINK + b"\r\n" + part + b"y" * 950 + LINK + b"\r\n--b--\r\n"
    message = email.message_from_bytes(rewrite(raw).message)
    assert [str(p["Content-Transfer-Encoding"]) for p in message.walk()][1:] == [
        "7bit",
        "quoted-printable",
    ]


def test_a_line_of_exactly_998_is_kept() -> None:
    fill = 998 - len(TRACKED)
    raw = HEAD + b"\r\n" + b"y" * fill + LINK + b"\r\n"
    result = rewrite(raw)
    assert result.message == HEAD + b"\r\n" + b"y" * fill + TRACKED + b"\r\n"


def test_a_line_of_999_is_not_kept() -> None:
    fill = 999 - len(TRACKED)
    result = rewrite(HEAD + b"\r\n" + b"y" * fill + LINK + b"\r\n")
    assert payload(result.message) == (b"y" * fill + TRACKED + b"\r\n", "quoted-printable")


def test_long_lines_with_line_feeds_only_keep_them() -> None:
    head = HEAD.replace(b"\r\n", b"\n")
    raw = head + b"Content-Transfer-Encoding: 8bit\n\n" + "é".encode() * 600 + b"\n" + LINK + b"\n"
    result = rewrite(raw)
    assert b"\r" not in result.message
    data, used = payload(result.message)
    assert used == "quoted-printable"
    assert data == "é".encode() * 600 + b"\n" + TRACKED + b"\n"
    assert max(map(len, result.message.split(b"\n"))) <= 76


@pytest.mark.parametrize("encoding", ["8bit", "quoted-printable", "base64"])
@pytest.mark.parametrize("newline", [b"\r\n", b"\n"], ids=["crlf", "lf"])
def test_new_lines_of_a_body_in_one_line_end_like_the_email(encoding: str, newline: bytes) -> None:
    head = HEAD + b"Content-Transfer-Encoding: %s\r\n\r\n" % encoding.encode()
    body = encode(b"y" * 40 + LINK, encoding, width=1000)
    policy = Policy(link=lambda *_: "http://own.example/" + "z" * 1200, is_own=is_own)
    result = rewrite(head.replace(b"\r\n", newline) + body, policy)
    assert len(result.message.split(newline)) > 15
    assert all(len(line) <= 76 and b"\r" not in line for line in result.message.split(newline))
    assert b"\n" not in result.message.replace(newline, b"")


def test_an_email_without_links_keeps_its_long_lines() -> None:
    raw = HEAD + b"\r\n" + b"y" * 2000 + b"\r\n"
    assert rewrite(raw).reason is Reason.NO_LINKS


def test_other_parts_keep_their_long_lines() -> None:
    raw = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n" + b"y" * 2000
    raw += b"\r\n--b\r\nContent-Type: text/html\r\n\r\n" + LINK + b"\r\n--b--\r\n"
    assert rewrite(raw).message == raw.replace(LINK, TRACKED)


@pytest.mark.parametrize("end", ["-", "--", "---", "--!"])
@pytest.mark.parametrize("quote", ["", "'", '"'])
def test_a_link_that_ends_with_dashes_does_not_end_a_conditional_comment(
    end: str, quote: str
) -> None:
    """A token is base64url and may end with "--"; written unquoted before ">" that is "-->"."""
    policy = Policy(link=lambda *_: f"http://own.example/c/{end}", is_own=is_own)
    link = f"<a href={quote}http://example.com/{quote}>x</a>"
    html = f"<!--[if mso]>{link}<p>y</p><![endif]-->{link}"
    before = read_html5lib(html)
    result = rewrite(HEAD + b"\r\n" + html.encode() + b"\r\n", policy)
    after = read_html5lib(result.message.partition(b"\r\n\r\n")[2].decode().rstrip())
    assert len(result.links) == 2
    assert [token[0] for token in after.tokens] == [token[0] for token in before.tokens]


def test_a_url_over_the_limit_stays() -> None:
    long = b'<a href="http://example.com/%s">y</a>' % (b"y" * 8200)
    body = base64.b64encode(LINK + long)
    raw = HEAD + b"Content-Transfer-Encoding: base64\r\n\r\n" + body
    result = rewrite(raw)
    assert [link.url for link in result.links] == ["http://example.com/"]
    assert payload(result.message)[0] == TRACKED + long


def test_the_limit_of_urls_is_the_policys() -> None:
    policy = Policy(link=tracking_link, is_own=is_own, max_url=30)
    short, long = "http://example.com/" + "y" * 11, "http://example.com/" + "y" * 12
    raw = HEAD + b"\r\n" + f'<a href="{short}">x</a><a href="{long}">y</a>\r\n'.encode()
    assert [link.url for link in rewrite(raw, policy).links] == [short]


def test_ten_thousand_links() -> None:
    raw = HEAD + b"\r\n" + b"\r\n".join([LINK] * 10_000) + b"\r\n"
    result = rewrite(raw)
    assert len(result.links) == 10_000
    found = re.findall(rb'href="([^"]*)"', result.message)
    assert found == [tracking_link(n, "http://example.com/").encode() for n in range(10_000)]


@pytest.mark.parametrize("depth", [2, 20, 1000])
def test_nested_multiparts(depth: int) -> None:
    """However deep: tracked or untouched, but never an error. To 20 it is tracked."""
    head, tail = b"", b""
    for level in range(depth):
        head += b"Content-Type: multipart/mixed; boundary=b%dx\r\n\r\n--b%dx\r\n" % (level, level)
        tail = b"\r\n--b%dx--" % level + tail
    raw = head + b"Content-Type: text/html\r\n\r\n" + LINK + tail + b"\r\n"
    result = rewrite(raw)
    if depth <= 20 or result.reason is None:
        assert result.message == raw.replace(LINK, TRACKED)


def test_a_thousand_parts() -> None:
    part = b"--b\r\nContent-Type: text/plain\r\n\r\nx\r\n"
    html = b"--b\r\nContent-Type: text/html\r\n\r\n" + LINK + b"\r\n"
    raw = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + part * 999 + html + b"--b--\r\n"
    assert rewrite(raw).message == raw.replace(LINK, TRACKED)


@pytest.mark.parametrize(
    "text",
    [
        "<" * 50_000,
        "<a " * 20_000,
        "<a href=" * 10_000,
        "<!--" * 20_000,
        "<!--[if mso]>" * 10_000,
        "<script><!--<script>" * 5_000,
        "<a " + "x " * 50_000,
        "<a " + "x=" * 50_000,
        '<a x="' * 10_000,
        "<a href='" + "&amp" * 50_000,
        "<a href='" + " " * 100_000 + "x",
        "<svg><![CDATA[" * 5_000,
        "</script " * 20_000,
        "<textarea>" + "</textarea" * 10_000,
        "<style>" + "</" * 50_000,
        "<a" + "/" * 100_000,
        "<a postbox:tags" + " " * 100_000,
        "<svg>" * 10_000,
        "&" * 100_000,
        "-->" * 30_000,
        "<!" + "-" * 100_000,
    ],
    ids=lambda text: re.sub(r"\W+", "-", text[:24]),
)
def test_hostile_text_takes_no_more_time_than_it_is_long(text: str) -> None:
    """Each would take minutes of a scanner that goes back; the limit of time is pytest's own."""
    raw = HEAD + b"Content-Transfer-Encoding: base64\r\n\r\n"
    whole = f"{LINK.decode()}{text}"
    result = rewrite(raw + base64.encodebytes(whole.encode()).replace(b"\n", b"\r\n"))
    assert result.links[0].url == "http://example.com/"


SEEDS = [case.raw_input for case in load_all(lambda path: path.name.endswith(".mime.txt"))]


@rounds
@given(
    seed=st.sampled_from(SEEDS),
    cuts=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 9), st.binary(max_size=4)), max_size=4),
)
def test_damaged_emails_are_rewritten_or_left_alone_but_never_an_error(
    seed: bytes, cuts: list[tuple[float, int, bytes]]
) -> None:
    for place, length, insert in cuts:
        at = int(place * len(seed))
        seed = seed[:at] + insert + seed[at + length :]
    rewrite(seed)


@rounds
@given(st.binary(max_size=400))
def test_any_bytes_are_left_alone_or_rewritten(data: bytes) -> None:
    rewrite(data)
    rewrite(HEAD + b"\r\n" + data)
    result = rewrite(HEAD + b"Content-Transfer-Encoding: 8bit\r\n\r\n" + LINK + b"<p>" + data)
    assert result.links[0].url == "http://example.com/"


@rounds
@given(st.binary(max_size=60), st.sampled_from(["utf-8", "utf-16", "shift_jis", "gb18030", "x-no"]))
def test_bytes_that_are_not_of_the_charset_are_kept(data: bytes, charset: str) -> None:
    """Whatever a lying charset holds, what is decoded and encoded again is the same bytes."""
    head = b"Content-Type: text/html; charset=%s\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    body = data + (LINK.decode().encode("utf-16-le") if charset == "utf-16" else LINK)
    policy = Policy(link=lambda *_: "http://example.com/", is_own=is_own)
    raw = head % charset.encode() + base64.b64encode(body) + b"\r\n"
    result = rewrite(raw, policy)
    assert base64.b64decode(result.message.partition(b"\r\n\r\n")[2]) == body


def test_nothing_is_an_email_too() -> None:
    assert rewrite(b"").reason in (Reason.NO_HTML, Reason.UNPARSABLE)
    assert rewrite(b"\r\n").reason in (Reason.NO_HTML, Reason.UNPARSABLE)
    assert rewrite(b"\0").reason in (Reason.NO_HTML, Reason.UNPARSABLE)


def test_report_tells_of_each_link_what_became_of_it() -> None:
    first, second = (
        '<a ses:tags="a:b" href="http://one.example/">',
        '<a href="mailto:x@example.com">',
    )
    html = f'{first}\n{second}<area href="/x">'
    raw = HEAD + b"\r\n" + html.encode() + b"\r\n"
    report = rewrite_message(raw, TRACKING, report=True).report
    assert [(entry.element, entry.value, entry.outcome, entry.line) for entry in report] == [
        ("a", "http://one.example/", "tracked", 1),
        ("a", "mailto:x@example.com", "unchanged", 2),
        ("area", "/x", "unchanged", 2),
    ]
    assert [entry.offset for entry in report] == [0, html.index(second), html.index("<area")]
    assert all(entry.why for entry in report if entry.outcome == "unchanged")
    assert not rewrite_message(raw, TRACKING).report
