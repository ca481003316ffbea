"""Finds the tags that matter in any HTML, exactly where a browser's tokenizer does.

Nothing is re-serialised, and dull text and tags are skipped by one expression. `quick` does the
same for well-mannered documents in less time. Clauses are those of the HTML standard (WHATWG).
"""

import re
from collections.abc import Iterator

from clicktrail.rewrite.html.foreign import Foreign
from clicktrail.rewrite.html.markup import (
    ATTRIBUTES,
    BODY_END,
    GIVEN,
    MATTER,
    MATTER_IN_OUTLOOK,
    NAME,
    RAW_TEXT,
    RAW_TEXT_NAMES,
    TAG,
    WS,
    Tag,
    comment_end,
    compile_ascii,
    conditional,
    fold,
    has_endif,
    raw_text_end,
    tag_at,
    tag_of,
)
from clicktrail.rewrite.html.plain import PLAIN_LINK

_OUR_ATTRIBUTES = rf"(?:{fold('postbox|ses')}):(?:{fold('tags|no-track')})(?=[{WS}/>=])"
_OTHER_ATTRIBUTES = rf"(?>(?:[{WS}/]*+(?!{_OUR_ATTRIBUTES}){NAME}{GIVEN})*)"
_USUAL_ATTRIBUTES = rf"""(?>(?:[{WS}]++[A-Za-z\-]++="[^"]*+")*)"""
_ALWAYS = fold("|".join(("area", "a", "base", "body", "plaintext", "template", *RAW_TEXT_NAMES)))
# How many tags and texts are passed over in one go: what a go needs of memory grows with it.
_AT_ONCE = 1000


def _skip(names: str, attributes: str) -> re.Pattern[bytes]:
    """Return what passes over text and over tags that have another name and no such attribute.

    The usual form of a tag comes first: no attributes, or all of them in double quotes, none with
    a colon in its name.
    """
    dull = rf"</?+(?=[A-Za-z])(?!(?:{names})(?=[{WS}/>]))"
    return compile_ascii(
        rf"(?>(?:[^<]++|{dull}[A-Za-z0-9:]++{_USUAL_ATTRIBUTES}[{WS}]*+/?+>"
        rf"|<(?![A-Za-z/!?])|{dull}[^{WS}/>]++{attributes}[{WS}/]*+>){{0,{_AT_ONCE}}})"
    )


_SKIP = _skip(_ALWAYS, ATTRIBUTES)
_SKIP_TO_OURS = _skip(_ALWAYS, _OTHER_ATTRIBUTES)
_SKIP_IN_OUTLOOK = _skip(_ALWAYS + rf"|[vV]:[^{WS}/>]*+", _OTHER_ATTRIBUTES)
_SKIP_TEXT = compile_ascii(rf"(?>(?:[^<]++|<(?![A-Za-z/!?])){{0,{_AT_ONCE}}})")
_LETTER = re.compile(b"[A-Za-z]")
_NEEDS_OURS = compile_ascii(f":(?:{fold('tags|no-track')})")
_NEEDS_CARE = compile_ascii(f"<(?:{fold('svg|math|frameset')})")


def needs_care(html: bytes) -> bool:
    """Whether there may be SVG or MathML, where other rules hold (`Foreign`), or no body."""
    return _NEEDS_CARE.search(html) is not None


def tags(html: bytes) -> Iterator[Tag | re.Match[bytes]]:
    """Yield the start tags that may hold a link, a base or attributes of ours, in order.

    And templates, and end tags of the body.
    Nothing in comments (but Outlook's conditional ones), in raw text, or in a tag that the end of
    the file cuts off. A link in its usual form (`PLAIN_LINK`) is a match, anything else a `Tag`.
    """
    careful = needs_care(html)
    skip = _SKIP_TO_OURS if _NEEDS_OURS.search(html) else _SKIP
    foreign = Foreign()
    in_outlook = False
    after_comment = 0
    stop, at = len(html), 0
    while True:
        pattern = _SKIP_IN_OUTLOOK if in_outlook else _SKIP_TEXT if careful else skip
        at = pattern.match(html, at, stop).end()  # type: ignore[union-attr]
        if at >= stop:
            if not in_outlook:
                return
            at, stop, in_outlook = after_comment, len(html), False
            continue
        if html[at] != 0x3C:
            continue  # as much as is passed over at once
        mark = html[at + 1 : at + 2]
        if mark in (b"!", b"?") or (mark == b"/" and not _LETTER.match(html, at + 2, stop)):
            if html.startswith(b"<!--", at):
                inner = conditional(html, at, stop)
                if in_outlook:
                    # Its data holds no "-->": a conditional comment in it is entered, another
                    # one reaches to the end.
                    at = inner if inner is not None else stop
                    continue
                end, data_end = comment_end(html, at, stop)
                if inner is not None and inner <= data_end and has_endif(html, inner, data_end):
                    at, stop, in_outlook, after_comment = inner, data_end, True, end
                else:
                    at = end
            elif foreign.inside and html.startswith(b"<![CDATA[", at):
                found = html.find(b"]]>", at + 9, stop)  # § 13.2.5.69
                at = found + 3 if found >= 0 else stop
            elif mark == b"/" and at + 2 >= stop:
                at = stop  # "</" at the end is text
            else:
                found = html.find(b">", at + 1, stop)  # § 13.2.5.41: a bogus comment, or "</>"
                at = found + 1 if found >= 0 else stop
            continue
        if not careful and (plain := PLAIN_LINK.match(html, at, stop)):
            if in_outlook:
                tag = tag_at(html, at, stop)
                assert tag is not None
                tag.in_outlook = True
                yield tag
            else:
                yield plain
            at = plain.end()
            continue
        found_tag = TAG.match(html, at, stop)
        if found_tag is None:
            at = stop  # the end of the file is in the tag: it is none
            continue
        at = found_tag.end()
        name = found_tag[2].lower()
        if found_tag[1]:
            if name == b"body" and not (in_outlook or foreign.inside):
                yield Tag(BODY_END, found_tag.start(), at, {}, ())
            elif careful and not in_outlook:
                foreign.end(name)
            continue
        tag = tag_of(found_tag)
        tag.in_outlook = in_outlook
        is_foreign = False
        if careful and not in_outlook:
            self_closing = html[at - 2] == 0x2F
            is_foreign = foreign.start(name, tag.attributes, self_closing=self_closing)
            if is_foreign and foreign.hides(name):
                continue
        matter = MATTER_IN_OUTLOOK if in_outlook else MATTER
        if name in matter or tag.ours or (in_outlook and name.startswith(b"v:")):
            tag.is_foreign = is_foreign
            tag.in_svg = is_foreign and foreign.in_svg
            yield tag
        if is_foreign:
            continue
        if name == b"plaintext":
            at = stop
        elif name in RAW_TEXT:
            at = raw_text_end(html, name, at, stop)
