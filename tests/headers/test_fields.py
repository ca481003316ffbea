import pytest

from clicktrail.headers.fields import (
    HEADER_LIMIT,
    HeaderTooLong,
    first_field,
    read_header,
    without_fields,
)

MAILBOX = b"From me@example.com Mon Nov 23 18:00:00 2026\r\n"


@pytest.mark.parametrize(
    ("raw", "fields"),
    [
        (b"From: a\r\nTo:b\r\n\r\nCc: c\r\n", [("From", "a"), ("To", "b")]),
        (b"From: a\nTo: b\n\nCc: c\n", [("From", "a"), ("To", "b")]),
        (b"From : a\r\n\r\n", [("From", "a")]),
        (b"From \t: a\r\n\r\n", [("From", "a")]),
        (b"A: b\r\n c\r\n\t d\r\n \r\nE: f\r\n\r\n", [("A", "b c\t d"), ("E", "f")]),
        (MAILBOX + b"A: b\r\n\r\n", [("A", "b")]),
        (b"A: \xc3\xa9\r\nB: \xe9\r\n\r\n", [("A", "é"), ("B", "é")]),
        (b"A: b", [("A", "b")]),
        (b"A: b\r\n", [("A", "b")]),
        (b"\r\nA: b\r\n", []),
        (b"", []),
    ],
)
def test_the_fields_of_a_header(raw: bytes, fields: list[tuple[str, str]]) -> None:
    header = read_header(raw)
    assert list(header.fields) == fields
    assert not header.doubt


@pytest.mark.parametrize(
    "raw",
    [
        b"A: b\r\nno field\r\nFrom: a\r\n\r\n",
        b"A: b\rx\r\nFrom: a\r\n\r\n",
        b"A: b\rFrom: a\r\n\r\n",
        b"Fr om: x\r\nFrom: a\r\n\r\n",
        b"From\0: x\r\nFrom: a\r\n\r\n",
        b"\xef\xbb\xbfFrom: x\r\nFrom: a\r\n\r\n",
        b" From: x\r\nFrom: a\r\n\r\n",
        b"From\r\n : x\r\nFrom: a\r\n\r\n",
        b"From nobody\r\nFrom: a\r\n\r\n",
        b"From \x0b: Mon Nov 23\r\nFrom: a\r\n\r\n",
        b": x\r\nFrom: a\r\n\r\n",
    ],
)
def test_a_line_that_is_no_field_is_a_doubt_and_does_not_end_the_header(raw: bytes) -> None:
    header = read_header(raw)
    assert header.values("from") == ["a"]
    assert "is no header field" in header.doubt


@pytest.mark.parametrize(
    "raw",
    [
        b"From: a\r\nX: y\n\r\nFrom: b\r\n\r\n",
        b"From: a\r\nX: y\n\nFrom: b\r\n\r\n",
        b"From: a\nX: y\n\r\nFrom: b\r\n\r\n",
        b"From: a\r\n\nFrom: b\r\n\r\n",
    ],
)
def test_an_end_that_some_do_not_see_is_a_doubt(raw: bytes) -> None:
    header = read_header(raw)
    assert header.values("from") == ["a"]
    assert "end in different ways" in header.doubt


def test_a_lone_line_feed_within_a_header_hides_nothing() -> None:
    header = read_header(b"A: b\nFrom: a\r\n\r\n")
    assert header.values("from") == ["a"]
    assert not header.doubt


@pytest.mark.parametrize(
    ("line", "is_one"),
    [
        (MAILBOX, True),
        (b"From a@b.c Thu Jan  1 00:00:00 +0000 2026\n", True),
        (b"From - Thu Jan 1 00:00 2026\r\n", True),
        (b"From : me Mon Nov 23 18:00:00 2026\r\n", False),
        (b"From \t: me Mon Nov 23 18:00:00 2026\r\n", False),
        (b"From me\r\n", False),
        (b"From \x0b: ceo@example.org\r\n", False),
        (b"From a@b.c Mon Nov 23 18:00:00 2026\rFrom: x\r\n", False),
        (b"from a@b.c Mon Nov 23 18:00:00 2026\r\n", False),
    ],
)
def test_the_line_of_a_mailbox_file(line: bytes, is_one: bool) -> None:
    assert first_field(line + b"A: b\r\n\r\n") == (len(line) if is_one else 0)


def test_fields_are_taken_out_wherever_they_stand() -> None:
    rest = [MAILBOX, b"A: b\r\n", b"no field\r\n", b"C: d\r\n\te\r\n", b"\r\nBcc: x\r\n"]
    raw = rest[0] + b"Bcc: x\r\n y\r\n" + rest[1] + rest[2] + b"BCC : z\r\n" + rest[3] + rest[4]
    assert without_fields(raw, {"bcc"}) == b"".join(rest)
    assert read_header(raw).without(raw, {"bcc"}) == b"".join(rest)
    for unchanged in (b"".join(rest), b"", b"\r\n", b"A: b"):
        assert without_fields(unchanged, {"bcc"}) == unchanged
        assert read_header(unchanged).without(unchanged, {"bcc"}) == unchanged


def test_a_header_has_a_longest() -> None:
    field = b"A: " + b"b" * 95 + b"\r\n"
    most = field * (HEADER_LIMIT // len(field))
    assert read_header(most + b"\r\n" + field).values("a")
    with pytest.raises(HeaderTooLong, match="262144 bytes"):
        read_header(most + field + b"\r\n")
    with pytest.raises(HeaderTooLong):
        read_header(b"A:\r\n" + b" b\r\n" * (HEADER_LIMIT // 4))
