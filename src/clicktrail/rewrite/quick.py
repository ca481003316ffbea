"""Finds the tags that matter in well-mannered HTML, as nearly all emails have it, in less time.

One expression looks for what may hold a link, and passes over comments, style and such in one go:
these are holes, and so are links in their usual form. Then it is proved of the rest, in a few
passes at the speed of C, that no ``<`` stands inside a tag, and no ``>`` in a quoted value
(`_is_tame`). So the tokenizer is in the data state at every ``<`` there, and a tag ends at the next
``>``: what was found is all there is. Where the proof fails, the exact `scanner` has its turn.
Clauses are those of the HTML standard.
"""

import re
import sys
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field

from clicktrail.rewrite.markup import (
    MATTER,
    PLAIN_LINK,
    QUOTED_ATTRIBUTES,
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

_END = f"(?=[{WS}/>])"
_IF = rf"\[{fold('if')}\b"
_MATTERS = (
    rf"[!?]|/[^A-Za-z]|[aA](?:{fold('rea')})?{_END}|{fold('base')}{_END}|[vV]:"
    rf"|(?:{fold('script|style|title|textarea|iframe|noembed|noframes|xmp')}){_END}"
    rf"|{fold('svg|math|plaintext')}"
)
_COMMENT = r"(?!-?>)[^-]*+(?>(?:-(?!-!?>)[^-]*+)*)--!?>"
# An Outlook conditional comment without anything in it that matters.
_DULL = rf"{_IF}[^\]>]*+\]>(?>(?:[^<]*+<(?!{_MATTERS}))*)[^<]*+<!\[{fold('endif')}\]-->"
# "<!--[if !mso]><!-->" and "<!--[if !mso]><!-- -->", for all who are not Outlook
_REVEALED = rf"{_IF}[^\]>]*+\]>[{WS}]*+<!--(?:>|[{WS}]*+-->)"


def _raw(name: str) -> str:
    """Return an element with raw text in its usual form, up to its end tag."""
    end = f"/{fold(name)}{_END}"
    return rf"{fold(name[1:])}{QUOTED_ATTRIBUTES}[{WS}]*+>(?>(?:[^<]++|<(?!{end}))*)(?=<{end})"


# What a "<" may open, told by the last group; without one it is a hole. The letters that nothing
# of it begins with are tried first, and together, as that takes the time.
_STEP = compile_ascii(
    rf"<(?=[aA!?sSbBvViInNxXmMpP]|[tT][iIeE]|/[^A-Za-z])(?:"
    rf"[aA](?:{PLAIN_LINK}|(?:{fold('rea')})?+{_END}())"
    rf"|!(?:--(?:(?!{_IF}){_COMMENT}|{_REVEALED}|{_DULL}())|[^\->][^>]*+>)"
    rf"|[bB]{fold('ase')}{_END}()|[vV]:()"
    rf"|[sS](?:{_raw('style')}|(?:{fold('cript|tyle')}){_END}()|{fold('vg')}())"
    rf"|[tT](?:{_raw('title')}|(?:{fold('itle|extarea')}){_END}())"
    rf"|[iI]{fold('frame')}{_END}()|[nN]{fold('o(?:embed|frames)')}{_END}()|[xX]{fold('mp')}{_END}()"
    rf"|[mM]{fold('ath')}()|[pP]{fold('laintext')}()|[!?/]())"
)
_LINK, _OTHER_LINK, _DULL_CONDITIONAL, _BASE, _VML = range(1, 6)
_RAW = frozenset((6, 8, 9, 10, 11))
_TOO_HARD = frozenset((7, 12, 13))

_OURS = compile_ascii(f":(?:{fold('tags|no-track')})")
_LETTER = re.compile(b"[A-Za-z]")
_UNUSUAL_VALUE = compile_ascii(rf"=(?:'|[{WS}]++[\"'])")
_SPACED_VALUE = compile_ascii(rf"=[{WS}]++[\"']")
_ALL = bytes(range(256))
_BUT_QUOTES = {quote: _ALL.translate(None, b"\1<>" + quote) for quote in (b'"', b"'")}

Span = tuple[int, int]


@dataclass(slots=True)
class _Found:
    """What there is in a document, in order."""

    items: list[int | re.Match[bytes]] = field(default_factory=list)
    """Links in their usual form, and where other tags begin that may matter."""
    holes: list[Span] = field(default_factory=list)
    dull: set[int] = field(default_factory=set)
    """Where those holes begin that are conditional comments."""
    inside: list[Span] = field(default_factory=list)
    """The other conditional comments: what Outlook reads."""

    def in_outlook(self, at: int) -> bool:
        """Whether only Outlook reads what stands there."""
        return any(start <= at < end for start, end in self.inside)

    def text(self, html: bytes) -> bytes:
        """Return the document without holes: there, all tags are to be closed."""
        pieces = []
        done = 0
        for start, end in self.holes:
            pieces.append(html[done:start])
            done = end
        pieces += html[done:], b""
        return b"<>".join(pieces)


def tags(html: bytes) -> list[Tag | re.Match[bytes]] | None:
    """Return what `scanner.tags` yields, or ``None`` where the document is not well-mannered."""
    found = _find(html)
    if found is None or not _is_tame(found.text(html)):
        return None
    items = found.items
    small = html.lower()
    if b":tags" in small or b":no-track" in small:
        ours = set(_with_ours(html, found))
        ours.difference_update(each if isinstance(each, int) else each.start() for each in items)
        items = sorted(
            (*items, *ours), key=lambda each: each if isinstance(each, int) else each.start()
        )
    result: list[Tag | re.Match[bytes]] = []
    for each in items:
        if isinstance(each, int):
            tag = tag_at(html, each, len(html))
            if tag is None:
                return None
            if tag.ours or tag.name in MATTER or found.in_outlook(each):
                tag.in_outlook = found.in_outlook(each)
                result.append(tag)
        else:
            result.append(each)
    return result


def _find(html: bytes) -> _Found | None:
    """Look for all that matters, as if the document were tame; ``None`` if it cannot be."""
    found = _Found()
    items, holes = found.items, found.holes
    in_outlook = False
    after_comment = 0
    start, stop = 0, len(html)
    while True:
        for step in _STEP.finditer(html, start, stop):
            kind = step.lastindex
            if kind is None:
                holes.append(step.span())
                continue
            if kind == _LINK and not in_outlook:
                items.append(step)
                holes.append(step.span())
                continue
            at = step.start()
            if kind == _DULL_CONDITIONAL and _is_one_comment(html, at, step.end()):
                holes.append((at, step.end()))
                found.dull.add(at)
            elif kind in _TOO_HARD:
                return None
            elif kind in _RAW:
                end = html.find(b">", at, stop) + 1
                if not end:
                    return None
                start = raw_text_end(html, step[0][1:].lower(), end, stop)
                holes.append((end, start))
                break
            elif kind <= _VML and kind != _DULL_CONDITIONAL:
                if in_outlook or kind != _VML:
                    items.append(at)
            elif not html.startswith(b"<!--", at):
                # § 13.2.5.41: a bogus comment, or "</>"
                start = html.find(b">", at, stop) + 1 or stop
                holes.append((at, start))
                break
            elif in_outlook:
                return None
            else:
                start, data_end = comment_end(html, at, stop)
                inner = conditional(html, at, stop)
                if inner is None or inner > data_end or not has_endif(html, inner, data_end):
                    holes.append((at, start))
                else:
                    holes.append((at, inner))
                    found.inside.append((inner, data_end))
                    after_comment, start, stop, in_outlook = start, inner, data_end, True
                break
        else:
            if not in_outlook:
                return found
            holes.append((stop, after_comment))
            start, stop, in_outlook = after_comment, len(html), False


def _is_one_comment(html: bytes, start: int, end: int) -> bool:
    """Whether a comment does not end before ``end``."""
    return html.find(b"-->", start + 4, end) == end - 3 and html.find(b"--!>", start, end) < 0


def _is_tame(text: bytes) -> bool:
    """Whether no quoted value holds ``<`` or ``>``, and every ``<`` has its ``>`` before the next.

    A quoted value begins with ``="`` in a row (§ 13.2.5.37), when no white space is between. Of
    the text only what decides is kept: such openings, as one byte, quotes, ``<`` and ``>``. After
    each opening the next thing must be the quote that closes it.
    """
    quotes = [b'"']
    if _UNUSUAL_VALUE.search(text):
        if _SPACED_VALUE.search(text):
            return False
        quotes.append(b"'")
    if b"\1" in text:
        return False
    for quote in quotes:
        rest = b"\1".join(text.split(b"=" + quote)).translate(None, _BUT_QUOTES[quote])
        if b"\1>" in rest or b"\1<" in rest or b"\1\1" in rest:
            return False
    return b"<<" not in rest.translate(None, b"\1\"'")


def _with_ours(html: bytes, found: _Found) -> Iterator[int]:
    """Yield where tags begin that may have attributes of ours."""
    done = 0
    for match in _OURS.finditer(html):
        at = html.rfind(b"<", done, match.start())
        done = match.start()
        if at < 0 or not _LETTER.match(html, at + 1) or html.find(b">", at, done) >= 0:
            continue
        hole = bisect_right(found.holes, (at, sys.maxsize)) - 1
        if hole >= 0:
            start, end = found.holes[hole]
            if at < end:
                if start in found.dull:
                    found.inside.append((at, at + 1))
                    yield at
                continue
        yield at
