"""Reads well-mannered HTML, as nearly all emails have it, in one pass of a DFA.

The expression here is a grammar of what a browser's tokenizer does in the usual cases. It takes
every document in one way alone, so a document that it takes is read by a browser just like that:

- outside of comments and raw text, each ``<`` before a letter begins a tag, and none is in a tag;
- each tag, comment and raw text element ends where it looks like it;
- SVG holds shapes and links: nothing that ends it, but its end tag, and no markup but tags.

Where there is no library for automata, no document is taken. Clauses are those of the HTML standard
(WHATWG).
"""

import string
from collections.abc import Collection

from clicktrail.base.automaton import automaton
from clicktrail.rewrite.html.markup import RAW_TEXT_NAMES, WS, fold

_TOO_HARD = ("plaintext", "svg", "math", "frameset")
"""Elements after which other rules hold, or which there are instead of a body."""

_NAME_ENDS = WS + "/>"
_NOT_IN_NAME = _NAME_ENDS + "\"'=<"
_NAME = f"[^{_NOT_IN_NAME}]+"
# A "<" as in a placeholder, "<%name%>", cannot be taken for a tag.
_LESS = "<[^A-Za-z!/?<\"']"
_QUOTED_VALUE = rf"""(?:"(?:[^"<]|{_LESS})*"|'(?:[^'<]|{_LESS})*')"""
_SIGN = f"[{WS}]*=[{WS}]*"
# § 13.2.5.32-39. An attribute may follow the quote of the one before without white space.
_ATTRIBUTES = (
    rf"(?:[{WS}/]+(?:{_NAME}{_SIGN}{_QUOTED_VALUE})*"
    rf"(?:{_NAME}(?:{_SIGN}[^{WS}\"'>=<`][^{WS}\"'><]*)?)?)*"
)
_END_TAG = r"/[A-Za-z][^<>\"'=]*>"
# § 13.2.5.41-42, § 13.2.5.53: a bogus comment, a DOCTYPE, or "</>".
_DECLARATION = r"(?:\?[^<>]*|/(?:[^A-Za-z<>][^<>]*)?|!-?|!-?[^-<>][^<>]*)>"
# § 13.2.5.43-52: what follows two dashes, up to where it is clear that they end no comment.
_DASHES = "--(?:-|!--)*"
_NO_END = rf"{_DASHES}(?:[^->!]|![^->]|!-[^-])"
_COMMENT = rf"!--(?:(?:[^->]|-[^->]|{_NO_END})(?:[^-]|-[^-]|{_NO_END})*)?{_DASHES}!?>"


def _other_name(names: Collection[str], first: bool = True) -> str:
    """Return an expression for a tag name, or the rest of one, that is not in ``names``."""
    letters = sorted({name[0] for name in names if name})
    known = "".join(letters)
    if first:
        others = "".join(each for each in string.ascii_letters if each.lower() not in letters)
        other = f"[{others}]"
    else:
        other = f"[^{_NOT_IN_NAME}{known}{known.upper()}]"
    ways = [f"{other}[^{_NOT_IN_NAME}]*"]
    for letter in letters:
        rest = [name[1:] for name in names if name[:1] == letter]
        ways.append(fold(letter) + _other_name(rest, first=False))
    optional = "?" if not first and "" not in names else ""
    return f"(?:{'|'.join(ways)}){optional}"


# § 13.2.5.20: in a script, other rules hold after "<!--". Elsewhere it is dull, but "<!--[" is not
# taken: so that is the beginning of a comment wherever it stands.
_NO_COMMENT = "!(?:[^<-][^<]*|-(?:[^<-][^<]*)?)?"
_NO_CONDITIONAL = r"!(?:[^<-][^<]*|-(?:[^<-][^<]*|-(?:[^<\[][^<]*)?)?)?"


def _raw(name: str) -> str:
    """Return an element with raw text, up to the name of its end tag (§ 13.2.5.9-14)."""
    end = f"/{name}"
    # What may follow a "<" that begins no end tag of that name, up to the next "<", from the last.
    rest = f"(?:[^{_NAME_ENDS}<][^<]*)?"
    for at in reversed(range(len(end))):
        ways = [f"{fold(end[at])}{rest}"]
        known = fold(end[at]).strip("[]")
        if not at:
            ways.append(_NO_COMMENT if name == "script" else _NO_CONDITIONAL)
            known += "!"
        rest = f"(?:[^<{known}][^<]*|{'|'.join(ways)})?"
    return rf"{fold(name)}{_ATTRIBUTES}>[^<]*(?:<{rest})*<{fold(end)}(?:[{WS}/][^<>\"'=]*)?>"


_SHAPES = (
    *("a", "circle", "clippath", "defs", "ellipse", "g", "image", "line", "lineargradient", "mask"),
    *("path", "polygon", "polyline", "radialgradient", "rect", "stop", "symbol", "text", "tspan"),
    "use",
)


def _svg() -> str:
    """Return an SVG drawing of the usual elements, up to its end tag (§ 13.2.6.5)."""
    attributes = rf"(?:[{WS}]+{_NAME}{_SIGN}{_QUOTED_VALUE})*[{WS}]*"
    shape = rf"/?(?:{fold('|'.join(_SHAPES))})"
    texts = "|".join(
        rf"{fold(name)}{attributes}>[^<]*</{fold(name)}[{WS}]*>"
        for name in ("title", "desc", "style")
    )
    inside = rf"(?:[^<]|<(?:[^A-Za-z!/?<]|{shape}{attributes}/?>|{texts}))*"
    return rf"{fold('svg')}{attributes}>{inside}"


def _grammar() -> str:
    """Return the expression that matches where there is something to look at: see `landmarks`."""
    tag = _other_name((*RAW_TEXT_NAMES, *_TOO_HARD)) + _ATTRIBUTES + ">"
    raw = "|".join(map(_raw, RAW_TEXT_NAMES))
    svg = _svg()
    svg_end = rf"</{fold('svg')}[{WS}]*>"
    dull = (
        rf"(?:[^<]|<(?:[^A-Za-z!/?<]|{tag}|{_END_TAG}|{raw}|{svg}{svg_end}|{_COMMENT}"
        rf"|{_DECLARATION}))*"
    )
    link = rf"(?:[aA](?:{fold('rea')})?|{fold('base')})[{_NAME_ENDS}]"
    vml = "[vV]:"
    ours = rf"(?:{fold('postbox|ses')}):(?:{fold('tags|no-track')})"
    with_ours = (
        rf"{_other_name(('a', 'area', 'base'))}{_ATTRIBUTES}"
        rf"[{WS}/]+(?:{_NAME}{_SIGN}{_QUOTED_VALUE})*{ours}[{_NAME_ENDS}=]"
    )
    in_outlook = (
        rf"!--\[{fold('if')}(?:[^-]|-[^-]|{_NO_END})*(?:-|{_DASHES}(?:!-?)?)?"
        rf"(?:<(?:{link}|{vml})(?:[^x]|x.)|:(?:{fold('tags|no-track')}))"
    )
    svg_begin = rf"{fold('svg')}[{_NAME_ENDS}]"
    in_svg = rf"{svg}<(?:{link}|{with_ours})"
    others = rf"/{fold('body')}[{_NAME_ENDS}]|{fold('template')}[{_NAME_ENDS}]"
    places = f"{link}|{vml}|{with_ours}|{in_outlook}|{svg_begin}|{in_svg}|{others}"
    return rf"\A{dull}(?:\z|<(?:{places}))"


_AUTOMATON = automaton(_grammar())


def landmarks(html: bytes) -> list[int] | None:
    """Return where in a well-mannered document to look; ``None`` for any other.

    These are offsets, in order, just behind:

    - ``<a``, ``<area``, ``<base``, ``<svg``, ``<template``, ``</body`` and the character after it,
      or ``<v:``;
    - the name of an attribute of ours in another tag, and the character after it;
    - in a conditional comment: the same and another character or two, or what may be the end of the
      name of an attribute of ours.
    """
    if _AUTOMATON is None:
        return None
    # No match above ends with that letter: behind it is the end of the document alone.
    found = _AUTOMATON.ends(html + b"x")
    return found if found and found.pop() == len(html) + 1 else None
