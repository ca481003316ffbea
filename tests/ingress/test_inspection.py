"""Emails that cannot be sent on safely: what looks like their end to servers that are lenient."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clicktrail.errors import MessageRefused
from clicktrail.ingress import inspection

HEADER = b"Subject: x\r\n\r\n"
PIECES = st.lists(st.sampled_from([b".", b"\r", b"\n", b"\r\n", b"a", b"\r\n.\r\n", b"..", b"\0"]))


def is_refused(body: bytes) -> bool:
    try:
        inspection.inspect(HEADER + body)
    except MessageRefused as refused:
        return refused.code == 554
    return False


def has_end_for_some(body: bytes) -> bool:
    """Whether a lone dot stands on a line that begins behind a lone CR or LF, byte by byte."""
    raw = HEADER + body
    for at in range(1, len(raw)):
        before, after = raw[at - 1 : at], raw[at + 1 : at + 2]
        whole = raw[max(0, at - 2) : at] == b"\r\n"
        begins = before in (b"\r", b"\n") and not whole
        if begins and raw[at : at + 1] == b"." and after in (b"", b"\r", b"\n"):
            return True
    return False


@pytest.mark.parametrize("quickly", [True, False])
@given(PIECES)
def test_what_a_lenient_server_takes_for_the_end_is_refused(
    quickly: bool, pieces: list[bytes]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        if not quickly:
            patch.setattr(inspection, "_LONE_DOTS_QUICKLY", None)
        body = b"".join(pieces)
        assert is_refused(body) == has_end_for_some(body)
