"""Parts of an email that were changed, and the email with them."""

import re
from dataclasses import dataclass

from clicktrail.rewrite.html.document import Outcome
from clicktrail.rewrite.mime.body import edit_transfer, encode_transfer
from clicktrail.rewrite.mime.quoted import apply
from clicktrail.rewrite.mime.structure import Part
from clicktrail.rewrite.mime.text import Text


@dataclass(slots=True)
class Done:
    """A part, and what is to be done with it."""

    part: Part
    body: bytes
    data: bytes
    clear: bool
    text: Text
    outcome: Outcome

    def size(self) -> int:
        """Bytes of the changed document."""
        return len(self.text.html) + sum(
            len(new) - (end - start) for start, end, new in self.outcome.edits
        )


def splice(raw: bytes, done: list[Done]) -> bytes:
    """Return the email with the parts changed. Raises `Undecodable`.

    Takes them from the list: a large email is not to be
    in memory more often than it must.
    """
    pieces: list[bytes | bytearray] = []
    at = 0
    newline = _newline(raw)
    done.reverse()
    while done:
        one = done.pop()
        part, edits = one.part, one.outcome.edits
        if not edits:
            continue
        body: bytes | bytearray = one.body
        if one.text.wire is None:
            shift = len(one.text.mark)
            if shift:
                edits = [(start + shift, end + shift, new) for start, end, new in edits]
            body, encoding = edit_transfer(
                one.body, one.data, edits, part.encoding, newline, clear=one.clear
            )
        else:
            data = one.text.encode(apply(one.text.html, edits))
            body, encoding = encode_transfer(one.body, data, part.encoding, newline)
        if encoding != part.encoding:
            pieces.append(_with_encoding(raw, part, at, encoding, newline))
        else:
            pieces.append(raw[at : part.body])
        pieces.append(body)
        at = part.end
        del one
    pieces.append(raw[at:])
    return b"".join(pieces)


_BLANK_LINE = re.compile(rb"\n\r?\n")
_CR = ord("\r")


def _newline(raw: bytes) -> bytes:
    """Return how the lines of an email end.

    RFC 5321 § 2.3.8: in CRLF alone. A file may have LF instead: in its header there is no CRLF.
    """
    first = raw.find(b"\n")
    if first > 0 and raw[first - 1] == _CR:
        return b"\r\n"
    blank = _BLANK_LINE.search(raw)
    end = blank.end() if blank else len(raw)
    return b"\n" if b"\n" in raw[:end] and b"\r\n" not in raw[:end] else b"\r\n"


def _with_encoding(raw: bytes, part: Part, at: int, encoding: str, newline: bytes) -> bytes:
    """Return the bytes from ``at`` to the body, with another transfer encoding in the header."""
    header = part.header
    if header.encoding_values:
        pieces: list[bytes] = []
        for span in header.encoding_values:
            start, end = (part.start + offset for offset in span)
            pieces += raw[at:start], b" ", encoding.encode()
            at = end
        return b"".join((*pieces, raw[at : part.body]))
    added = b"Content-Transfer-Encoding: " + encoding.encode() + newline
    end = part.start + header.end
    return raw[at:end] + added + raw[end : part.body]
