"""Clicks as bytes."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from clicktrail.journal.record import decode, encode
from clicktrail.model import Click

# Surrogates too: a token may hold what no UTF-8 can.
texts = st.text(st.characters(codec=None, exclude_categories=()))
clicks = st.builds(
    Click,
    texts,
    texts,
    st.integers(0, 2**40),
    texts,
    st.integers(-(2**62), 2**62),
    texts,
    texts,
    st.integers(0, 2**16),
    st.none() | texts,
)


@given(clicks)
def test_a_click_comes_back_as_it_was(click: Click) -> None:
    assert decode(encode(click)) == click


def test_fields_of_a_later_version_are_passed_over() -> None:
    record = encode(Click("e", "m", 1, "u", 2, "i", "a", 5))
    assert record[0] == 0x99  # MessagePack: an array of nine
    longer = b"\x9a" + record[1:] + b"\xa3new"
    assert decode(longer) == decode(record)


def test_records_of_earlier_versions_show_nothing_of_what_they_did_not_know() -> None:
    record = encode(Click("e", "m", 1, "u", 2, "i", "a", 5))
    assert decode(b"\x98" + record[1:-1]) == Click("e", "m", 1, "u", 2, "i", "a", 5)
    assert decode(b"\x97" + record[1:-2]) == Click("e", "m", 1, "u", 2, "i", "a")


@given(st.binary())
@example(b"\x91\xa1\x80")
@example(b"\x91\xc4\x01\x80")
def test_other_bytes_are_refused(noise: bytes) -> None:
    with pytest.raises(ValueError, match="not the record of a click"):
        decode(noise)
