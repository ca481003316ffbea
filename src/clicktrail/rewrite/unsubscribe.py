"""The placeholder for the page where somebody unsubscribes, as SES calls it. Pure: no I/O."""

import re

from clicktrail.rewrite.html.document import Outcome
from clicktrail.rewrite.mime.body import Undecodable, decode_transfer
from clicktrail.rewrite.mime.structure import Unparsable, parts_of
from clicktrail.rewrite.mime.text import open_text
from clicktrail.rewrite.parts import Done, splice

PLACEHOLDER = "{{amazonSESUnsubscribeUrl}}"

_PLACEHOLDER = re.compile(re.escape(PLACEHOLDER).encode())
_TEXTS = frozenset(("text/html", "text/plain"))


def with_unsubscribe_url(raw: bytes, url: str) -> bytes:
    """Return an email with a URL (ASCII, without quotes) for each placeholder in its texts.

    All else stays byte for byte; so does an email that is signed, encrypted or unreadable.
    """
    try:
        parts = parts_of(raw)
    except Unparsable:
        return raw
    if any(part.signed for part in parts):
        return raw
    new, done = url.encode("ascii"), []
    for part in parts:
        if part.content_type not in _TEXTS or part.attachment:
            continue
        body = raw[part.body : part.end]
        try:
            data, clear = decode_transfer(body, part.encoding)
            text = open_text(data, part.parameters.get("charset"))
        except Undecodable:
            continue
        if edits := [(*found.span(), new) for found in _PLACEHOLDER.finditer(text.html)]:
            done.append(Done(part, body, data, clear, text, Outcome(edits, [], [], [])))
    try:
        return splice(raw, done) if done else raw
    except Undecodable:
        return raw
