"""Replaces the links of one HTML document, and nothing else (behaviour § 2-4)."""

import re
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from clicktrail.model import Link, LinkTags
from clicktrail.rewrite.html import quick, scanner, visible
from clicktrail.rewrite.html.doubts import DOUBTFUL, Doubts
from clicktrail.rewrite.html.markup import (
    BODY_END,
    NO_TRACK_CLASS,
    Attribute,
    Tag,
    is_in_value,
    says_no_track,
    tag_at,
    templates,
)
from clicktrail.rewrite.html.plain import PLAIN_HREF, PLAIN_TAGS
from clicktrail.rewrite.html.references import decode_attribute
from clicktrail.rewrite.html.tags import parse_tags
from clicktrail.rewrite.html.url import base_url, classify
from clicktrail.rewrite.mime.charset import UTF_8
from clicktrail.rewrite.mime.quoted import Edit, apply
from clicktrail.rewrite.mime.text import LOST, Text
from clicktrail.rewrite.policy import LinkReport, Policy

_UNSERVED = (
    "no-https: links stay untracked, as nobody is known to serve https"
    " (redirect.tls_listen, tracking.https_host)"
)


@dataclass(slots=True)
class Outcome:
    """What is to be done with a document: edits of its bytes; links, warnings and the report."""

    edits: list[Edit]
    links: list[Link]
    warnings: list[str]
    report: list[LinkReport]
    body_end: int = -1
    """Where the last end tag of the body begins; -1, if there is none."""
    templates: bool = False
    """Whether there is one."""
    known: int = 0
    """A place near the end where text is read as text: nothing before matters to what follows."""


@dataclass(slots=True)
class RewrittenHtml:
    """The document with its links replaced, the tracked links, warnings, the report."""

    html: str
    links: list[Link]
    warnings: list[str]
    report: list[LinkReport]


def rewrite_html(
    html: str, policy: Policy, *, part: int = 0, first: int = 0, report: bool = False
) -> RewrittenHtml:
    """Return a document with its links replaced.

    ``first`` is the index of its first link, ``part`` which HTML part of the email it is. Without
    ``report``, the report stays empty.
    """
    source = html.encode("utf-8", "surrogatepass")
    text = Text(source, source, "ascii" if html.isascii() else UTF_8, "surrogatepass")
    done = rewrite_text(text, policy, part=part, first=first, report=report)
    if done.edits:
        html = apply(source, done.edits).decode("utf-8", "surrogatepass")
    return RewrittenHtml(html, done.links, done.warnings, done.report)


def rewrite_text(
    text: Text, policy: Policy, *, part: int = 0, first: int = 0, report: bool = False
) -> Outcome:
    """Find the links of a document and say what replaces them. The parameters are the same."""
    html = text.html
    found = quick.tags(html)
    quickly = found is not None
    if found is None:
        found = list(scanner.tags(html))
    rewriter = _Rewriter(text, policy, part, first, _base_of(text, found), report)
    if quickly and found:
        rewriter.outcome.known = _behind(found[-1])
    found.reverse()
    while found:  # taken from the list: of a large email they are many
        tag = found.pop()
        if isinstance(tag, Tag):
            rewriter.tag(tag)
        elif report or not rewriter.usual(tag):
            whole = tag_at(html, tag.start(), tag.end())
            assert whole is not None
            rewriter.tag(whole)
    if not quickly and scanner.needs_care(html):
        rewriter.outcome.body_end = -1  # it may be in a drawing that is not closed
    if rewriter.doubts:
        rewriter.outcome.warnings += rewriter.doubts.told()
    return rewriter.outcome


def _behind(tag: Tag | re.Match[bytes]) -> int:
    if isinstance(tag, Tag):
        return 0 if tag.in_outlook or tag.in_svg else tag.end
    return tag.end()


_WHITE = "\t\n\f\r "
_WHITE_BYTES = b"\t\n\f\r "
_LINK_ELEMENTS = frozenset((b"a", b"area"))
_SIGN = re.compile(rb"[\t\n\f\r /]*=")
_LINK_END = re.compile(rb"</a[\t\n\f\r />]", re.I)


class _Rewriter:
    """Takes the tags of a document in order and gathers the outcome."""

    def __init__(
        self, text: Text, policy: Policy, part: int, first: int, base: str | None, report: bool
    ) -> None:
        self.outcome = Outcome([], [], [], [])
        self.doubts = Doubts()
        self._text = text
        self._html = text.html
        self._policy = policy
        self._part = part
        self._index = first
        self._base = base
        self._characters = text.counter()
        self._report = report
        self._has_class = NO_TRACK_CLASS in text.html
        self._line, self._line_at = 1, 0

    def usual(self, found: re.Match[bytes]) -> bool:
        """Take a link in its usual form (`PLAIN_LINK`); ``False`` where it needs a closer look."""
        _, before, early, url_there, value, single, _, behind, late, shown = found.groups()
        if (before and behind) or (self._has_class and NO_TRACK_CLASS in found[0]):
            return False
        url: str | None
        href, why, doubtful = PLAIN_HREF, "http", None
        if url_there is not None:
            url = url_there.decode("ascii")
            if "&" in url:
                url = url.replace("&amp;", "&")
        else:
            href += 1 if value is not None else 2 if single is not None else 3
            raw = self._read_plainly(*found.span(href))
            if raw is None:
                return False
            url, why = classify(raw, self._base)
            if why in DOUBTFUL:
                doubtful = raw
        if url is not None:
            policy = self._policy
            if len(url) * 4 > policy.max_url or policy.is_own(url):
                return False
            if policy.unserved is not None and policy.unserved(url):
                return False
            if policy.stays is not None and policy.stays(url):
                url = doubtful = None
        if url is not None:
            if policy.extended is not None:
                url = policy.extended(url)
                if len(url) * 4 > policy.max_url:
                    return False
            new = policy.link(self._index, url).encode("ascii")
            if len(new) > policy.link_limit:
                return False
            if shown is not None and self._is_left_alone(found.end(), url):
                return False
        if doubtful is not None:
            self.doubts.note(why, doubtful)
        edits = self.outcome.edits
        link_tags: LinkTags = ()
        if before:
            start, end = found.span(PLAIN_TAGS[0])
            link_tags = self._parsed(early, end - 1)
            edits.append((start, end, b""))
        if url is not None:
            start, end = found.span(href)
            edits.append((start, end, new))
        if behind:
            start, end = found.span(PLAIN_TAGS[1])
            link_tags = self._parsed(late, end - 1)
            edits.append((start, end, b""))
        if url is not None:
            index = self._index
            self._index = index + 1
            place = self._characters(found.start())
            self.outcome.links.append(Link(index, url, link_tags, self._part, place))
        return True

    def _read_plainly(self, start: int, end: int) -> str | None:
        """Return what a browser reads there; ``None`` where that is not all that is there."""
        value = self._html[start:end]
        if value.isascii():
            return value.decode("ascii")
        if self._text.escapes:
            return None
        raw = self._text.read(start, end)
        return None if LOST in raw else raw

    def tag(self, tag: Tag) -> None:
        """Take any other tag that may hold a link or attributes of ours."""
        edits = [self._removal(tag, each) for each in tag.ours] if tag.ours else []
        if tag.name in _LINK_ELEMENTS or (tag.in_outlook and tag.name.startswith(b"v:")):
            href = tag.attributes.get(b"href")
            if href is None and tag.in_svg and tag.name == b"a":
                href = tag.attributes.get(b"xlink:href")  # SVG 2 § 16.1.3
            link_tags = self._tags_of(tag) if edits else ()
            if href is not None and href.value is not None:
                edits += self._link(tag, href, link_tags)
        elif tag.name == BODY_END:
            self.outcome.body_end = tag.start
        elif tag.name == b"template":
            self.outcome.templates = True
        if tag.ours:
            edits.sort()
            edits = [edit for edit in edits if edit[0] < edit[1] or edit[2]]
        self.outcome.edits += edits

    def _link(self, tag: Tag, href: Attribute, link_tags: LinkTags) -> list[Edit]:
        raw = self._text.read(*_value_at(href))
        url, why = classify(raw, self._base)
        new = b""
        if url is not None:
            why, url, new = self._decide(url, why, tag)
            if new and LOST in raw and not self._text.is_exact(*_value_at(href), raw):
                why, new = "undecodable", b""
        if why in DOUBTFUL:
            self.doubts.note(why, raw)
        place = self._characters(tag.start)
        if self._report:
            self._row(tag, place, raw, url, "tracked" if new else "unchanged", why, link_tags)
        if url is None or not new:
            return []
        index = self._index
        self._index += 1
        self.outcome.links.append(Link(index, url, link_tags, self._part, place))
        start, end = _value_at(href)
        if self._text.escapes:
            new += self._text.shift(start, end)
        if tag.in_outlook and new.endswith((b"-", b"!")):
            # Without quotes "--" and ">" would end the comment (HTML § 13.2.5.51).
            new = new if self._html[start - 1] in b"\"'" else b'"%b"' % new
        return [(start, end, new)]

    def _decide(self, url: str, why: str, tag: Tag) -> tuple[str, str, bytes]:
        """Return why, the URL to track, and its tracking link: empty where it stays after all."""
        policy = self._policy
        if len(tag.attributes) > 1 and says_no_track(tag, self._value):
            return "no-track", url, b""
        if self._is_too_long(url):
            return "too-long", url, b""
        if policy.is_own(url):
            return "own", url, b""
        if policy.unserved is not None and policy.unserved(url):
            if _UNSERVED not in self.outcome.warnings:
                self.outcome.warnings.append(_UNSERVED)
            return "no-https", url, b""
        if policy.stays is not None and (rule := policy.stays(url)):
            return rule, url, b""
        target = url if policy.extended is None else policy.extended(url)
        if target is not url and self._is_too_long(target):
            return "too-long", url, b""
        new = policy.link(self._index, target).encode("ascii")
        if len(new) > policy.link_limit:
            return "link-limit", url, b""
        # Only what is called "a" has a text, and ends the look at another's: the next one begins.
        has_url = tag.name == b"a" and visible.begins(self._html, tag.end)
        if has_url and self._is_left_alone(tag.end, url):
            return "visible-url", url, b""
        return why, target, new

    def _is_left_alone(self, end: int, url: str) -> bool:
        """Whether a link stays as it is for its text, which begins at ``end`` like a URL."""
        shown = visible.url_shown(self._text.decode(self._inner(end)), url)
        if shown is None:
            return False
        if self._policy.visible_urls:
            self.doubts.note("shown", shown)
        return not self._policy.visible_urls

    def _is_too_long(self, url: str) -> bool:
        if len(url) * 4 <= self._policy.max_url:
            return False
        size = len(url.encode("utf-8", "surrogatepass"))
        if size <= self._policy.max_url:
            return False
        self.outcome.warnings.append(f"too-long: a URL of {size} bytes is not tracked: {url[:60]}…")
        return True

    def _value(self, attribute: Attribute) -> str:
        """Return the value of a switch."""
        return decode_attribute(self._text.read(*_value_at(attribute))).strip(_WHITE).lower()

    def _tags_of(self, tag: Tag) -> LinkTags:
        tags: LinkTags = ()
        for name in (b"postbox:tags", b"ses:tags"):
            found = tag.attributes.get(name)
            if found is not None:
                start, end = _value_at(found)
                tags += self._parsed(self._html[start:end], end)
        return tags

    def _parsed(self, value: bytes, end: int) -> LinkTags:
        """Return the link tags of a value, which ends there."""
        is_ascii = value.isascii() and self._text.source is self._html
        raw = value.decode("ascii") if is_ascii else self._text.read(end - len(value), end)
        tags, dropped = _parse_tags(raw)
        if dropped:
            self.outcome.warnings.extend(
                f"tags: {piece!r} is dropped: a link tag is key:value" for piece in dropped
            )
        return tags

    def _removal(self, tag: Tag, attribute: Attribute) -> Edit:
        """Return the edit that takes an attribute and the white space before it away."""
        html = self._html
        start, end = attribute.start, attribute.end
        if _SIGN.match(html, end, tag.end):
            return start, start, b""  # it would become that of the attribute before: ours stays
        if html[end] not in _WHITE_BYTES + b">":
            return start, end, b""  # without the white space, its neighbours would become one
        while html[start - 1] in _WHITE_BYTES:
            start -= 1
        if (
            html[start - 1] == b"/"[0]
            and html[end] == b">"[0]
            and not is_in_value(html, tag, start)
        ):
            # Together they would close an element of SVG (§ 13.2.5.40).
            at = attribute.start
            return at if start < at else at - 1, end, b""
        if tag.in_outlook and html.endswith((b"--", b"--!"), tag.start, start):
            return attribute.start, end, b""  # else it and ">" could end the comment
        return start, end, b""

    def _row(
        self,
        tag: Tag,
        place: int,
        raw: str,
        url: str | None,
        outcome: str,
        why: str,
        link_tags: LinkTags,
    ) -> None:
        self._line += self._html.count(b"\n", self._line_at, tag.start)
        self._line_at = tag.start
        name = tag.name.decode("utf-8", "replace")
        seen = self._visible_text(tag)
        row = LinkReport(
            self._part, place, self._line, name, raw, url, outcome, why, link_tags, seen
        )
        self.outcome.report.append(row)

    def _visible_text(self, tag: Tag) -> str:
        """Return what a reader sees of a link (for people, not exact)."""
        if tag.name != b"a":
            return ""
        return visible.seen(self._text.decode(self._inner(tag.end)))

    def _inner(self, at: int) -> bytes:
        """Return what is between a link's tag, which ends there, and its end tag."""
        end = _LINK_END.search(self._html, at, at + 4000)
        return self._text.source[at : end.start() if end else at]


@lru_cache(512)
def _parse_tags(raw: str) -> tuple[LinkTags, tuple[str, ...]]:
    return parse_tags(decode_attribute(raw))


def _base_of(text: Text, found: Iterable[Tag | re.Match[bytes]]) -> str | None:
    """Return the document's base URL, where it is one of http(s) (HTML § 4.2.3)."""
    hidden: list[tuple[int, int]] | None = None
    for tag in found:
        if isinstance(tag, Tag) and tag.name == b"base" and not tag.in_outlook:
            href = tag.attributes.get(b"href")
            if href is None or tag.is_foreign:
                continue
            hidden = templates(text.html) if hidden is None else hidden
            around = bisect_left(hidden, (tag.start,)) - 1
            if around >= 0 and tag.start < hidden[around][1]:
                continue
            raw = text.read(*_value_at(href))
            return base_url(raw) if text.is_exact(*_value_at(href), raw) else None
    return None


def _value_at(attribute: Attribute) -> tuple[int, int]:
    """Return where the value of an attribute begins and ends."""
    start = attribute.value_start
    return start, start + len(attribute.value or b"")
