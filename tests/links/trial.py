"""Puts a document through the rewriter and through the judge."""

import base64

from clicktrail.model import Link
from clicktrail.rewrite import Policy, rewrite_message
from links.casefile import encode, is_own, tracking_link
from links.verdict import changes, expected_output, find, wrong_links

_HEAD = b"Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n"


def rewrite_text(text: str) -> tuple[str, tuple[Link, ...]]:
    """Rewrite a document as the only part of an email."""
    raw = _HEAD + encode(text.encode(), "base64")
    result = rewrite_message(raw, Policy(link=tracking_link, is_own=is_own))
    head, body = result.message[: len(_HEAD)], result.message[len(_HEAD) :]
    assert head == _HEAD
    assert (result.reason is None) == bool(result.links)
    assert result.reason is None or result.message == raw
    return base64.b64decode(body).decode(), result.links


def judge_document(text: str) -> list[str]:
    """Rewrite a document and return all that is wrong with the outcome."""
    output, links = rewrite_text(text)
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
    return wrong
