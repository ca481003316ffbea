"""Ids sort by time and fit 16 bytes; times become RFC 3339 texts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clicktrail.base.ids import ID_LENGTH, day_of, new_id, now_us, pack_id, rfc3339, unpack_id
from clicktrail.errors import InvalidInput


def test_ids_have_21_characters_and_do_not_begin_like_an_option() -> None:
    made = {new_id() for _ in range(1000)}
    assert len(made) == 1000
    assert {len(text) for text in made} == {ID_LENGTH}
    assert not any(text.startswith("-") for text in made)


@given(st.integers(0, 1 << 53), st.integers(64, 1 << 40))
def test_a_later_id_sorts_after_an_earlier_one(at: int, more: int) -> None:
    earlier, later = new_id(at), new_id(at + more)
    assert earlier < later
    assert pack_id(earlier) < pack_id(later)


@given(st.integers(0, 1 << 53))
def test_packing_keeps_an_id(at: int) -> None:
    made = new_id(at)
    assert len(pack_id(made)) == 16
    assert unpack_id(pack_id(made)) == made


@pytest.mark.parametrize("text", ["", "short", "x" * 22, "x" * 20 + "=", "x" * 20 + "é"])
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="is not an id"):
        pack_id(text)


def test_times_as_text() -> None:
    assert rfc3339(1_795_457_284_933_666) == "2026-11-23T18:08:04.933666Z"
    assert rfc3339(0) == "1970-01-01T00:00:00.000000Z"
    assert day_of(1_795_457_284_933_666) == "2026-11-23"
    assert now_us() > 1_700_000_000_000_000
