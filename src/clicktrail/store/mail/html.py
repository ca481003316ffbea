"""The HTML of emails, kept where their configuration set says so: what click maps are drawn on."""

import re
import zlib
from collections.abc import Iterable
from html import unescape
from itertools import islice

import msgspec

LIMIT = 1024 * 1024
"""An email with more bytes of HTML is not kept: its map is a list."""
LONGEST_TEXT = 80
"""Characters of a link's text that are told."""
MOST_TEXTS = 500
"""Links of an email whose texts are told."""
_LONGEST = 1500
"""Characters of an element that are looked at for its text."""
_PLACE = re.compile(r"#clicktrail-([0-9]{1,6})(?![0-9])")
_LINK = re.compile(r"<a\s", re.IGNORECASE)
_END = re.compile(r"</?a\b", re.IGNORECASE)  # a link in a link ends it (HTML § 13.2.6.4.7)
_UNSEEN = (("!--", "-->"), ("style", "/style>"), ("script", "/script>"))
_NAME = re.compile(
    r"""\s(?:alt|title)\s{0,9}=\s{0,9}(?:"([^"]{1,300})"|'([^']{1,300})')""", re.IGNORECASE
)


def place_of(link: int) -> str:
    """Return what stands in kept HTML instead of the tracking link with that index."""
    return f"#clicktrail-{link}"


def link_texts(parts: Iterable[str]) -> dict[int, str]:
    """Return what can be read on the links of kept HTML, by number: their text, else that of
    pictures and places in them (``alt``, ``title``). Links without are left out."""
    found: dict[int, str] = {}
    for part in parts:
        for place in islice(_PLACE.finditer(part), MOST_TEXTS):
            begin = part.rfind("<", max(0, place.start() - _LONGEST), place.start())
            end = part.find(">", place.end(), place.end() + _LONGEST)
            if int(place[1]) in found or begin < 0 or end < 0:
                continue
            tag, inner = part[begin : end + 1], ""
            if _LINK.match(tag):
                inner = part[end + 1 : end + 1 + _LONGEST]
                close = _END.search(inner)
                inner = inner[: close.start()] if close else inner
            if text := _read(inner) or _named(inner) or _named(tag):
                found[int(place[1])] = text
    return found


def _read(inner: str) -> str:
    first, *tags = inner.split("<")
    shown = [first]
    within = ""  # what ends the element or comment that nobody sees
    for tag in tags:
        within = within or next((end for begin, end in _UNSEEN if tag.startswith(begin)), "")
        _, end, behind = tag.partition(within or ">")
        if end:
            within = ""
            shown.append(behind)
    return _short(" ".join(shown))


def _named(tags: str) -> str:
    name = _NAME.search(tags)
    return _short(name[1] or name[2]) if name else ""


def _short(text: str) -> str:
    text = " ".join(unescape(text).split())
    return text if len(text) <= LONGEST_TEXT else f"{text[: LONGEST_TEXT - 1].rstrip()}…"


def pack_html(parts: tuple[str, ...]) -> bytes:
    """Return HTML parts as they are kept; ``b""`` where they are too large."""
    raw = msgspec.msgpack.encode([part.encode("utf-8", "replace") for part in parts])
    return zlib.compress(raw, 6) if len(raw) <= LIMIT else b""


def unpack_html(kept: bytes) -> tuple[str, ...]:
    """Return HTML parts (the inverse of `pack_html`); none of what is damaged."""
    try:
        parts = msgspec.msgpack.decode(zlib.decompress(kept), type=tuple[bytes, ...])
    except (zlib.error, msgspec.MsgspecError):
        return ()
    return tuple(part.decode("utf-8", "replace") for part in parts)
