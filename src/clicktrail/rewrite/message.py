"""The whole way of an email: bytes and a policy in, bytes and links out. Pure: no I/O."""

import re
from dataclasses import dataclass

from clicktrail.model import Link, Reason
from clicktrail.rewrite.honeypot import add_honeypot
from clicktrail.rewrite.html.document import Outcome, rewrite_text
from clicktrail.rewrite.mime.body import (
    Undecodable,
    decode_transfer,
    edit_transfer,
    encode_transfer,
)
from clicktrail.rewrite.mime.quoted import apply
from clicktrail.rewrite.mime.structure import Part, Unparsable, parts_of
from clicktrail.rewrite.mime.text import Text, open_text
from clicktrail.rewrite.pixel import NO_PLACE, add_pixel
from clicktrail.rewrite.policy import LinkReport, Policy
from clicktrail.rewrite.warn import AMP, AMP_STAYS, about_links, about_size


@dataclass(frozen=True, slots=True)
class Rewritten:
    """What became of an email.

    With a ``reason`` it is unchanged, but for the image where there is a ``pixel``; ``links`` is
    empty.
    """

    message: bytes
    links: tuple[Link, ...] = ()
    reason: Reason | None = None
    warnings: tuple[str, ...] = ()
    report: tuple[LinkReport, ...] = ()
    html: tuple[str, ...] = ()
    """With ``keep_html``: its HTML parts, as they are sent but for what is hidden in them."""
    pixel: bool = False
    """Whether it has an image that tells of opens."""


@dataclass(slots=True)
class _Done:
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


def rewrite_message(
    raw: bytes, policy: Policy, *, report: bool = False, keep_html: bool = False
) -> Rewritten:
    """Return an email with the links of its HTML parts replaced (behaviour § 1-5).

    Every part but those, every header and the structure stay byte for byte. Takes any bytes, and
    raises nothing that ``policy`` does not raise.
    """
    try:
        parts = parts_of(raw)
    except Unparsable:
        return Rewritten(raw, reason=Reason.UNPARSABLE)
    if any(part.signed for part in parts):
        return Rewritten(raw, reason=Reason.SIGNED)
    shown = [p for p in parts if p.content_type == "text/html" and not p.attachment]
    if not shown:
        return Rewritten(raw, reason=Reason.NO_HTML)
    done: list[_Done] = []
    links: list[Link] = []
    warnings: list[str] = []
    for number, part in enumerate(shown):
        try:
            one = _read(raw, part, policy, number, len(links), report=report)
        except Undecodable as error:
            warnings.append(f"undecodable: HTML part {number + 1} stays as it is: {error}")
            continue
        links += one.outcome.links
        done.append(one)
        del one  # so that what is done with can be freed
    warnings += [each for one in done for each in one.outcome.warnings]
    rows = [row for one in done for row in one.outcome.report]
    warnings += filter(None, (about_size(len(one.text.html), one.size()) for one in done))
    if any(part.content_type == AMP for part in parts):
        warnings.append(AMP_STAYS)
    if report:
        warnings += about_links(rows)
    reason = None
    if not links:
        reason = Reason.NO_LINKS if done else Reason.UNPARSABLE
        reason = reason if policy.links else Reason.OFF
        if policy.pixel is None or not done:
            return Rewritten(raw, (), reason, tuple(warnings), tuple(rows))
        for one in done:
            one.outcome.edits.clear()  # links that stay keep all their attributes
    html = tuple(map(_as_sent_html, done)) if keep_html and links else ()
    pixel = False
    if policy.pixel is not None:
        pixel = any(add_pixel(one.text, one.outcome, policy.pixel) for one in done)
        if not pixel:
            warnings.append(NO_PLACE)
    if policy.honeypot and links:
        with_links = (one for one in done if one.outcome.links)
        any(add_honeypot(one.text, one.outcome, policy, links[0].url) for one in with_links)
    try:
        message = _splice(raw, done)
    except Undecodable as error:
        warnings.append(f"undecodable: nothing is tracked: {error}")
        return Rewritten(raw, (), Reason.UNPARSABLE, tuple(warnings), tuple(rows))
    return Rewritten(message, tuple(links), reason, tuple(warnings), tuple(rows), html, pixel)


def _read(
    raw: bytes, part: Part, policy: Policy, number: int, first: int, *, report: bool
) -> _Done:
    """Find the links of a part. Raises `Undecodable`."""
    body = raw[part.body : part.end]
    data, clear = decode_transfer(body, part.encoding)
    text = open_text(data, part.parameters.get("charset"))
    outcome = Outcome([], [], [], [])
    if policy.links:
        outcome = rewrite_text(text, policy, part=number, first=first, report=report)
    return _Done(part, body, data, clear, text, outcome)


def _as_sent_html(one: _Done) -> str:
    return one.text.decode(apply(one.text.source, one.outcome.edits))


def _splice(raw: bytes, done: list[_Done]) -> bytes:
    """Return the email with the parts changed. Takes them from the list: a large email is not to be
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


def _newline(raw: bytes) -> bytes:
    """Return how the lines of an email end.

    RFC 5321 § 2.3.8: in CRLF alone. A file may have LF instead: in its header there is no CRLF.
    """
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
