import pytest
from hypothesis import given
from hypothesis import strategies as st

from clicktrail.ingress.milter.edits import Field, edits, joined
from support.milter_client import edited

FIELDS: list[Field] = [
    (b"Received", b" from a\n\tby b"),
    (b"DKIM-Signature", b" v=1; a=1"),
    (b"received", b" from c"),
    (b"X-SES-CONFIGURATION-SET", b" news"),
    (b"Subject", b" =?utf-8?q?a?=\n b"),
    (b"dkim-signature", b" v=1; a=2"),
    (b"To", b"\ta@example.com"),
]


def changes(before: list[Field], after: list[Field], body: bytes, new: bytes) -> list[bytes]:
    found = list(edits(before, body, joined(after) + new, spaced=True))
    return [each[4:] for each in found]


def test_nothing_is_asked_for_where_nothing_changes() -> None:
    assert changes(FIELDS, FIELDS, b"body\r\n", b"body\r\n") == []
    assert changes([], [], b"", b"") == []


def test_removed_headers_are_named_by_their_numbers_the_last_first() -> None:
    after = [each for each in FIELDS if each[0].lower() != b"dkim-signature"]
    assert changes(FIELDS, after, b"", b"") == [
        b"m\0\0\0\2dkim-signature\0\0",
        b"m\0\0\0\1DKIM-Signature\0\0",
    ]


def test_a_new_first_header_goes_below_that_of_the_mail_server() -> None:
    after = [(b"DKIM-Signature", b" v=1;\n b=x"), *FIELDS]
    assert changes(FIELDS, after, b"", b"") == [b"i\0\0\0\1DKIM-Signature\0 v=1;\n b=x\0"]


def test_a_header_that_changes_in_its_place_is_changed() -> None:
    after = [*FIELDS[:4], (b"Subject", b" other"), *FIELDS[5:]]
    assert changes(FIELDS, after, b"", b"") == [b"m\0\0\0\1Subject\0 other\0"]


def test_a_body_goes_in_chunks_and_an_empty_one_in_one() -> None:
    body = b"x" * 65_535 + b"y" * 65_535 + b"z"
    assert changes(FIELDS, FIELDS, b"old", body) == [
        b"b" + b"x" * 65_535,
        b"b" + b"y" * 65_535,
        b"bz",
    ]
    assert changes(FIELDS, FIELDS, b"old", b"") == [b"b"]


def test_a_mail_server_that_keeps_the_space_to_itself_gets_values_without_it() -> None:
    before = [(b"Subject", b" a"), (b"X-SES-MESSAGE-TAGS", b" a=b")]
    after = [(b"DKIM-Signature", b" v=1"), (b"Subject", b" a")]
    found = [each[4:] for each in edits(before, b"", joined(after), spaced=False)]
    assert found == [b"m\0\0\0\1X-SES-MESSAGE-TAGS\0\0", b"i\0\0\0\1DKIM-Signature\0v=1\0"]


NAMES = st.sampled_from([b"A", b"a", b"B", b"X-Long"])
VALUES = st.sampled_from([b" 1", b" 2", b"", b" ", b" 1\n\t2", b" \r", b"\xff", b" a:b"])
HEADERS = st.lists(st.tuples(NAMES, VALUES), max_size=8)
BODIES = st.sampled_from([b"", b"\r\n", b"body\r\n", b"other\r\n\r\nA: 1\r\n", b"A: 1\r\n"])


@given(before=HEADERS, after=HEADERS, body=BODIES, new=BODIES)
def test_whatever_goes_out_a_mail_server_makes_it_of_what_came_in(
    before: list[Field], after: list[Field], body: bytes, new: bytes
) -> None:
    outgoing = joined(after) + new
    found = [each[4:] for each in edits(before, body, outgoing, spaced=True)]
    assert edited(before, body, found) == outgoing


@pytest.mark.parametrize("number", [200, 2000])
def test_many_headers_are_no_trouble(number: int) -> None:
    before = [(b"X", b" %d" % each) for each in range(number)]
    after = before[::2]
    found = [each[4:] for each in edits(before, b"", joined(after), spaced=True)]
    assert len(found) == number // 2
    assert edited(before, b"", found) == joined(after)
