"""Puts a document through the rewriter and through the judge."""

from dataclasses import replace
from random import Random

from clicktrail.model import Link, Reason
from clicktrail.rewrite import Policy, rewrite_message
from links.casefile import is_own, tracking_link
from links.envelopes import Envelope, plain, random_envelope
from links.verdict import changes, expected_output, find, wrong_links
from support.pixels import IMAGE, PIXEL, has_place, is_shown
from support.rewrite_checks import check_wire

TRACKING = Policy(link=tracking_link, is_own=is_own)
OPENS = replace(TRACKING, pixel=PIXEL)


def rewrite_in(envelope: Envelope, *, opens: bool = False) -> tuple[str, tuple[Link, ...]]:
    """Rewrite an email; return what a browser reads of it then, and its links.

    With ``opens``, the image is where it is shown, or there is no such place; it is left out of
    what is returned.
    """
    raw = envelope.raw
    result = rewrite_message(raw, OPENS if opens else TRACKING)
    assert (result.reason is None) == bool(result.links)
    assert result.reason in (None, Reason.NO_LINKS)
    assert result.reason is None or result.pixel or result.message == raw
    if result.message != raw:
        check_wire(raw, result.message)
    after = envelope.text_of(result.message)
    if not opens:
        assert not result.pixel
        return after, result.links
    assert len(IMAGE.findall(after)) == result.pixel
    assert is_shown(after) if result.pixel else envelope.ends_escaped or not has_place(after)
    return IMAGE.sub("", after), result.links


def judge_document(text: str, rng: Random | None = None, *, opens: bool = False) -> list[str]:
    """Rewrite a document and return all that is wrong with the outcome.

    In UTF-8; or with ``rng`` in a charset, a transfer encoding and with line ends that it chooses.
    With ``opens``, it gets the image that tells of them.
    """
    envelope = plain(text) if rng is None else random_envelope(rng, text)
    text = envelope.text_of(envelope.raw)
    output, links = rewrite_in(envelope, opens=opens)
    found = find(text)
    if not found.judged:
        return []
    wrong = wrong_links(text, found, links)
    if [link.index for link in links] != list(range(len(links))):
        wrong.append(f"links are not counted from 0: {links!r}")
    if [link.offset for link in links] != sorted({link.offset for link in links}):
        wrong.append("links are not in the order of the text, each once")
    if not links or not found.agreed:
        return wrong
    tracked = {link.offset: link for link in links}
    wrong += changes(text, output, tracked)
    expected = expected_output(text, found, links)
    if expected is not None and output != expected:
        wrong.append(f"the output is\n{output!r}, not\n{expected!r}")
    return [f"{each} (in {envelope})" for each in wrong]
