"""What a mail server says takes as long as it is, however it is cut and whatever it repeats."""

from collections.abc import Callable

import pytest

from clicktrail.ingress.milter.dialogue import Dialogue, Email
from clicktrail.ingress.milter.edits import Field, edits, joined
from limits.growth import Row, check_growth
from support.milter_client import macros, negotiation, packet


class Keeper:
    """Keeps everything."""

    def begin(self, email: Email) -> None:
        pass

    def grow(self, email: Email, by: int) -> None:
        pass

    hold = grow


def wire(piece: bytes) -> Callable[[int], bytes]:
    """Return a maker of an email that begins and goes on with that piece."""
    begin = negotiation() + packet(b"M", b"<a@example.com>\0")
    return lambda size: begin + piece * (size // len(piece))


def large(command: bytes, content: bytes) -> Callable[[int], bytes]:
    """Return a maker of packets of the largest size that a mail server sends."""
    return wire(packet(command, content * (65_000 // len(content)) + b"\0"))


def hear(given: bytes) -> None:
    Dialogue(Keeper()).receive(given)


def hear_in_pieces(given: bytes) -> None:
    dialogue = Dialogue(Keeper())
    for at in range(0, len(given), 100):
        dialogue.receive(given[at : at + 100])


def change(given: list[Field]) -> None:
    for after in (given[1::2], given[::-1], [(name, value + b"x") for name, value in given]):
        for _ in edits(given, b"", joined(after), spaced=True):
            pass


def headers(*names: bytes) -> Callable[[int], list[Field]]:
    """Return a maker of headers, of which no two are the same where there is one name."""
    return lambda size: [
        (name, b" %d" % (number if len(names) == 1 else 0))
        for number in range(size // 20 // len(names))
        for name in names
    ]


@pytest.mark.parametrize(
    "row",
    [
        Row("recipients", wire(packet(b"R", b"<a@example.com>\0")), hear),
        Row("headers", wire(packet(b"L", b"A\0 b\0")), hear),
        Row("a body in bits", wire(packet(b"B", b"x")), hear),
        Row("a body in bits, in pieces", wire(packet(b"B", b"x")), hear_in_pieces),
        Row("large pieces of a body, in pieces", large(b"B", b"x"), hear_in_pieces),
        Row("macros", wire(macros(b"R", i="1")), hear),
        Row("large macros", large(b"D", b"Mi\0"), hear),
        Row("large addresses", large(b"R", b"<"), hear),
        Row("headers of many lines", large(b"L", b"a\0 \n\t\n "), hear),
        Row("changed headers of one name", headers(b"A"), change),
        Row("changed headers, many the same", headers(b"A", b"B", b"a"), change),
    ],
    ids=lambda row: row.name,
)
def test_it_takes_as_long_as_it_is(row: Row) -> None:
    check_growth(row.shorter())
