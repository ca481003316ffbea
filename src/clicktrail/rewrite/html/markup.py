"""What HTML looks like: the expressions and values that both scanners share.

Everything works on bytes of a charset in which ASCII is ASCII: no byte that means something to
HTML is ever part of another character there. Every repeat is possessive, so that time is linear;
one over a group is written as an atomic group, ``(?>(?:…)*)``, because ``(?:…)*+`` is broken before
Python 3.11.5. Clauses are those of the HTML standard (WHATWG).
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

WS = r"\t\n\f\r "
# § 13.2.5.36-38: a quoted value, or one that runs to white space or ">". An opening quote without
# its partner fails, and so does the tag: the end of the file is in it (§ 13.2.5.32, EOF).
_VALUE = rf"""(?:"[^"]*+"|'[^']*+'|[^{WS}"'>][^{WS}>]*+|(?=>))"""
# § 13.2.5.32-33: a name may begin with "=".
NAME = rf"[^{WS}/>][^{WS}/>=]*+"
GIVEN = rf"(?:[{WS}]*+=[{WS}]*+{_VALUE}|(?![{WS}]*+=))"
ATTRIBUTES = rf"(?>(?:[{WS}/]*+{NAME}{GIVEN})*)"


def compile_ascii(pattern: str) -> re.Pattern[bytes]:
    """Compile an expression for bytes."""
    return re.compile(pattern.encode("ascii"))


def fold(names: str) -> str:
    """Return an expression for names in any letter case.

    Not by the flag for that: it makes every character class of an expression three times slower.
    """
    return re.sub("[a-z]", lambda letter: f"[{letter[0]}{letter[0].upper()}]", names)


def one_of(names: Iterable[str]) -> str:
    """Return an expression for any of these names, in any letter case, with each beginning once.

    What fails at the first character is told so by one look, however many names there are.
    """
    ends: dict[str, list[str]] = {}
    for name in sorted(set(names)):
        ends.setdefault(name[:1], []).append(name[1:])
    last = [""] if ends.pop("", None) else []
    ways = [fold(first) + one_of(rest) for first, rest in ends.items()] + last
    return ways[0] if len(ways) == 1 else f"(?:{'|'.join(ways)})"


RAW_TEXT_NAMES = ("script", "style", "xmp", "iframe", "noembed", "noframes", "textarea", "title")
RAW_TEXT = frozenset(name.encode() for name in RAW_TEXT_NAMES)
"""Elements whose content is no markup (§ 13.2.6.2)."""

MATTER = frozenset((b"a", b"area", b"base", b"template"))
"""Elements that may hold a link or a base, and those whose content is in no document."""

MATTER_IN_OUTLOOK = MATTER - {b"template"}
"""The same in a comment to Outlook: what is there is in no document anyway."""

BODY_END = b"/body"
"""The name of the end tag of the body, which is told as well."""

OURS = frozenset((b"postbox:tags", b"ses:tags", b"postbox:no-track", b"ses:no-track"))
"""Attributes that leave the email."""

NO_TRACK = frozenset((b"ses:no-track", b"postbox:no-track", b"data-pm-no-track"))
"""Attributes of links that are not to be tracked, whatever their values are."""

NO_TRACK_VALUES = (
    (b"clicktracking", "off"),
    (b"data-msys-clicktrack", "0"),
    (b"disable-tracking", "true"),
    (b"hstracking", "false"),
    (b"autotrack", "false"),
)
"""The same, with the value that says so."""

NO_TRACK_UNLESS = frozenset(
    (
        *(b"data-mautic-disable-tracking", b"mautic:disable-tracking", b"mc:disable-tracking"),
        *(b"data-no-tracking", b"data-ph-no-track", b"no_jumpurl"),
        *(b"cm_dontconvertlink", b"mb_dontconvertlink"),
    )
)
"""The same, unless their value is one of `SAYS_TRACK`. Whose they are: docs/rules.md."""

SAYS_TRACK = frozenset(("false", "0", "off"))

NO_TRACK_CLASS = b"untracked"
"""A class of links that are not to be tracked."""

OPT_OUTS = (*NO_TRACK, *NO_TRACK_UNLESS, *(name for name, _ in NO_TRACK_VALUES))
"""All attributes that may keep a link from being tracked, but ``class``."""

FONT = (b"color", b"face", b"size")
"""Attributes of ``font`` that make it one of HTML (§ 13.2.6.5)."""

TAG = compile_ascii(rf"<(/?+)([A-Za-z][^{WS}/>]*+){ATTRIBUTES}[{WS}/]*+>")
"""A tag: the slash of an end tag, the name."""

_READ = (b"href", b"xlink:href", b"class", *OURS, *OPT_OUTS, *FONT)
_ATTRIBUTE = (
    rf"""[{WS}/]*+({NAME})(?:[{WS}]*+=[{WS}]*+"""
    rf"""(?:"([^"]*+)"|'([^']*+)'|([^{WS}"'>][^{WS}>]*+)|(?=>))|(?![{WS}]*+=))"""
)
_ANY_ATTRIBUTE = compile_ascii(_ATTRIBUTE)
_NEXT_ATTRIBUTE = compile_ascii(
    rf"(?>(?:[{WS}/]*+(?!{one_of(name.decode() for name in _READ)}[{WS}/>=])"
    rf"{NAME}{GIVEN})*){_ATTRIBUTE}"
)
_NOT_HTML = fold("|".join((*RAW_TEXT_NAMES, "svg", "math")))
# What is not closed runs to the end, so that nothing is looked through twice.
_TEMPLATE = compile_ascii(
    rf"(?s:<!--(?:-?>|.*?(?:--!?>|\Z))"
    rf"|<(?P<raw>{_NOT_HTML})(?=[{WS}/>]).*?(?:(?=</(?i:(?P=raw))[{WS}/>])|\Z)"
    rf"|<(?P<end>/?){fold('template')}(?=[{WS}/>]){ATTRIBUTES}[{WS}/]*+>"
    rf"|</?[A-Za-z][^{WS}/>]*+{ATTRIBUTES}[{WS}/]*+>|</?[A-Za-z].*|<[!?/][^>]*+)"
)
_TEMPLATE_NAME = compile_ascii(f"<{fold('template')}")
_COMMENT_END = re.compile(rb"--!?>")  # § 13.2.5.51-52
_CONDITIONAL = re.compile(rb"<!--\[if\b[^\]>]*+\]>", re.I)
_ENDIF = re.compile(rb"<!\[endif\b", re.I)
_RAW_END = {
    name.encode(): compile_ascii(rf"</{fold(name)}(?=[{WS}/>])")
    for name in RAW_TEXT_NAMES
    if name != "script"
}
_SCRIPT_STEP = compile_ascii(rf"<!--|</{fold('script')}(?=[{WS}/>])")
_ESCAPED_STEP = compile_ascii(rf"-->|<(/?){fold('script')}(?=[{WS}/>])")


class Attribute(NamedTuple):
    """An attribute: ``start`` to ``end`` all of it, ``value_start`` its value alone."""

    start: int
    end: int
    value: bytes | None
    """As written, without quotes; ``None`` where there is none."""
    value_start: int


@dataclass(slots=True)
class Tag:
    """A start tag, or `BODY_END`. ``attributes`` are by lower-case name; the first one wins.

    They are those that matter to anybody here, as few of an email's do.
    """

    name: bytes
    start: int
    end: int
    attributes: Mapping[bytes, Attribute]
    ours: Sequence[Attribute]
    """Every attribute that is to be removed, also one that is given twice."""
    in_outlook: bool = False
    """Inside an Outlook conditional comment."""
    in_svg: bool = False
    is_foreign: bool = False
    """An element of SVG or MathML."""


def tag_of(found: re.Match[bytes]) -> Tag:
    """Return the start tag that `TAG` has found."""
    attributes: dict[bytes, Attribute] = {}
    ours: list[Attribute] = []
    html, at, end = found.string, found.end(2), found.end()
    while match := _NEXT_ATTRIBUTE.match(html, at, end):
        at = match.end()
        name = match[1].lower()
        group = match.lastindex or 1
        value = match[group] if group > 1 else None
        attribute = Attribute(match.start(1), at, value, match.start(group))
        attributes.setdefault(name, attribute)  # § 13.2.5.33: a duplicate attribute is dropped
        if name in OURS:
            ours.append(attribute)
    return Tag(found[2].lower(), found.start(), end, attributes, ours)


def tag_at(html: bytes, at: int, stop: int) -> Tag | None:
    """Read the start tag at a ``<``; ``None`` where the end of the file is in it."""
    found = TAG.match(html, at, stop)
    return None if found is None else tag_of(found)


def says_no_track(tag: Tag, value_of: Callable[[Attribute], str]) -> bool:
    """Whether a link asks not to be tracked; ``value_of`` reads the value of a switch."""
    given = tag.attributes
    if not NO_TRACK.isdisjoint(given):
        return True
    if any(name in given and value_of(given[name]) == no for name, no in NO_TRACK_VALUES):
        return True
    if any(value_of(given[name]) not in SAYS_TRACK for name in NO_TRACK_UNLESS & given.keys()):
        return True
    # HTML § 3.2.6: classes are told apart by letter case.
    classes = given.get(b"class")
    return classes is not None and NO_TRACK_CLASS in (classes.value or b"").split()


def is_in_value(html: bytes, tag: Tag, at: int) -> bool:
    """Whether the character before an offset is the last one of a value without quotes.

    That of an attribute which is given a second time is none.
    """
    first: dict[bytes, re.Match[bytes]] = {}
    for found in _ANY_ATTRIBUTE.finditer(html, tag.start + 1 + len(tag.name), tag.end):
        first.setdefault(found[1].lower(), found)
    return any(found.end() == at and found[4] for found in first.values())


def has_templates(html: bytes) -> bool:
    """Whether there is something like a template."""
    return _TEMPLATE_NAME.search(html) is not None


def templates(html: bytes) -> list[tuple[int, int]]:
    """Return where the outermost templates begin and end: their content is in no document.

    (HTML § 4.12.3.) Exact where comments, raw text, svg and math are closed.
    """
    if not has_templates(html):
        return []
    result: list[tuple[int, int]] = []
    depth = begin = 0
    for found in _TEMPLATE.finditer(html):
        if found["end"] == b"":
            begin = begin if depth else found.start()
            depth += 1
        elif found["end"] and depth:
            depth -= 1
            if not depth:
                result.append((begin, found.start()))
    if depth:
        result.append((begin, len(html)))
    return result


def comment_end(html: bytes, at: int, stop: int) -> tuple[int, int]:
    """Return where the comment at ``<!--`` ends, and where its data ends (§ 13.2.5.43-52)."""
    if html.startswith((b">", b"->"), at + 4):  # § 13.2.5.43-44: "<!-->", "<!--->"
        return html.index(b">", at + 4) + 1, at + 4
    found = _COMMENT_END.search(html, at + 4, stop)
    return (found.end(), found.start()) if found else (stop, stop)


def conditional(html: bytes, at: int, stop: int) -> int | None:
    """Return where what Outlook reads begins, if ``<!--`` there opens a conditional comment."""
    found = _CONDITIONAL.match(html, at, stop)
    return found.end() if found else None


def has_endif(html: bytes, at: int, stop: int) -> bool:
    """Whether a conditional comment is closed as Outlook wants it."""
    return _ENDIF.search(html, at, stop) is not None


def raw_text_end(html: bytes, name: bytes, at: int, stop: int) -> int:
    """Return where the end tag of a raw text element begins (§ 13.2.5.2-3, § 13.2.5.15-31)."""
    if name != b"script":
        found = _RAW_END[name].search(html, at, stop)
        return found.start() if found else stop
    while step := _SCRIPT_STEP.search(html, at, stop):
        if step[0] != b"<!--":
            return step.start()
        # § 13.2.5.20-31: script data (double) escaped; the dashes of "<!--" may be those of "-->".
        at, double = step.start() + 2, False
        while True:
            escaped = _ESCAPED_STEP.search(html, at, stop)
            if escaped is None:
                return stop
            at = escaped.end()
            if escaped[0] == b"-->":
                break
            if escaped[1] and not double:
                return escaped.start()
            double = not escaped[1]
    return stop
