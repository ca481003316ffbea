"""The whole way of an email: bytes and a policy in, bytes and links out. Pure: no I/O."""

from dataclasses import dataclass, replace

from clicktrail.model import Link, Reason
from clicktrail.rewrite.body import (
    Text,
    Undecodable,
    decode_text,
    decode_transfer,
    encode_transfer,
)
from clicktrail.rewrite.html import LinkReport, Policy, RewrittenHtml, rewrite_html
from clicktrail.rewrite.mime import Part, Unparsable, parts_of
from clicktrail.rewrite.warn import warnings_for


@dataclass(frozen=True, slots=True)
class Rewritten:
    """What became of an email. With a ``reason`` it is unchanged, and ``links`` is empty."""

    message: bytes
    links: tuple[Link, ...] = ()
    reason: Reason | None = None
    warnings: tuple[str, ...] = ()
    report: tuple[LinkReport, ...] = ()


@dataclass(slots=True)
class _Done:
    part: Part
    text: Text
    result: RewrittenHtml
    body: bytes


def rewrite_message(raw: bytes, policy: Policy, *, report: bool = False) -> Rewritten:
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
    broken = 0
    for part in shown:
        body = raw[part.body : part.end]
        try:
            data = decode_transfer(body, part.encoding)
            text = decode_text(data, part.parameters.get("charset"))
        except Undecodable:
            broken += 1
            continue
        result = rewrite_html(
            text.text,
            _reading(policy, text),
            part=len(done) + broken,
            first=len(links),
            report=report,
        )
        if text.has_bytes:
            result.links = [replace(k, url=text.read_url(k.url)) for k in result.links]
        links.extend(result.links)
        done.append(_Done(part, text, result, body))
    warnings = [each for one in done for each in one.result.warnings]
    rows = [row for one in done for row in one.result.report]
    if report:
        warnings += warnings_for(rows, [one.result.html for one in done])
    if not links:
        reason = Reason.UNPARSABLE if broken == len(shown) else Reason.NO_LINKS
        return Rewritten(raw, (), reason, tuple(warnings), tuple(rows))
    try:
        message = _splice(raw, done)
    except Undecodable:
        return Rewritten(raw, (), Reason.UNPARSABLE, tuple(warnings), tuple(rows))
    return Rewritten(message, tuple(links), None, tuple(warnings), tuple(rows))


def _reading(policy: Policy, text: Text) -> Policy:
    """Return the policy for a text in which characters may stand for bytes."""
    if not text.has_bytes:
        return policy
    return Policy(
        lambda index, url: policy.link(index, text.read_url(url)),
        lambda url: policy.is_own(text.read_url(url)),
        policy.max_url,
    )


def _splice(raw: bytes, done: list[_Done]) -> bytes:
    pieces: list[bytes] = []
    at = 0
    for one in done:
        part, result = one.part, one.result
        if result.html is one.text.text:
            continue
        newline = _newline(raw, part)
        data = one.text.encode(result.html)
        body, encoding = encode_transfer(data, part.encoding, one.body, newline)
        if encoding != part.encoding:
            pieces.append(_with_encoding(raw, part, at, encoding, newline))
        else:
            pieces.append(raw[at : part.body])
        pieces.append(body)
        at = part.end
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
    for each in part.fields:
        if each.name == "content-transfer-encoding":
            value = b" " + encoding.encode()
            return raw[at : each.value_start] + value + raw[each.value_end : part.body]
    added = b"Content-Transfer-Encoding: " + encoding.encode() + newline
    return raw[at : part.fields_end] + added + raw[part.fields_end : part.body]
