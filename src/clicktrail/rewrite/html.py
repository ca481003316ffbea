"""Replaces the links of one HTML document, and nothing else (behaviour § 2-4)."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from clicktrail.model import Link, LinkTags
from clicktrail.rewrite.scanner import Attribute, Tag, start_tags
from clicktrail.rewrite.tags import parse_tags
from clicktrail.rewrite.url import base_url, classify, decode_attribute
from clicktrail.token import MAX_URL


@dataclass(frozen=True, slots=True)
class Policy:
    """How links are replaced.

    ``link`` takes the link's index (from 0) and its original URL, and returns the tracking link:
    ASCII, and valid in HTML without quotes. ``is_own`` tells whether a URL is a tracking link of
    this installation. URLs of more than ``max_url`` bytes (UTF-8) stay as they are.
    """

    link: Callable[[int, str], str]
    is_own: Callable[[str], bool]
    max_url: int = MAX_URL


@dataclass(frozen=True, slots=True)
class LinkReport:
    """What happened to one link, and why.

    ``value`` is the attribute as written, ``url`` what it leads to (``None``: nowhere on the web),
    ``outcome`` ``tracked`` or ``unchanged``, ``text`` what the reader sees of the link.
    """

    part: int
    offset: int
    line: int
    element: str
    value: str
    url: str | None
    outcome: str
    why: str
    tags: LinkTags = ()
    text: str = ""


@dataclass(slots=True)
class RewrittenHtml:
    """The document with its links replaced, the tracked links, warnings, the report."""

    html: str
    links: list[Link] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    report: list[LinkReport] = field(default_factory=list)


_WHITE = "\t\n\f\r "
_BASE = re.compile(r"<base[\t\n\f\r />]", re.I)
_LINK_ELEMENTS = frozenset(("a", "area"))
_NOT_THE_TEXT = re.compile(r"<!--.*?-->|<[^>]*>", re.S)
_SIGN = re.compile(r"[\t\n\f\r /]+=")
_LINK_END = re.compile(r"</a[\t\n\f\r />]", re.I)


def rewrite_html(
    html: str, policy: Policy, *, part: int = 0, first: int = 0, report: bool = False
) -> RewrittenHtml:
    """Return a document with its links replaced.

    ``first`` is the index of its first link, ``part`` which HTML part of the email it is. Without
    ``report``, the report stays empty.
    """
    result = RewrittenHtml(html)
    base = _base_of(html) if _BASE.search(html) else None
    pieces: list[str] = []
    done = 0
    for tag in start_tags(html):
        attributes = tag.attributes
        edits: list[tuple[int, int, str]] = []
        if tag.ours:
            edits = [_removal(html, tag, each) for _, each in tag.ours]
        if tag.name in _LINK_ELEMENTS or (tag.in_outlook and tag.name.startswith("v:")):
            tags = _tags_of(attributes, result.warnings) if tag.ours else ()
            href = attributes.get("href")
            if href is None and tag.in_svg and tag.name == "a":
                href = attributes.get("xlink:href")  # SVG 2 § 16.1.3
            if href is not None and href.value is not None:
                raw = href.value
                url, why = classify(raw, base)
                if url is not None:
                    why, url_is_kept = _decide(url, why, attributes, policy, result.warnings)
                else:
                    url_is_kept = True
                if not url_is_kept and url is not None:
                    index = first + len(result.links)
                    link = Link(index, url, tags, part, tag.start)
                    result.links.append(link)
                    replaced = policy.link(index, url)
                    if tag.in_outlook and replaced.endswith(("-", "!")):
                        # Without quotes "--" and ">" would end the comment (HTML § 13.2.5.51).
                        bare = html[href.value_start - 1] not in "\"'"
                        replaced = f'"{replaced}"' if bare else replaced
                    edits.append((href.value_start, href.value_start + len(raw), replaced))
                if report:
                    result.report.append(
                        LinkReport(
                            part,
                            tag.start,
                            html.count("\n", 0, tag.start) + 1,
                            tag.name,
                            raw,
                            url,
                            "unchanged" if url_is_kept else "tracked",
                            why,
                            tags,
                            _visible_text(html, tag),
                        )
                    )
        if edits:
            edits.sort()
            for start, end, text in edits:
                pieces.append(html[done:start])
                pieces.append(text)
                done = end
    if pieces:
        pieces.append(html[done:])
        result.html = "".join(pieces)
    return result


def _base_of(html: str) -> str | None:
    """Return the document's base URL, where it is one of http(s) (HTML § 4.2.3)."""
    for tag in start_tags(html):
        if tag.name == "base" and not tag.in_outlook and "href" in tag.attributes:
            return base_url(tag.attributes["href"].value or "")
    return None


def _decide(
    url: str, why: str, attributes: dict[str, Attribute], policy: Policy, warnings: list[str]
) -> tuple[str, bool]:
    """Return why, and whether a link to the web stays as it is after all."""
    if len(attributes) > 1 and _asks_not_to_be_tracked(attributes):
        return "no-track", True
    if len(url) * 4 > policy.max_url:
        size = len(url.encode("utf-8", "surrogatepass"))
        if size > policy.max_url:
            warnings.append(f"too-long: a URL of {size} bytes is not tracked: {url[:60]}…")
            return "too-long", True
    if policy.is_own(url):
        return "own", True
    return why, False


def _asks_not_to_be_tracked(attributes: dict[str, Attribute]) -> bool:
    if not attributes.keys().isdisjoint(("ses:no-track", "postbox:no-track", "data-pm-no-track")):
        return True
    for name, value in (
        ("clicktracking", "off"),
        ("data-msys-clicktrack", "0"),
        ("disable-tracking", "true"),
    ):
        found = attributes.get(name)
        given = "" if found is None else decode_attribute(found.value or "")
        if given.strip(_WHITE).lower() == value:
            return True
    return False


def _tags_of(attributes: dict[str, Attribute], warnings: list[str]) -> LinkTags:
    tags: LinkTags = ()
    for name in ("postbox:tags", "ses:tags"):
        found = attributes.get(name)
        if found is not None and found.value is not None:
            parsed, dropped = parse_tags(decode_attribute(found.value))
            tags += parsed
            warnings.extend(
                f"tags: {piece!r} is dropped: a link tag is key:value" for piece in dropped
            )
    return tags


def _removal(html: str, tag: Tag, attribute: Attribute) -> tuple[int, int, str]:
    """Return the edit that takes an attribute and the white space before it away."""
    start, end = attribute.start, attribute.end
    if _SIGN.match(html, end, tag.end):
        return start, start, ""  # it would become that of the attribute before: ours stays
    if html[end] not in _WHITE + ">":
        return start, end, ""  # without the white space, its neighbours would become one
    while html[start - 1] in _WHITE:
        start -= 1
    if tag.in_outlook and html.endswith(("--", "--!"), tag.start, start):
        return attribute.start, end, ""  # else what is before it and ">" could end the comment
    return start, end, ""


def _visible_text(html: str, tag: Tag) -> str:
    """Return what a reader sees of a link (for people, not exact)."""
    if tag.name != "a":
        return ""
    end = _LINK_END.search(html, tag.end, tag.end + 4000)
    inner = html[tag.end : end.start() if end else tag.end]
    return " ".join(decode_attribute(_NOT_THE_TEXT.sub(" ", inner)).split())
