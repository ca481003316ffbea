"""Finds the tags that matter in HTML, exactly where a browser's tokenizer does.

A regular-expression scanner: nothing is re-serialised, and dull text and tags are skipped by one
expression. Every repeat is possessive, so the time is linear; one over a group is written as an
atomic group, ``(?>(?:…)*)``, because ``(?:…)*+`` is broken before Python 3.11.5. Clauses are those
of the HTML standard (WHATWG).
"""

import re
import string
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

_WS = r"\t\n\f\r "
# § 13.2.5.36-38: a quoted value, or one that runs to white space or ">". An opening quote without
# its partner fails, and so does the tag: the end of the file is in it (§ 13.2.5.32, EOF).
_VALUE = rf"""(?:"[^"]*+"|'[^']*+'|[^{_WS}"'>][^{_WS}>]*+|(?=>))"""
# § 13.2.5.32-33: a name may begin with "=".
_NAME = rf"[^{_WS}/>][^{_WS}/>=]*+"
_GIVEN = rf"(?:[{_WS}]*+=[{_WS}]*+{_VALUE}|(?![{_WS}]*+=))"


def _fold(names: str) -> str:
    """Return an expression for names in any letter case.

    Not by the flag for that: it makes every character class of an expression three times slower.
    """
    return re.sub("[a-z]", lambda letter: f"[{letter[0]}{letter[0].upper()}]", names)


_OUR_ATTRIBUTES = rf"(?:{_fold('postbox|ses')}):(?:{_fold('tags|no-track')})(?=[{_WS}/>=])"

_ATTRIBUTES = rf"(?>(?:[{_WS}/]*+{_NAME}{_GIVEN})*)"
_OTHER_ATTRIBUTES = rf"(?>(?:[{_WS}/]*+(?!{_OUR_ATTRIBUTES}){_NAME}{_GIVEN})*)"

_RAW_TEXT = ("script", "style", "xmp", "iframe", "noembed", "noframes", "textarea", "title")
_ALWAYS = _fold("|".join(("area", "a", "base", "plaintext", *_RAW_TEXT)))


_USUAL = rf"""[{_WS}]++[A-Za-z\-]++="[^"]*+\""""


def _skip(names: str, attributes: str, usual: str = _USUAL) -> re.Pattern[str]:
    """Return what passes over text and over tags that have another name and no such attribute."""
    dull = rf"</?+(?=[A-Za-z])(?!(?:{names})(?=[{_WS}/>]))"
    return re.compile(
        # The two usual forms first: a tag without attributes, and one whose attributes are all
        # quoted; then the whole grammar.
        rf"(?>(?:[^<]++|{dull}[A-Za-z0-9:]++(?:{usual})*+[{_WS}]*+/?+>"
        rf"|<(?![A-Za-z/!?])|{dull}[^{_WS}/>]++{attributes}[{_WS}/]*+>)*)"
    )


_SKIP = _skip(_ALWAYS, _ATTRIBUTES)
_SKIP_TO_OURS = _skip(_ALWAYS, _OTHER_ATTRIBUTES)
_SKIP_IN_OUTLOOK = _skip(_ALWAYS + rf"|[vV]:[^{_WS}/>]++", _OTHER_ATTRIBUTES)
_SKIP_TEXT = re.compile(r"(?>(?:[^<]++|<(?![A-Za-z/!?]))*)")

_TAG = re.compile(rf"<(/?+)([A-Za-z][^{_WS}/>]*+)({_ATTRIBUTES})[{_WS}/]*+>")
_ATTRIBUTE = re.compile(
    rf"""[{_WS}/]*+({_NAME})(?>(?:[{_WS}]*+=[{_WS}]*+"""
    rf"""(?:"([^"]*+)"|'([^']*+)'|([^{_WS}"'>][^{_WS}>]*+)|(?=>|\Z)))?)"""
)
_COMMENT_END = re.compile(r"--!?>")  # § 13.2.5.51-52
_CONDITIONAL = re.compile(r"<!--\[if\b[^\]>]*+\]>", re.I | re.A)
_RAW_END = {name: re.compile(rf"</{name}(?=[{_WS}/>])", re.I | re.A) for name in _RAW_TEXT}
_SCRIPT_STEP = re.compile(rf"<!--|</script(?=[{_WS}/>])", re.I | re.A)
_ESCAPED_STEP = re.compile(rf"-->|<(/?)script(?=[{_WS}/>])", re.I | re.A)
_ENDIF = re.compile(r"<!\[endif\b", re.I | re.A)
_ASCII_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_NEEDS_OURS = re.compile(r":(?:tags|no-track)", re.I | re.A)
_NEEDS_CARE = re.compile(r"<(?:svg|math)", re.I | re.A)

# § 13.2.6.5: start tags that end foreign content.
_BREAKOUT = frozenset(
    [
        "b",
        "big",
        "blockquote",
        "body",
        "br",
        "center",
        "code",
        "dd",
        "div",
        "dl",
        "dt",
        "em",
        "embed",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "head",
        "hr",
        "i",
        "img",
        "li",
        "listing",
        "menu",
        "meta",
        "nobr",
        "ol",
        "p",
        "pre",
        "ruby",
        "s",
        "small",
        "span",
        "strong",
        "strike",
        "sub",
        "sup",
        "table",
        "tt",
        "u",
        "ul",
        "var",
    ]
)
# § 13.2.4.2: inside these, HTML is HTML again.
_INTEGRATION = {
    "svg": frozenset(("foreignobject", "desc", "title")),
    "math": frozenset(("mi", "mo", "mn", "ms", "mtext")),
}


_UNSEEN = frozenset(("style", "script"))


class Attribute(NamedTuple):
    """An attribute of a tag: ``start`` to ``end`` all of it, ``value_start`` its value alone."""

    start: int
    end: int
    value: str | None
    """As written, without quotes; ``None`` where there is none."""
    value_start: int


@dataclass(slots=True)
class Tag:
    """A start tag that may matter. ``attributes`` are by lower-case name; the first one wins."""

    name: str
    start: int
    end: int
    attributes: dict[str, Attribute]
    ours: list[tuple[str, Attribute]]
    """Every attribute that is to be removed, also one that is given twice."""
    in_outlook: bool
    """Inside an Outlook conditional comment."""
    in_svg: bool


def start_tags(html: str) -> Iterator[Tag]:
    """Yield the start tags that may hold a link, a base or attributes of ours, in order.

    Nothing in comments (but Outlook's conditional ones), in raw text, or in a tag that the end of
    the file cuts off.
    """
    careful = _NEEDS_CARE.search(html) is not None
    skip = _SKIP_TO_OURS if _NEEDS_OURS.search(html) else _SKIP
    foreign: list[tuple[str, bool]] = []  # open svg and math, and integration points in them
    outlook_end = -1  # where the conditional comment that we are in ends
    after_comment = 0
    stop, at = len(html), 0
    while True:
        in_outlook = outlook_end >= 0
        if careful and not in_outlook:
            at = _SKIP_TEXT.match(html, at, stop).end()  # type: ignore[union-attr]
        else:
            pattern = _SKIP_IN_OUTLOOK if in_outlook else skip
            at = pattern.match(html, at, stop).end()  # type: ignore[union-attr]
        if at >= stop:
            if not in_outlook:
                return
            at, stop, outlook_end = after_comment, len(html), -1
            continue
        mark = html[at + 1 : at + 2]
        following = html[at + 2 : at + 3]
        if mark in ("!", "?") or (mark == "/" and not _is_letter(following)):
            inner = None
            if html.startswith("<!--", at):
                if in_outlook:
                    # Its data holds no "-->": a conditional comment in it is entered, another
                    # one reaches to the end.
                    nested = _CONDITIONAL.match(html, at, stop)
                    at = nested.end() if nested else stop
                    continue
                conditional = _CONDITIONAL.match(html, at, stop)
                end, data_end = _comment(html, at)
                if (
                    conditional
                    and conditional.end() <= data_end
                    and _ENDIF.search(html, conditional.end(), data_end)
                ):
                    inner = conditional.end(), data_end
            elif foreign and not foreign[-1][1] and html.startswith("<![CDATA[", at):
                found = html.find("]]>", at + 9, stop)  # § 13.2.5.69
                end = found + 3 if found >= 0 else stop
            elif mark == "/" and not following:
                return  # "</" at the end is text
            else:
                found = html.find(">", at + 1, stop)  # § 13.2.5.41: a bogus comment, or "</>"
                end = found + 1 if found >= 0 else stop
            if inner is not None:
                at, stop, outlook_end, after_comment = inner[0], inner[1], inner[1], end
            else:
                at = end
            continue
        tag = _TAG.match(html, at, stop)
        if tag is None:
            at = stop  # the end of the file is in the tag: it is none
            continue
        closing, name = tag[1], _lower(tag[2])
        start, at = at, tag.end()
        in_foreign = bool(foreign) and not foreign[-1][1] and not in_outlook
        if closing:
            if foreign and not in_outlook:
                _close(foreign, name, in_foreign)
            continue
        attributes, ours = _attributes(html, tag.start(3), tag.end(3))
        if careful and not in_outlook:
            in_foreign = _open(foreign, name, in_foreign, attributes, html[at - 2] == "/")
        if in_foreign and foreign[-1][0] in _UNSEEN and name not in _UNSEEN:
            continue  # an element like any other there, but nobody sees it
        in_svg = in_foreign and foreign[-1][0] == "svg"
        yield Tag(name, start, at, attributes, ours, in_outlook, in_svg)
        if in_foreign:
            continue
        if name == "plaintext":
            at = stop
        elif name in _RAW_END:
            at = _raw_text_end(html, name, at, stop)


def _lower(name: str) -> str:
    """Return a name with its ASCII letters in lower case (a Kelvin sign is no "k")."""
    return name.lower() if name.isascii() else name.translate(_ASCII_LOWER)


def _is_letter(text: str) -> bool:
    return text.isascii() and text.isalpha()


def _comment(html: str, at: int) -> tuple[int, int]:
    """Return where a comment ends, and where its data ends (§ 13.2.5.43-52)."""
    if html.startswith((">", "->"), at + 4):  # § 13.2.5.43-44: "<!-->", "<!--->"
        return html.index(">", at + 4) + 1, at + 4
    found = _COMMENT_END.search(html, at + 4)
    return (found.end(), found.start()) if found else (len(html), len(html))


def _raw_text_end(html: str, name: str, at: int, stop: int) -> int:
    """Return where the end tag of a raw text element begins (§ 13.2.5.2-3, § 13.2.5.15-31)."""
    if name != "script":
        found = _RAW_END[name].search(html, at, stop)
        return found.start() if found else stop
    while step := _SCRIPT_STEP.search(html, at, stop):
        if step[0] != "<!--":
            return step.start()
        # § 13.2.5.20-31: script data (double) escaped; the dashes of "<!--" may be those of "-->".
        at, double = step.start() + 2, False
        while True:
            escaped = _ESCAPED_STEP.search(html, at, stop)
            if escaped is None:
                return stop
            at = escaped.end()
            if escaped[0] == "-->":
                break
            if escaped[1] and not double:
                return escaped.start()
            double = not escaped[1]
    return stop


def _attributes(
    html: str, at: int, end: int
) -> tuple[dict[str, Attribute], list[tuple[str, Attribute]]]:
    found: dict[str, Attribute] = {}
    ours: list[tuple[str, Attribute]] = []
    for match in _ATTRIBUTE.finditer(html, at, end):
        name = _lower(match[1])
        group = match.lastindex or 1
        value = match[group] if group > 1 else None
        attribute = Attribute(match.start(1), match.end(), value, match.start(group))
        found.setdefault(name, attribute)  # § 13.2.5.33: a duplicate attribute is dropped
        if name in OURS:
            ours.append((name, attribute))
    return found, ours


OURS = frozenset(("postbox:tags", "ses:tags", "postbox:no-track", "ses:no-track"))
"""Attributes that leave the email."""


def _open(
    foreign: list[tuple[str, bool]],
    name: str,
    in_foreign: bool,
    attributes: dict[str, Attribute],
    self_closing: bool,
) -> bool:
    """Follow a start tag in and out of foreign content; return whether the element is foreign."""
    if in_foreign and (
        name in _BREAKOUT
        or (name == "font" and not attributes.keys().isdisjoint(("color", "face", "size")))
    ):
        while foreign and not foreign[-1][1]:
            foreign.pop()
        return False
    if name in ("svg", "math"):
        if not self_closing:
            foreign.append((name, False))
        return not self_closing
    if in_foreign and not self_closing and name in _UNSEEN:
        foreign.append((name, False))
    elif in_foreign and not self_closing and name in _INTEGRATION.get(foreign[-1][0], ()):
        foreign.append((name, True))  # what is in it is HTML; itself it is not: no raw text
    return in_foreign


def _close(foreign: list[tuple[str, bool]], name: str, in_foreign: bool) -> None:
    """Follow an end tag."""
    if in_foreign:
        if name in ("p", "br"):  # § 13.2.6.5
            while foreign and not foreign[-1][1]:
                foreign.pop()
        elif name in _UNSEEN and foreign[-1][0] == name:
            foreign.pop()
        elif name in ("svg", "math"):
            names = [each for each, _ in foreign]
            if name in names:
                last = len(names) - 1 - names[::-1].index(name)
                if not any(html for _, html in foreign[last:]):
                    del foreign[last:]
    elif foreign[-1][0] == name:
        foreign.pop()
