"""Quoted-printable (RFC 2045 § 6.7), changed in place: what is not replaced stays as it is."""

import binascii
import re
from collections.abc import Sequence

from clicktrail.rewrite.automaton import automaton

Edit = tuple[int, int, bytes]
"""Start and end of what is replaced, and by what."""

LINE = 76
"""RFC 2045 § 6.7 (5): characters in a line, with the "=" of a soft line break."""

_PADDED = re.compile(rb"(?:\n|\Z)(?:(?<=[ \t]\n)|(?<=[ \t]\r\n)|(?<=[ \t])\Z)")
_PADDED_QUICKLY = automaton(r"[ \t](?:\r?\n|\z)")
_PADDING = re.compile(rb"(?<![ \t])[ \t]++(?=\r?\n|\Z)")
# Each byte is of one byte of the data, or of none: a soft line break.
_USUAL = automaton(r"\A(?:[^=]|=[0-9A-Fa-f]{2}|=\r?\n)*\z")
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
    is_padded = _PADDED_QUICKLY.ends if _PADDED_QUICKLY is not None else _PADDED.search
    return _PADDING.sub(b"", body) if is_padded(body) else body


def encode(data: bytes, newline: bytes) -> bytes:
    """Encode each line; what is no line end of the email is encoded too."""
    soft = b"=" + newline
    return newline.join(
        [binascii.b2a_qp(line, istext=False).replace(b"=\n", soft) for line in data.split(newline)]
    )


def splice(body: bytes, data: bytes, edits: Sequence[Edit], newline: bytes) -> bytearray | None:
    """Return ``body``, which decodes to ``data``, with the edits made.

    ``None`` where the body is not the usual quoted-printable, so that it is not clear which of its
    bytes are which of ``data``.
    """
    # Then what stays means what it did, if it is cut where the old values are; else all is checked.
    is_usual = _USUAL is not None and bool(_USUAL.ends(body))
    soft = b"=" + newline
    out = bytearray()
    done = there = column = 0  # the end of the last edit, in body and in data; the line so far
    for start, end, new in edits:
        begin = _place(body, done, start - there, data.count(b"\r", there, start))
        column = _keep(out, body, done, begin, column, soft)
        column = _write(out, new, column, soft)
        old = data[start:end]
        done = body.find(data[end : end + 1], begin)  # mostly the quote behind a value
        if done < 0 or binascii.a2b_qp(body[begin:done]) != old:
            done = _place(body, begin, end - start, old.count(b"\r"))
            if is_usual and binascii.a2b_qp(body[begin:done]) != old:
                return None
        there = end
        if not new and body[begin - 1 : begin] in b" \t" and body[done : done + 1] in b"\r\n":
            return None  # white space at a line end has to be encoded
    _keep(out, body, done, len(body), column, soft)
    return out if is_usual or _is_applied(binascii.a2b_qp(out), data, edits) else None


def _is_applied(changed: bytes, data: bytes, edits: Sequence[Edit]) -> bool:
    """Whether ``changed`` is ``apply(data, edits)``, without making that."""
    at = done = 0
    for start, end, new in edits:
        if not changed.startswith(data[done:start] + new, at):
            return False
        at += start - done + len(new)
        done = end
    return changed[at:] == data[done:]


def _place(body: bytes, start: int, count: int, hard: int) -> int:
    """Return where the ``count``-th byte after ``start`` of what ``body`` encodes stands in it.

    ``hard`` is how many of these bytes are the ends of lines in CRLF, 0 for other lines: the
    others in ``body`` are soft. Each "=" stands for two more characters, and each soft CRLF for one
    more than that: the least number that agrees with that is the place.
    """
    size = len(body)
    place = counted = start
    signs, lines = 0, -hard
    while place < size:
        found = start + count + 2 * signs + (lines if lines > 0 else 0)
        if found <= place:
            break
        place = found if found < size else size
        signs += body.count(b"=", counted, place)
        lines += body.count(b"\r", counted, place)
        counted = place
    return place


def _keep(out: bytearray, body: bytes, start: int, end: int, column: int, soft: bytes) -> int:
    """Append what stays as it is; return the column after it.

    A soft line break comes first where the line would become too long.
    """
    line_end = body.find(b"\n", start, end)
    if line_end < 0:
        if column and column + end - start > (LINE if end == len(body) else LINE - 1):
            out += soft
            column = 0
        out += body[start:end]
        return column + end - start
    if column and column + len(body[start:line_end].rstrip(b"\r")) > LINE:
        out += soft
    out += body[start:end]
    return end - 1 - body.rfind(b"\n", start, end)


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
