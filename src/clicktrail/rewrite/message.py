"""The whole way of an email: bytes and a policy in, bytes and links out. Pure: no I/O."""

from dataclasses import dataclass

from clicktrail.model import Link, Reason
from clicktrail.rewrite.body import (
    Undecodable,
    as_sent,
    decode_transfer,
    edit_transfer,
    encode_transfer,
)
from clicktrail.rewrite.honeypot import add_honeypot
from clicktrail.rewrite.html import LinkReport, Outcome, Policy, rewrite_text
from clicktrail.rewrite.mime import Part, Unparsable, parts_of
from clicktrail.rewrite.quoted import apply
from clicktrail.rewrite.text import Text, open_text
from clicktrail.rewrite.warn import warnings_for


@dataclass(frozen=True, slots=True)
class Rewritten:
    """What became of an email. With a ``reason`` it is unchanged, and ``links`` is empty."""

    message: bytes
    links: tuple[Link, ...] = ()
    reason: Reason | None = None
    warnings: tuple[str, ...] = ()
    report: tuple[LinkReport, ...] = ()
    html: tuple[str, ...] = ()
    """With ``keep_html``: its HTML parts, as they are sent but for a honeypot."""


@dataclass(slots=True)
class _Done:
    part: Part
    body: bytes
    data: bytes
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
    for number, part in enumerate(shown):
        one = _read(raw, part, policy, number, len(links), report=report)
        if one is not None:
            links += one.outcome.links
            done.append(one)
            del one  # so that what is done with can be freed
    warnings = [each for one in done for each in one.outcome.warnings]
    rows = [row for one in done for row in one.outcome.report]
    if report:
        warnings += warnings_for(rows, [one.size() for one in done])
    if not links:
        reason = Reason.NO_LINKS if done else Reason.UNPARSABLE
        return Rewritten(raw, (), reason, tuple(warnings), tuple(rows))
    html = tuple(map(_as_sent_html, done)) if keep_html else ()
    if policy.honeypot:
        with_links = (one for one in done if one.outcome.links)
        any(add_honeypot(one.text, one.outcome, policy, links[0].url) for one in with_links)
    try:
        message = _splice(raw, done)
    except Undecodable:
        return Rewritten(raw, (), Reason.UNPARSABLE, tuple(warnings), tuple(rows))
    return Rewritten(message, tuple(links), None, tuple(warnings), tuple(rows), html)


def _read(
    raw: bytes, part: Part, policy: Policy, number: int, first: int, *, report: bool
) -> _Done | None:
    """Find the links of a part; ``None`` where it cannot be decoded."""
    body = as_sent(raw[part.body : part.end], part.encoding)
    try:
        data = decode_transfer(body, part.encoding)
    except Undecodable:
        return None
    text = open_text(data, part.parameters.get("charset"))
    outcome = rewrite_text(text, policy, part=number, first=first, report=report)
    return _Done(part, body, data, text, outcome)


def _as_sent_html(one: _Done) -> str:
    return one.text.decode(apply(one.text.source, one.outcome.edits))


def _splice(raw: bytes, done: list[_Done]) -> bytes:
    """Return the email with the parts changed. Takes them from the list: a large email is not to be
    in memory more often than it must.
    """
    pieces: list[bytes | bytearray] = []
    at = 0
    done.reverse()
    while done:
        one = done.pop()
        part, edits = one.part, one.outcome.edits
        if not edits:
            continue
        newline = _newline(raw, part)
        body: bytes | bytearray = one.body
        if one.text.wire is None:
            shift = len(one.text.mark)
            if shift:
                edits = [(start + shift, end + shift, new) for start, end, new in edits]
            body, encoding = edit_transfer(one.body, one.data, edits, part.encoding, newline)
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


def _newline(raw: bytes, part: Part) -> bytes:
    """Return how lines end in a part, or else in its header, or else in an email."""
    for start, end in ((part.body, part.end), (part.start, part.body), (0, part.body)):
        found = raw.find(b"\n", start, end)
        if found >= 0:
            return b"\r\n" if raw[found - 1 : found] == b"\r" else b"\n"
    return b"\r\n"


def _with_encoding(raw: bytes, part: Part, at: int, encoding: str, newline: bytes) -> bytes:
    """Return the bytes from ``at`` to the body, with another transfer encoding in the header."""
    header = part.header
    if header.encoding_value is not None:
        start, end = (part.start + offset for offset in header.encoding_value)
        return raw[at:start] + b" " + encoding.encode() + raw[end : part.body]
    added = b"Content-Transfer-Encoding: " + encoding.encode() + newline
    end = part.start + header.end
    return raw[at:end] + added + raw[end : part.body]
