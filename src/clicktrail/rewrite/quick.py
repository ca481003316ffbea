"""Finds the tags that matter in well-mannered HTML, as nearly all emails have it, in less time.

The document is cut into segments: what lies between comments, raw text and other things that are
no markup. Then it is proved, in a few passes at the speed of C, that in no segment a ``<`` stands
inside a tag, nor a ``>`` in a quoted value (`_is_tame`). So the tokenizer is in the data state at
every ``<``, and a tag ends at the next ``>``: looking for ``<a`` finds links and nothing else.
Where the proof fails, the exact `scanner` has its turn. Clauses are those of the HTML standard.
"""

import re
import sys
from bisect import bisect_right
from collections.abc import Iterator

from clicktrail.rewrite.markup import (
    PLAIN_LINK,
    RAW_TEXT_NAMES,
    WS,
    Tag,
    comment_end,
    compile_ascii,
    conditional,
    fold,
    has_endif,
    raw_text_end,
    tag_at,
)

# What a "<" may open, told by the last group. Without a group it is some kind of comment. Every
# alternative begins with a character, so that most tags are passed over by a look at that.
_RAW_TAILS = {
    first: "|".join(fold(name[1:]) for name in RAW_TEXT_NAMES if name[0] == first)
    for first in sorted({name[0] for name in RAW_TEXT_NAMES})
}
_STEP = compile_ascii(
    rf"<(?:[!?]|/(?![A-Za-z])|[aA](?:{PLAIN_LINK}|(?:{fold('rea')})?+(?=[{WS}/>])())"
    rf"|{fold('base')}()|[vV]:()|[mM]{fold('ath')}()|[pP]{fold('laintext')}()|[sS]{fold('vg')}()|"
    + "|".join(
        rf"[{first}{first.upper()}](?:{tails})(?=[{WS}/>])()" for first, tails in _RAW_TAILS.items()
    )
    + ")"
)
_LINK, _OTHER_LINK, _BASE, _VML = range(1, 5)
_TOO_HARD = frozenset((5, 6, 7))
_SVG = 7
_OURS = compile_ascii(f":(?:{fold('tags|no-track')})")
_LETTER = re.compile(b"[A-Za-z]")
_SPACED_VALUE = compile_ascii(rf"=[{WS}]++[\"']")
_BAD_VALUE = re.compile(b'="[^"<>]*+(?!")')
_BAD_SINGLE_VALUE = re.compile(b"='[^'<>]*+(?!')")
_NO_ANGLES = bytes(each for each in range(256) if each not in b"<>")

Span = tuple[int, int, bool]
"""Start and end of a segment, and whether it lies in an Outlook conditional comment."""


def tags(html: bytes) -> list[Tag | re.Match[bytes]] | None:
    """Return what `scanner.tags` yields, or ``None`` where the document is not well-mannered."""
    cut = _cut(html)
    if cut is None:
        return None
    spans, found = cut
    if not _is_tame(b"".join([html[start:end] + b"<>" for start, end, _ in spans])):
        return None
    if _OURS.search(html):
        starts = {each if isinstance(each, int) else each.start() for each in found}
        found += [at for at in _with_ours(html, spans) if at not in starts]
        found.sort(key=lambda each: each if isinstance(each, int) else each.start())
    result: list[Tag | re.Match[bytes]] = []
    for each in found:
        if isinstance(each, int):
            _, end, in_outlook = _span_of(spans, each)
            tag = tag_at(html, each, end)
            if tag is None:
                return None
            tag.in_outlook = in_outlook
            result.append(tag)
        else:
            result.append(each)
    return result


def _cut(html: bytes) -> tuple[list[Span], list[int | re.Match[bytes]]] | None:
    """Return the segments, and matches of usual links and places of other tags, in order.

    ``None`` where something needs the exact scanner.
    """
    spans: list[Span] = []
    found: list[int | re.Match[bytes]] = []
    in_outlook = False
    after_comment = 0
    start, stop = 0, len(html)
    while True:
        for step in _STEP.finditer(html, start, stop):
            kind = step.lastindex
            if kind == _LINK and not in_outlook:
                found.append(step)
                continue
            at = step.start()
            if kind in _TOO_HARD:
                return None
            if kind is not None and kind > _SVG:
                end = html.find(b">", step.end(), stop) + 1
                if not end:
                    return None
                spans.append((start, end, in_outlook))
                start = raw_text_end(html, html[at + 1 : step.end()].lower(), end, stop)
                break
            if kind is not None:
                if in_outlook or kind != _VML:
                    found.append(at)
                continue
            spans.append((start, at, in_outlook))
            if not html.startswith(b"<!--", at):
                # § 13.2.5.41: a bogus comment, a document type, or "</>"
                start = html.find(b">", at, stop) + 1 or stop
                break
            if in_outlook:
                return None
            start, data_end = comment_end(html, at, stop)
            inner = conditional(html, at, stop) if html[at + 4 : at + 5] == b"[" else None
            if inner is not None and inner <= data_end and has_endif(html, inner, data_end):
                after_comment, start, stop, in_outlook = start, inner, data_end, True
            break
        else:
            spans.append((start, stop, in_outlook))
            if not in_outlook:
                return spans, found
            start, stop, in_outlook = after_comment, len(html), False


def _is_tame(text: bytes) -> bool:
    """Whether no quoted value holds ``<`` or ``>``, and every ``<`` has its ``>`` before the next.

    A quoted value begins with ``="`` in a row (§ 13.2.5.37), when no white space is between. Not
    every ``="`` in the text begins one, but what follows each must look as if it did.
    """
    if _SPACED_VALUE.search(text) or _BAD_VALUE.search(text):
        return False
    if b"='" in text and _BAD_SINGLE_VALUE.search(text):
        return False
    return b"<<" not in text.translate(None, _NO_ANGLES)


def _with_ours(html: bytes, spans: list[Span]) -> Iterator[int]:
    """Yield where tags begin that may have attributes of ours."""
    done = 0
    for match in _OURS.finditer(html):
        at = html.rfind(b"<", done, match.start())
        done = match.start()
        if at >= 0 and _LETTER.match(html, at + 1) and html.find(b">", at, done) < 0:
            start, end, _ = _span_of(spans, at)
            if start <= at < end:
                yield at


def _span_of(spans: list[Span], at: int) -> Span:
    return spans[max(bisect_right(spans, (at, sys.maxsize, True)) - 1, 0)]
