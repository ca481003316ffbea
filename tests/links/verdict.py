"""Compares what the rewriter did to a document with what two real HTML5 parsers see in it.

The criterion. An element is a link that a person can click when a browser makes an ``a`` or
``area`` with an ``href`` of its start tag; so the judge asks for start tags, told apart by where
they begin, and not for nodes of a tree: one that the adoption agency doubles or foster parenting
moves is still one.

- **Certain**: both parsers have it, with the same value: html5lib as a start tag of its tokenizer,
  which the tree builder steers (foreign content, raw text), turbohtml as an element of its tree.
  It must be treated as `urlrules` says.
- **Possible**: one of them has it. The HTML standard has changed since html5lib was written
  (select, ``</br>`` in svg), and start tags that the tree builder ignores (all within frameset)
  cannot be clicked but do no harm. It may be tracked or not.
- Anything else must not be tracked.

The link of an element is its ``href``, or for an ``a`` of SVG without one its ``xlink:href``.

Elements inside ``style``, ``script``, ``title`` … of svg and math are never certain: they are
elements to the standard, but are not shown. The inside of an Outlook conditional comment, from
``<!--[if …]>`` to ``<![endif]-->``, is a document of its own, in which ``v:*`` are links as well.
Of comments that only resemble one, everything inside is possible.

Some kinds of document are not judged: those with svg or math inside a conditional comment, of which
Outlook's own parser knows nothing, and those in which an svg that is never closed is followed by a
CDATA section, a raw text element, a base or an xlink:href, whose meaning hangs on which end tag
closes the svg. Nor are those where the parsers see different comments, nor those with a name like
``="x"`` after an attribute to be removed: it becomes a value of what then stands before it.

What is said of the rest of the text: the tokens before and after are the same but for href values
and removed attributes (`changes`), and where the parsers agree on all tags the whole output is
known character by character (`expected_output`).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from clicktrail.model import Link
from links import urlrules
from links.casefile import is_own, tracking_link
from links.judge import RAW, Tag, read_html5lib, read_turbohtml

TAG_ATTRIBUTES = ("postbox:tags", "ses:tags")
REMOVED_NO_TRACK = ("postbox:no-track", "ses:no-track")
_NO_TRACK = {
    **{"clicktracking": "off", "data-msys-clicktrack": "0", "disable-tracking": "true"},
    **{"hstracking": "false", "autotrack": "false"},
}
NO_TRACK_UNLESS = (
    *("mautic:disable-tracking", "data-mautic-disable-tracking", "mc:disable-tracking"),
    *("data-no-tracking", "data-ph-no-track", "no_jumpurl"),
    *("cm_dontconvertlink", "mb_dontconvertlink"),
)
_CONDITIONAL = re.compile(r"(<!--\[if\b[^\]<>]*\]>)(.*)<!\[endif\]-->", re.DOTALL)
_FOREIGN = re.compile(r"<(?:svg|math)", re.IGNORECASE)
_DEPENDS_ON_SVG = re.compile(r"<!\[CDATA\[|xlink:|<(?:base|" + "|".join(RAW) + ")", re.IGNORECASE)
_OURS = re.compile(r"(?:postbox|ses):(?:tags|no-track)", re.IGNORECASE)
_RESEMBLES = re.compile(r"<!-*[\s-]*\[\s*if[^>]*>?", re.IGNORECASE)


@dataclass
class Findings:
    """What the parsers find in a document, its conditional comments included."""

    certain: dict[int, Tag] = field(default_factory=dict)
    possible: set[int] = field(default_factory=set)
    all_tags: dict[int, Tag] = field(default_factory=dict)
    """Every start tag, link or not; as turbohtml sees it, where it does."""
    agreed: bool = True
    """Whether html5lib sees all elements and turbohtml all comments that the other one sees."""
    judged: bool = True
    """``False`` where a parser of Outlook's, or one that tracks all open elements, is needed."""
    base: str | None = None
    other_bases: tuple[str | None, ...] = ()
    """What else may be the base: the parsers disagree, or it stands in a conditional comment."""


def find(text: str, inside: bool = False) -> Findings:
    """Read a document, or the inside of a conditional comment, with both parsers."""
    first, second = read_html5lib(text), read_turbohtml(text)
    found = Findings(all_tags=first.tags | second.tags)
    found.base, other = (None if b is None else urlrules.read(b) for b in (first.base, second.base))
    if found.base != other or (inside and found.base is not None):
        found.other_bases = (other, None)
    found.agreed = first.texts <= second.texts and all(
        _matters_alike(first.tags.get(offset), second.tags.get(offset))
        for offset in first.tags.keys() | second.tags.keys()
    )
    for offset in first.tags.keys() | second.tags.keys():
        seen = [reading.tags[offset] for reading in (first, second) if offset in reading.tags]
        if any(link_name(tag, inside) for tag in seen):
            found.possible.add(offset)
        if (
            len(seen) == 2
            and seen[0].attributes == seen[1].attributes
            and link_name(seen[1], inside)
        ):
            found.certain[offset] = seen[1]
    torn = second.torn is not None and _DEPENDS_ON_SVG.search(text, second.torn)
    odd = any(name.startswith("=") for tag in first.tags.values() for name in tag.attributes)
    odd = odd and _OURS.search(text) is not None
    found.judged = not torn and not odd and first.texts <= second.texts
    for begin, end in first.comments.items():
        _find_in_comment(text, begin, end, found)
    return found


def _matters_alike(first: Tag | None, second: Tag | None) -> bool:
    """Tell whether two parsers agree on a tag, as far as it is looked at."""
    if first and second:
        return first.attributes == second.attributes
    seen = first or second
    assert seen is not None
    return link_name(seen) is None and seen.attributes.keys().isdisjoint(
        {*TAG_ATTRIBUTES, *REMOVED_NO_TRACK}
    )


def link_name(tag: Tag, inside: bool = True) -> str | None:
    """Return which attribute of an element is its link, if it has one."""
    if tag.name not in ("a", "area") and not (inside and tag.name.startswith("v:")):
        return None
    if "href" in tag.attributes:
        return "href"
    has_xlink = tag.name == "a" and tag.in_svg and "xlink:href" in tag.attributes
    return "xlink:href" if has_xlink else None


def _find_in_comment(text: str, begin: int, end: int, found: Findings) -> None:
    comment = text[begin:end]
    found.judged = found.judged and not (_RESEMBLES.match(comment) and _FOREIGN.search(comment))
    if match := _CONDITIONAL.fullmatch(comment):
        inner = find(match[2], inside=True)
        by = begin + match.end(1)
        found.certain.update((o + by, tag.moved(by)) for o, tag in inner.certain.items())
        found.possible.update(o + by for o in inner.possible)
        found.all_tags.update((o + by, tag.moved(by)) for o, tag in inner.all_tags.items())
        found.agreed = found.agreed and inner.agreed
        found.judged = found.judged and inner.judged
        if inner.other_bases:
            found.other_bases += (inner.base, *inner.other_bases)
    if match := _RESEMBLES.match(comment):
        # A nested comment cannot be told from a text: both ways of reading it are possible.
        by = begin + match.end()
        body = comment[match.end() :]
        for reading in (body, body.replace("<!--", "    ")):
            found.possible.update(o + by for o in find(reading, inside=True).possible)
        found.agreed = found.agreed and (_CONDITIONAL.fullmatch(comment) is not None)


def may_be_tracked_as(tag: Tag, found: Findings) -> urlrules.Answer:
    """Return the URLs that are right for a link, ``None`` among them where it may stay."""
    value = tag.attributes[link_name(tag) or "href"]
    answer = urlrules.judge(value, found.base)
    if any(answer != urlrules.judge(value, other) for other in found.other_bases):
        return urlrules.ANY
    if any(name in tag.attributes for name in (*REMOVED_NO_TRACK, "data-pm-no-track")):
        return urlrules.UNCHANGED
    if "untracked" in re.split("[\\t\\n\\f\\r ]+", tag.attributes.get("class") or ""):
        return urlrules.UNCHANGED
    for name in NO_TRACK_UNLESS:
        mark = tag.attributes.get(name, "0")
        if (mark or "").strip("\t\n\f\r ").lower() not in ("false", "0", "off"):
            return urlrules.UNCHANGED
    for name, off in _NO_TRACK.items():
        given = tag.attributes.get(name)
        if given == off:
            return urlrules.UNCHANGED
        if given is not None and given.strip().lower() == off:
            return urlrules.ANY
    if answer is not None:
        return frozenset(None if url is not None and is_own(url) else url for url in answer)
    return answer


def tags_of(tag: Tag) -> tuple[tuple[str, str], ...]:
    """Read the link tags of an element (§ 3)."""
    pairs: list[tuple[str, str]] = []
    for name, value in tag.attributes.items():
        if name in TAG_ATTRIBUTES:
            for piece in value.split(";"):
                key, colon, rest = piece.partition(":")
                if colon and key.strip(" \t\n\f\r"):
                    pairs.append((key.strip(" \t\n\f\r"), rest.strip(" \t\n\f\r")))
    return tuple(pairs)


def wrong_links(text: str, found: Findings, links: Iterable[Link]) -> list[str]:
    """Return what is wrong with the links that the rewriter found."""
    tracked = {link.offset: link for link in links}
    wrong = [
        f"tracked at {offset}, where no parser sees a link: {text[offset : offset + 60]!r}"
        for offset in tracked.keys() - found.possible
    ]
    for offset, tag in found.certain.items():
        answer = may_be_tracked_as(tag, found)
        link = tracked.get(offset)
        url = link.url if link else None
        if answer is not None and url not in answer:
            wrong.append(f"at {offset} {tag.attributes!r} became {url!r}, not one of {answer!r}")
        if link is not None and sorted(link.tags) != sorted(tags_of(tag)):
            wrong.append(f"at {offset} {tag.attributes!r} has tags {link.tags!r}")
    return wrong


def expected_output(text: str, found: Findings, links: Iterable[Link]) -> str | None:
    """Return the whole output, given which links are tracked; ``None`` where it is not certain."""
    if not found.agreed:
        return None
    tracked = {link.offset: link for link in links}
    edits: list[tuple[int, int, str]] = []
    for tag in found.all_tags.values():
        link = tracked.get(tag.offset)
        names = {*TAG_ATTRIBUTES, *REMOVED_NO_TRACK}
        if link_name(tag) is None and not tag.attributes.keys().isdisjoint(REMOVED_NO_TRACK):
            return None  # § 2 speaks of links only
        if link is None and names.isdisjoint(tag.attributes):
            continue
        if not tag.spans.keys() >= tag.attributes.keys():
            return None
        ends = [end for _, end in tag.spans.values()]
        for name, (start, end) in tag.spans.items():
            if name in names:
                edit = _removal(text, start, end, ends)
                if edit is None:
                    return None
                edits.append(edit)
            elif name == link_name(tag) and link is not None:
                edits.append(_value_edit(text, start, end, tracking_link(link.index, link.url)))
        written = text[tag.offset : tag.end].lower()
        if any(written.count(name) > 1 for name in names):
            return None  # given twice, perhaps: the parser tells only of the first
    out = []
    done = 0
    for start, end, new in sorted(edits):
        if start < done:
            return None
        out += [text[done:start], new]
        done = end
    return "".join(out) + text[done:]


def _removal(text: str, start: int, end: int, ends: list[int]) -> tuple[int, int, str] | None:
    """Return the edit that removes an attribute, where nothing beside it can grow together.

    ``ends`` are those of all attributes of the tag.
    """
    before = start
    while text[before - 1] in " \t\n\f\r":
        before -= 1
    around = text[before - 1], text[end : end + 1]
    if before == start or around[1] not in (" ", "\t", "\n", "\f", "\r", ">") or around[0] == "=":
        return None
    if around == ("/", ">") and before not in ends:
        return start, end, ""  # "/>" would close an element of SVG (HTML § 13.2.5.40)
    following = text[end:].lstrip(" \t\n\f\r")[:1]
    ends_comment = text[:before].endswith(("-", "-!"))  # with the > that may follow
    return None if following == "=" or ends_comment else (before, end, "")


def _value_edit(text: str, start: int, end: int, new: str) -> tuple[int, int, str]:
    written = text[start:end]
    value = written.partition("=")[2].lstrip(" \t\n\f\r")
    quote = value[0] if value[:1] in ('"', "'") else ""
    begin = end - len(value)
    return begin, end, f"{quote}{new}{quote}"


def changes(before: str, after: str, tracked: dict[int, Link], by: int = 0) -> list[str]:
    """Return how the tokens of the output differ from those of the input, beyond what is meant.

    ``tracked`` has the links by their offset in the whole input, ``by`` is where this part begins.
    """
    old_reading, new_reading = read_html5lib(before), read_html5lib(after)
    wrong = []
    if len(old_reading.tokens) != len(new_reading.tokens):
        wrong.append(f"{len(old_reading.tokens)} tokens became {len(new_reading.tokens)}")
    for old, new in zip(old_reading.tokens, new_reading.tokens, strict=False):
        if old[0] == new[0] == "start":
            assert isinstance(old[2], Tag)
            assert isinstance(new[2], Tag)
            wrong += _changes_of_tag(old[2], new[2], tracked.get(old[1] + by))
            continue
        if (old[0], old[2]) == (new[0], new[2]):
            continue
        if old[1] in old_reading.comments and new[1] in new_reading.comments:
            begin = old[1]
            comment = before[begin : old_reading.comments[begin]]
            changed = after[new[1] : new_reading.comments[new[1]]]
            head = _RESEMBLES.match(comment)
            if head and changed.startswith(head[0]):
                length = head.end()
                old_body = comment[length:].removesuffix("<![endif]-->")
                new_body = changed[length:].removesuffix("<![endif]-->")
                wrong += changes(old_body, new_body, tracked, by + begin + length)
                continue
        wrong.append(f"{old!r} became {new!r}")
    return wrong


def _changes_of_tag(old: Tag, new: Tag, link: Link | None) -> list[str]:
    expected = {k: v for k, v in old.attributes.items() if k not in TAG_ATTRIBUTES}
    found = dict(new.attributes)
    is_link = old.name in ("a", "area") and "href" in old.attributes
    for name in REMOVED_NO_TRACK:
        expected.pop(name, None)
        if not is_link:  # § 2 speaks of links only
            found.pop(name, None)
    if link is not None:
        name = "href" if "href" in expected else "xlink:href"
        expected[name] = tracking_link(link.index, link.url)
    if old.name == new.name and list(expected.items()) == list(found.items()):
        return []
    return [f"<{old.name} {expected!r}> became <{new.name} {found!r}>"]
