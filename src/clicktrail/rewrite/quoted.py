"""Quoted-printable (RFC 2045 § 6.7), changed in place: what is not replaced stays as it is."""

import binascii
import re
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

Edit = tuple[int, int, bytes]
"""Start and end of what is replaced, and by what."""

LINE = 76
"""RFC 2045 § 6.7 (5): characters in a line, with the "=" of a soft line break."""

_TOGETHER = 1000
"""Bytes of a body that are decoded in one go where nothing changes."""

_PADDING = re.compile(rb"(?<![ \t])[ \t]++(?=\r?\n|\Z)")
_PADDED = (b" \n", b"\t\n", b" \r\n", b"\t\r\n")
_LITERAL = re.compile(rb"[!-<>-~]*+")


def apply(data: bytes, edits: Sequence[Edit]) -> bytes:
    """Return bytes with the edits made. They are in order and do not overlap."""
    pieces: list[bytes] = []
    done = 0
    for start, end, new in edits:
        pieces += data[done:start], new
        done = end
    pieces.append(data[done:])
    return b"".join(pieces)


def without_padding(body: bytes) -> bytes:
    """Return a body without white space at line ends: it was added on the way (§ 6.7 (3))."""
    if any(each in body for each in _PADDED) or body.endswith((b" ", b"\t")):
        return _PADDING.sub(b"", body)
    return body


def encode(data: bytes, newline: bytes) -> bytes:
    """Encode each line; what is no line end of the email is encoded too."""
    soft = b"=" + newline
    return newline.join(
        [binascii.b2a_qp(line, istext=False).replace(b"=\n", soft) for line in data.split(newline)]
    )


def splice(body: bytes, data: bytes, edits: Sequence[Edit], newline: bytes) -> bytes | None:
    """Return ``body``, which decodes to ``data``, with the edits made.

    ``None`` where the body is malformed in the places that matter.
    """
    if body.count(b"\r") != body.count(b"\r\n"):
        return None
    ends, places = _lines(body, edits)
    if len(ends) == 1 or ends[-1] != len(data):
        return None
    soft = b"=" + newline
    out = bytearray()
    done = column = 0
    last = -1  # the line that the last edit ended in, and in it:
    rest = 0  # how much of it is left

    for start, end, new in edits:
        line = min(bisect_right(ends, start), len(ends) - 1) - 1
        at = _place(body[places[line] : places[line + 1]], data, ends[line], start)
        until = bisect_left(ends, end, line + 1) - 1 if end > start else line
        upto = _place(body[places[until] : places[until + 1]], data, ends[until], end)
        if at is None or upto is None:
            return None
        begin = at + places[line]
        if line == last:
            rest = begin - done
            if column + rest >= LINE:
                out += soft
                column = 0
            column += rest
        else:
            if column + rest > LINE:
                out += soft
            column = at
        out += body[done:begin]
        column = _write(out, new, column, soft)
        done = upto + places[until]
        last = until
        if done == places[until + 1] and until + 2 < len(places):
            last, upto = until + 1, 0  # the line end was replaced too
        rest = len(body[places[last] : places[last + 1]].rstrip(b"\r\n")) - upto
        if (
            not new
            and body[begin - 1 : begin] in (b" ", b"\t")
            and body[done : done + 1] in b"\r\n"
        ):
            return None  # white space at a line end has to be encoded
    if column + rest > LINE:
        out += soft
    out += body[done:]
    return bytes(out)


def _lines(body: bytes, edits: Sequence[Edit]) -> "tuple[array[int], array[int]]":
    """Return where lines begin in the decoded text and in ``body``; 0 comes first, the ends last.

    Lines that no edit touches are taken together.
    """
    points = [point for start, end, _ in edits for point in (start, end)]
    ends, places = array("q", (0,)), array("q", (0,))
    at = decoded = nearest = 0
    while at < len(body):
        stop = body.find(b"\n", at + _TOGETHER) + 1 or len(body)
        block = body[at:stop]
        until = decoded + len(binascii.a2b_qp(block))
        nearest = bisect_left(points, decoded, nearest)
        if nearest < len(points) and points[nearest] <= until:
            for line in block.splitlines(keepends=True):
                at += len(line)
                decoded += len(binascii.a2b_qp(line))
                places.append(at)
                ends.append(decoded)
        else:
            at, decoded = stop, until
            places.append(at)
            ends.append(decoded)
    return ends, places


def _place(line: bytes, data: bytes, start: int, at: int) -> int | None:
    """Return where in an encoded line the byte ``at`` of ``data`` stands; the line's is ``start``.

    ``None`` where decoding what is before it does not lead there.
    """
    count = at - start
    place = count
    while (found := count + 2 * line.count(b"=", 0, place)) != place:
        place = found
    if binascii.a2b_qp(line[:place]) != data[start:at]:
        return None
    rest = binascii.a2b_qp(line[place:])
    return place if data.startswith(rest, at) else None


def _write(out: bytearray, new: bytes, column: int, soft: bytes) -> int:
    """Append new bytes with soft line breaks; return the column after them."""
    if _LITERAL.fullmatch(new) is None:
        new = b"".join(
            b"%c" % each if 0x21 <= each <= 0x7E and each != 0x3D else b"=%02X" % each
            for each in new
        )
    at, size = 0, len(new)
    while column + size - at >= LINE:
        room = max(LINE - 1 - column, 0)
        if b"=" in new[at + max(room - 2, 0) : at + room]:
            room = new.index(b"=", at + max(room - 2, 0)) - at  # an escape is not broken
        out += new[at : at + room] + soft
        at += room
        column = 0
        if new.startswith(b"--", at):  # it shall not be taken for a boundary (RFC 2046 § 5.1.1)
            out += b"=2D"
            at += 1
            column = 3
    out += new[at:]
    return column + size - at
