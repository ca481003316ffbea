"""Quoted-printable (RFC 2045 § 6.7), changed in place: what is not replaced stays as it is.

Malformed bodies are read as robust programs read them (§ 6.7, note): a "=" that begins no escape
and no soft line break is kept, with the character after it.
"""

import binascii
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence

from clicktrail.base.automaton import automaton

Edit = tuple[int, int, bytes]
"""Start and end of what is replaced, and by what."""

LINE = 76
"""RFC 2045 § 6.7 (5): characters in a line, with the "=" of a soft line break."""

_SIGN = ord("=")
"""Looking for a number in bytes is ten times as fast as for a byte in them."""
_CR = ord("\r")
_MARK = 6
"""Characters before a place by which it is looked for."""
_FAR = 100
"""How far a place is looked for beyond where it is without soft line breaks."""

_PADDED = re.compile(rb"\n(?:(?<=[ \t]\n)|(?<=[ \t]\r\n))")
# Without "\z" for the end: with it, Hyperscan 5.4 misses a tab and LF at the end of some bodies.
_PADDED_QUICKLY = automaton(r"[ \t]\r?\n")
# Each byte is of one byte of the data, or of none: a soft line break.
_USUAL = re.compile(rb"(?>(?:[^=]++|=[0-9A-Fa-f]{2}|=\r?\n)*)")
_USUAL_QUICKLY = automaton(r"\A(?:[^=]|=[0-9A-Fa-f]{2}|=\r?\n)*\z")
# The same, and no CR but at line ends: `_place` counts on that.
_TOKENS = r"=(?:[1-9A-Fa-f][0-9A-Fa-f]|0[0-9A-CE-Fa-ce-f]|\r?\n)"
_CLEAR = rf"(?:[^= \t\r]|\r\n|{_TOKENS}|[ \t]+(?:[^= \t\r\n]|{_TOKENS}))*"
_CLEAR_QUICKLY = automaton(rf"\A{_CLEAR}\z")
_NOT_LITERAL = re.compile(rb"[^!-<>-~]")
_LITERALS = bytes(each for each in range(0x21, 0x7F) if each != 0x3D)
_SIMPLE = b"= "
"""What is to be escaped in the image that tells of opens: all of it, in no time."""
_ESCAPES = {bytes((each,)): b"=%02X" % each for each in range(256)}
# What is not itself: an escape, nothing (a soft line break; white space at a line end, which was
# added on the way, § 6.7 (3)), or a "=" and the character after it.
_TOKEN = re.compile(
    rb"=(?:([0-9A-Fa-f]{2})|()[ \t]*+(?:\r?\n|\Z)|[^\n]?)|()[ \t]++(?=\r?\n|\Z)", re.S
)
_ESCAPE, _SOFT, _PADDING = 1, 2, 3  # the groups
_UNIT = re.compile(rb"=(?:[0-9A-Fa-f]{2}|[ \t]*\Z|[^\n]?)|[^=]", re.S)
_ODD_CR = re.compile(rb"=0[Dd]|\r(?!\n)")
_ESCAPE_OR_BREAK = re.compile(rb"=(?:[0-9A-Fa-f]{2}|[ \t]*(?:[\r\n=]|\Z))")
_TO_LINE_END = re.compile(rb"[ \t]*+(?:\r?\n|\Z)")


def apply(data: bytes, edits: Sequence[Edit]) -> bytes:
    """Return bytes with the edits made. They are in order and do not overlap."""
    pieces: list[bytes] = []
    done = 0
    for start, end, new in edits:
        pieces += data[done:start], new
        done = end
    pieces.append(data[done:])
    return b"".join(pieces)


def is_clear(body: bytes) -> bool:
    """Whether it is easy to find where in a body each byte of its data is."""
    if _CLEAR_QUICKLY is None:
        return _is_usual(body) and _ODD_CR.search(body) is None
    # Hyperscan 5.4 takes "\z" for something else where a body of some lengths ends with LF.
    return not body.endswith((b" ", b"\t")) and bool(_CLEAR_QUICKLY.ends(body + b"x"))


def decode(body: bytes, *, clear: bool) -> bytes:
    """Return what a body means, as programs read it that want to lose nothing.

    ``clear`` is what `is_clear` says of it.
    """
    if clear or _is_usual(body):
        return binascii.a2b_qp(body)
    return b"".join(_pieces(body))


def _is_usual(body: bytes) -> bool:
    """Whether a body is as § 6.7 wants it, but for the length of its lines."""
    if body.endswith((b" ", b"\t")):
        return False
    if _USUAL_QUICKLY is None or _PADDED_QUICKLY is None:
        return _USUAL.fullmatch(body) is not None and _PADDED.search(body) is None
    return bool(_USUAL_QUICKLY.ends(body)) and not _PADDED_QUICKLY.ends(body)


def _pieces(body: bytes) -> Iterator[bytes]:
    done = 0
    for token in _TOKEN.finditer(body):
        if token.lastindex is not None:
            yield body[done : token.start()]
            done = token.end()
            if token.lastindex == _ESCAPE:
                yield bytes((int(token[_ESCAPE], 16),))
    yield body[done:]


def encode(data: bytes, newline: bytes) -> bytes:
    """Encode each line; what is no line end of the email is encoded too."""
    soft = b"=" + newline
    lines = data.split(newline)
    ends = data.count(b"\n") + data.count(b"\r")
    if ends == (len(lines) - 1) * len(newline):
        encoded = [binascii.b2a_qp(line, istext=False).replace(b"=\n", soft) for line in lines]
        return newline.join(encoded)
    result = []
    for line in lines:
        if b"\r" in line or b"\n" in line:  # binascii takes these for line ends
            out = bytearray()
            _write(out, line, 0, soft)
            result.append(bytes(out))
        else:
            result.append(binascii.b2a_qp(line, istext=False).replace(b"=\n", soft))
    return newline.join(result)


def splice(
    body: bytes, data: bytes, edits: Sequence[Edit], newline: bytes, *, clear: bool
) -> bytearray | None:
    """Return ``body``, which decodes to ``data``, with the edits made; ``newline`` ends new lines.

    Every byte outside of them stays, but that a line in which something is replaced gets soft line
    breaks where it is too long. ``None`` where the result would be read differently.
    """
    soft = b"=" + newline
    if clear:
        places = _places(body, data, edits)
        if places is not None:
            return _spliced(body, places, soft)
    out = _spliced(body, _exact_places(body, edits), soft)
    changed = bytes(out)
    return out if _is_applied(decode(changed, clear=False), data, edits) else None


def _spliced(body: bytes, edits: Sequence[Edit], soft: bytes) -> bytearray:
    """Return a body with edits of its own bytes made; what is new is yet to be encoded."""
    out = bytearray()
    # Tracking links have nothing to escape, the image only what is told apart: one look at all.
    others: bytes | None = b"".join([new for _, _, new in edits]).translate(None, _LITERALS)
    if others and others.strip(_SIMPLE):
        others = None
    done = column = 0  # the end of the last edit; the line so far
    for begin, end, new in edits:
        column = _keep(out, body, done, begin, column, soft)
        if _SIGN in out[-2:]:
            behind = b"=" if column >= LINE - 1 else new[:2] + body[end : end + 2]
            if _becomes_escape(bytes(out[-2:]), behind):
                at = len(out) - (out[-1] != _SIGN)
                while at and out[at - 1] == _SIGN:
                    at -= 1
                kept = bytes(out[at:])
                del out[at:]
                column = _write(out, kept, column - len(kept), soft)
        if not new and out.endswith((b" ", b"\t")) and _TO_LINE_END.match(body, end):
            column = _write(out, bytes((out.pop(),)), column - 1, soft)  # § 6.7 (3)
        elif new:
            column = _write(out, new, column, soft, others)
        done = end
    _keep(out, body, done, len(body), column, soft, is_last=True)
    return out


def _becomes_escape(kept: bytes, behind: bytes) -> bool:
    """Whether a "=" that was itself so far (§ 6.7, note) is not, before what is now behind it."""
    if kept.endswith(b"\n"):
        return False  # a soft line break
    text = kept[kept.index(b"=") :] + _NOT_LITERAL.sub(_escaped, behind[:2])
    return _ESCAPE_OR_BREAK.match(text) is not None


def _is_applied(changed: bytes, data: bytes, edits: Sequence[Edit]) -> bool:
    """Whether ``changed`` is ``apply(data, edits)``, without making that."""
    at = done = 0
    for start, end, new in edits:
        if not changed.startswith(data[done:start] + new, at):
            return False
        at += start - done + len(new)
        done = end
    return changed[at:] == data[done:]


def _places(body: bytes, data: bytes, edits: Sequence[Edit]) -> list[Edit] | None:
    """Return edits of ``data`` as those of a usual ``body``; ``None`` where it is not clear."""
    result: list[Edit] = []
    find, decoded = body.find, binascii.a2b_qp
    done = there = 0  # the end of the last edit, in body and in data
    for start, end, new in edits:
        # Mostly it is where the same characters stand next. What is before it tells whether it is:
        # decoded, that is all of the data before it, and it ends with no half of an escape.
        kept = data[there:start]
        mark = kept[-_MARK:]
        if _SIGN in mark:
            mark = mark.replace(b"=", b"=3D")
        least = done + len(kept)  # each byte takes one at the least, and three at the most
        begin = find(mark, least - len(mark), least + 2 * len(kept) + _FAR) + len(mark)
        if begin < least or decoded(body[done:begin]) != kept or _SIGN in body[begin - 2 : begin]:
            begin = _place(body, done, len(kept), kept.count(b"\r"))
        old, behind = data[start:end], data[end : end + 1]
        least = begin + end - start
        done = find(behind, least, least + 2 * len(old) + _FAR)  # mostly the quote behind a value
        # Not the end of a line that belongs to a soft line break.
        is_soft = behind <= b"\r" and body.endswith((b"=", b"=\r"), begin, max(begin, done))
        if is_soft or done < 0 or decoded(body[begin:done]) != old:
            done = _place(body, begin, len(old), old.count(b"\r"))
            if decoded(body[begin:done]) != old:
                return None
        there = end
        result.append((begin, done, new))
    return result


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


def _exact_places(body: bytes, edits: Sequence[Edit]) -> list[Edit]:
    """Return edits of the data as those of any ``body``."""
    # Behind each token: where that is in data and body, which kind it is, and its size.
    there, here, kinds, sizes = [0], [0], [0], [0]
    for token in _TOKEN.finditer(body):
        if token.lastindex is not None:
            at = there[-1] + token.start() - here[-1]
            there.append(at + 1 if token.lastindex == _ESCAPE else at)
            here.append(token.end())
            kinds.append(token.lastindex)
            sizes.append(token.end() - token.start())

    def begin(at: int) -> int:
        last = bisect_right(there, at) - 1
        if kinds[last] == _PADDING and there[last] == at:
            return here[last] - sizes[last]  # it goes with the line end behind it
        return here[last] + at - there[last]

    def end(at: int) -> int:
        following = bisect_left(there, at)
        if following < len(there) and there[following] == at and kinds[following] == _ESCAPE:
            return here[following]
        return here[following - 1] + at - there[following - 1]

    return [(at := begin(s), end(e) if e > s else at, new) for s, e, new in edits]


def _keep(
    out: bytearray,
    body: bytes,
    start: int,
    end: int,
    column: int,
    soft: bytes,
    *,
    is_last: bool = False,
) -> int:
    """Append what stays as it is; return the column after it.

    A soft line break comes first where the line would become too long.
    """
    line_end = body.find(b"\n", start, end)
    if line_end < 0:
        room = LINE if is_last else LINE - 1
        if column and column + end - start > room:
            out += soft
            column = 0
        if end - start > room:
            return _reflow(out, body[start:end], soft)
        out += body[start:end]
        return column + end - start
    if column or start:
        # Without its end, which may be CRLF.
        size = line_end - start - (line_end > start and body[line_end - 1] == _CR)
        if column + size > LINE:
            out += soft
        if size > LINE:
            _reflow(out, body[start : start + size], soft)
            start += size
    last = body.rfind(b"\n", start, end) + 1
    if end - last >= LINE and not is_last:
        out += body[start:last]
        return _reflow(out, body[last:end], soft)
    out += body[start:end]
    return end - last


def _reflow(out: bytearray, line: bytes, soft: bytes) -> int:
    """Append a line that is too long with soft line breaks; return the column after it."""
    column = 0
    for unit in _UNIT.findall(line):
        if column + len(unit) >= LINE:
            out += soft
            column = 0
        wanted = b"=2D" if unit == b"-" and not column else unit  # no boundary, as in `_write`
        out += wanted
        column += len(wanted)
    return column


def _escaped(found: re.Match[bytes]) -> bytes:
    return _ESCAPES[found[0]]


def _write(
    out: bytearray, new: bytes, column: int, soft: bytes, others: bytes | None = None
) -> int:
    """Append new bytes with soft line breaks; return the column after them.

    ``others`` are the bytes to escape in all that is new, if that is known; `_SIMPLE` ones alone.
    """
    if others is None:
        others = new.translate(None, _LITERALS)
    escaped = False
    if others:
        raw = new
        if others.strip(_SIMPLE):
            new = _NOT_LITERAL.sub(_escaped, new)
        else:
            new = new.replace(b"=", b"=3D").replace(b" ", b"=20")
        escaped = len(new) > len(raw)
    at, size = 0, len(new)
    if column + size < LINE:
        out += new
        return column + size
    has_dashes = new.find(b"--") >= 0
    while column + size - at >= LINE:
        room = LINE - 1 - column if column < LINE else 0
        if escaped and _SIGN in new[at + max(room - 2, 0) : at + room]:
            room = new.index(b"=", at + max(room - 2, 0)) - at  # an escape is not broken
        out += new[at : at + room]
        out += soft
        at += room
        column = 0
        if has_dashes and new.startswith(b"--", at):
            out += b"=2D"  # it shall not be taken for a boundary (RFC 2046 § 5.1.1)
            at += 1
            column = 3
    out += new[at:]
    return column + size - at
