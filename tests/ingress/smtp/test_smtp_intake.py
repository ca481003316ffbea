import asyncio
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clicktrail.doors.budget import Budget
from clicktrail.errors import MessageRefused
from clicktrail.ingress.smtp.intake import Intake
from clicktrail.relay.connection import stuffed

SOUP = st.lists(
    st.sampled_from([b".", b"\r", b"\n", b"\r\n", b"\r\n.", b"\r\n.\r\n", b"\n.\r\n", b"a", b"\0"])
)


async def read(pieces: list[bytes], most: int = 10_000) -> tuple[bytes | None, bytes]:
    """Return the email that a reader finds in what comes, and what it leaves."""
    reader = asyncio.StreamReader(limit=8)
    intake = Intake(most, Budget(1, most * 2).share(""))
    reading = asyncio.create_task(intake.read_to_the_dot(reader))
    for piece in pieces:
        reader.feed_data(piece)
        await asyncio.sleep(0)
    reader.feed_eof()
    message: bytes | None
    await reading
    try:
        message = intake.message()
    except MessageRefused:
        message = None
    return message, await reader.read()


def cut(wire: bytes, places: list[int]) -> list[bytes]:
    at = sorted({0, len(wire), *(place % (len(wire) + 1) for place in places)})
    return [wire[start:end] for start, end in pairwise(at)]


@given(SOUP, st.lists(st.integers(0, 200)))
def test_an_email_is_read_as_it_was_written_wherever_the_packets_end(
    parts: list[bytes], places: list[int]
) -> None:
    message = b"".join(parts) + b"\r\n"
    wire = stuffed(message)
    assert asyncio.run(read(cut(wire + b"QUIT\r\n", places))) == (message, b"QUIT\r\n")


@given(SOUP, st.lists(st.integers(0, 200)), st.integers(0, 30))
def test_no_email_over_the_limit_is_taken_and_its_end_is_found(
    parts: list[bytes], places: list[int], most: int
) -> None:
    message = b"".join(parts)[: most * 4] + b"\r\n"
    expected = message if len(message) <= most else None
    try:
        found = asyncio.run(read(cut(stuffed(message) + b"QUIT\r\n", places), most))
    except ConnectionAbortedError:
        assert len(stuffed(message)) > 16 * most
    else:
        assert found == (expected, b"QUIT\r\n")


@pytest.mark.parametrize("wire", [b"", b"Subject: x\r\n", b"x\n.\n", b"x\r.\r", b"x\r\n.\n", b"."])
async def test_an_email_without_its_end_is_none(wire: bytes) -> None:
    with pytest.raises(asyncio.IncompleteReadError):
        await read([wire])


class CountingReader(asyncio.StreamReader):
    """Counts how often it is asked."""

    asked = 0

    async def readuntil(self, separator: bytes = b"\n") -> bytes:  # type: ignore[override]
        self.asked += 1
        return await super().readuntil(separator)


@pytest.mark.parametrize("line", [b"...\r\n", b"a.\r\n", b"\r\n", b"\r\n.."])
async def test_lines_that_look_like_the_end_cost_no_more_than_others(line: bytes) -> None:
    size, buffer = 100_000, 10_000
    reader = CountingReader(limit=buffer)
    reader.feed_data(line * (size // len(line)) + b"\r\n.\r\n")
    await Intake(size * 2, Budget(1, size * 4).share("")).read_to_the_dot(reader)
    assert reader.asked <= 2 * size // buffer


@given(SOUP, st.lists(st.integers(0, 200)), st.lists(st.integers(0, 200)), st.integers(0, 60))
def test_pieces_are_put_together_byte_for_byte_wherever_the_packets_end(
    soup: list[bytes], pieces: list[int], packets: list[int], most: int
) -> None:
    message = b"".join(soup)

    async def put_together() -> tuple[bytes | None, bytes]:
        reader = asyncio.StreamReader(limit=8)
        for packet in cut(message + b"QUIT\r\n", packets):
            reader.feed_data(packet)
        reader.feed_eof()
        intake = Intake(most, Budget(1, 1000).share(""))
        for piece in cut(message, pieces):
            await intake.read_piece(reader, len(piece))
        try:
            return intake.message(), await reader.read()
        except MessageRefused:
            return None, await reader.read()

    if len(message) > 16 * most:
        with pytest.raises(ConnectionAbortedError):
            asyncio.run(put_together())
    else:
        expected = message if len(message) <= most else None
        assert asyncio.run(put_together()) == (expected, b"QUIT\r\n")


def test_what_finds_no_room_is_read_and_refused_for_now() -> None:
    async def refusal() -> tuple[int, bytes]:
        budget = Budget(1, 200_000)
        other = budget.share("192.0.2.1")
        assert other.grow(200_000)
        reader = asyncio.StreamReader()
        reader.feed_data(bytes(150_000) + b"QUIT\r\n")
        reader.feed_eof()
        intake = Intake(200_000, budget.share("192.0.2.2"))
        await intake.read_piece(reader, 150_000)
        other.close()
        assert budget.held == 0
        with pytest.raises(MessageRefused) as refused:
            intake.message()
        return refused.value.code, await reader.read()

    assert asyncio.run(refusal()) == (452, b"QUIT\r\n")
