"""The whole way of an email: bytes and a policy in, bytes and links out. Pure: no I/O."""

from dataclasses import dataclass

from clicktrail.model import Link, Reason
from clicktrail.rewrite.honeypot import add_honeypot
from clicktrail.rewrite.html.document import Outcome, rewrite_text
from clicktrail.rewrite.mime.body import Undecodable, decode_transfer
from clicktrail.rewrite.mime.quoted import apply
from clicktrail.rewrite.mime.structure import Part, Unparsable, parts_of
from clicktrail.rewrite.mime.text import open_text
from clicktrail.rewrite.parts import Done, splice
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
    done: list[Done] = []
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
        with_body = (one for one in done if one.part.has_body)
        pixel = any(add_pixel(one.text, one.outcome, policy.pixel) for one in with_body)
        if not pixel:
            warnings.append(NO_PLACE)
    if policy.honeypot and links:
        with_links = (one for one in done if one.outcome.links)
        any(add_honeypot(one.text, one.outcome, policy, links[0].url) for one in with_links)
    try:
        message = splice(raw, done)
    except Undecodable as error:
        warnings.append(f"undecodable: nothing is tracked: {error}")
        return Rewritten(raw, (), Reason.UNPARSABLE, tuple(warnings), tuple(rows))
    return Rewritten(message, tuple(links), reason, tuple(warnings), tuple(rows), html, pixel)


def _read(raw: bytes, part: Part, policy: Policy, number: int, first: int, *, report: bool) -> Done:
    """Find the links of a part. Raises `Undecodable`."""
    body = raw[part.body : part.end]
    data, clear = decode_transfer(body, part.encoding)
    text = open_text(data, part.parameters.get("charset"))
    outcome = Outcome([], [], [], [])
    if policy.links:
        outcome = rewrite_text(text, policy, part=number, first=first, report=report)
    return Done(part, body, data, clear, text, outcome)


def _as_sent_html(one: Done) -> str:
    return one.text.decode(apply(one.text.source, one.outcome.edits))
