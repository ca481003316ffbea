"""Finds the tags that matter in well-mannered HTML, as nearly all emails have it, in less time.

All that is to be looked at is found in one pass (`manners`); any other document is for the exact
`scanner`.
"""

import re

from clicktrail.rewrite.html.manners import landmarks
from clicktrail.rewrite.html.markup import (
    BODY_END,
    MATTER,
    MATTER_IN_OUTLOOK,
    Tag,
    comment_end,
    conditional,
    has_endif,
    tag_at,
)
from clicktrail.rewrite.html.plain import PLAIN_LINK

_ENDIF = b"<![endif]"
_SVG_END = re.compile(rb"</[sS][vV][gG]")
_LESS, _A = b"<"[0], b"aA"


def tags(html: bytes) -> list[Tag | re.Match[bytes]] | None:
    """Return what `scanner.tags` yields, or ``None`` where the document is not well-mannered."""
    places = landmarks(html)
    if places is None:
        return None
    result: list[Tag | re.Match[bytes]] = []
    done = svg_end = 0
    for place in places:
        if place <= done:
            continue
        at = place - 3
        if html[at - 3 : at + 2].lower() == b"<area":
            at -= 3
        plain = PLAIN_LINK.match(html, at) if place > svg_end else None
        if plain is not None:
            result.append(plain)
            done = plain.end()
            continue
        if place <= svg_end:
            at = _tag_before(html, done, place)
        elif html[place - 5 : place - 1].lower() == b"<svg":
            svg_end = _end_of_svg(html, place)
            continue
        elif html[place - 7 : place - 1].lower() == b"</body":
            done = html.index(b">", place - 1) + 1
            result.append(Tag(BODY_END, place - 7, done, {}, ()))
            continue
        elif html[at] != _LESS or html[at + 1] not in _A:
            comment = _comment_around(html, done, place)
            if comment is not None:
                done, data_end = comment_end(html, comment, len(html))
                inside = _in_outlook(html, comment, data_end)
                if inside is None:
                    return None
                result += inside
                continue
            at = _tag_before(html, done, place)
            if at < 0:
                return None
        tag = tag_at(html, at, len(html))
        if tag is None:
            return None
        done = tag.end
        if tag.ours or tag.name in MATTER:
            tag.is_foreign = tag.in_svg = place <= svg_end
            result.append(tag)
    return result


def _end_of_svg(html: bytes, at: int) -> int:
    """Return where the end tag of the SVG drawing begins in which an offset is."""
    found = _SVG_END.search(html, at)
    assert found is not None  # or it would not be well-mannered
    return found.start()


def _tag_before(html: bytes, start: int, end: int) -> int:
    """Return where the last tag begins, or -1; a ``<`` not before a letter begins none."""
    while (end := html.rfind(b"<", start, end)) >= 0:
        if html[end + 1 : end + 2].isalpha():
            break
    return end


def _comment_around(html: bytes, at: int, place: int) -> int | None:
    """Return where the conditional comment begins in which a place is, from an offset outside."""
    while (at := html.find(b"<!--[", at, place)) >= 0:
        end, _ = comment_end(html, at, len(html))
        if end > place:
            return at
        at = end
    return None


def _in_outlook(html: bytes, start: int, data_end: int) -> list[Tag] | None:
    """Return the tags that matter in a comment to Outlook; ``None`` if not well-mannered."""
    inner = conditional(html, start, data_end)
    if inner is None or not has_endif(html, inner, data_end):
        return []
    stop = data_end - len(_ENDIF)
    if not html.startswith(_ENDIF, stop):
        return None
    places = landmarks(html[inner:stop])
    if places is None:
        return None
    result: list[Tag] = []
    done = 0
    for place in places:
        if inner + place <= done:
            continue
        at = _tag_before(html, inner, inner + place)
        tag = tag_at(html, at, stop) if at >= 0 else None
        if tag is None:
            return None
        done = tag.end
        tag.in_outlook = True
        if tag.ours or tag.name in MATTER_IN_OUTLOOK or tag.name.startswith(b"v:"):
            result.append(tag)
    return result
