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

# What a "<" may open, told by the last group. Without a group it is some kind of comment.
_STEP = compile_ascii(
    rf"<(?:[aA](?:{PLAIN_LINK}|(?:{fold('rea')})?+(?=[{WS}/>])())|{fold('base')}()|[vV]:()"
    rf"|({fold('svg|math|plaintext')})|({fold('|'.join(RAW_TEXT_NAMES))})(?=[{WS}/>])"
    rf"|[!?]|/(?![A-Za-z]))"
)
_LINK, _OTHER_LINK, _BASE, _VML, _TOO_HARD, _RAW = range(1, 7)
_OURS = compile_ascii(f":(?:{fold('tags|no-track')})")
_LETTER = re.compile(b"[A-Za-z]")
_SPACED_VALUE = compile_ascii(rf"=[{WS}]++[\"']")
_ALL = bytes(range(256))

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
            if kind == _TOO_HARD:
                return None
            if kind == _RAW:
                end = html.find(b">", step.end(), stop) + 1
                if not end:
                    return None
                spans.append((start, end, in_outlook))
                start = raw_text_end(html, step[_RAW].lower(), end, stop)
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
            inner = conditional(html, at, stop)
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

    A quoted value begins with ``="`` in a row (§ 13.2.5.37), when no white space is between. Of
    the text only what decides is kept: such openings, as one byte, quotes, ``<`` and ``>``. After
    each opening the next thing must be the quote that closes it.
    """
    if b"\1" in text or _SPACED_VALUE.search(text):
        return False
    for quote in (b'"', b"'"):
        opening = b"=" + quote
        if quote == b"'" and opening not in text:
            continue
        kept = b"\1<>" + quote
        rest = text.replace(opening, b"\1").translate(None, _ALL.translate(None, kept))
        if b"\1>" in rest or b"\1<" in rest or b"\1\1" in rest:
            return False
    return b"<<" not in rest.translate(None, b"\1\"'")


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
