"""What a request shows of who sends it: whether a person asks at all."""

import re
from functools import lru_cache
from typing import NamedTuple

from clicktrail.model import Request

USER_AGENT_LIMIT = 1024
"""A longer User-Agent is logged cut off."""

_HINT_LIMIT = 512
"""Bytes of a client hint that are read."""
_REMEMBERED, _REMEMBERED_LIMIT = 1024, 1024
"""So many headers are remembered, of at most so many bytes."""


class Visitor(NamedTuple):
    """What the headers of a request show. What it means is judged later."""

    user_agent: str
    request: int
    """Bits of `Request`."""
    is_prefetch: bool
    """Whether a program fetches ahead, before the person has clicked (behaviour § 6).

    ``Sec-Purpose: prefetch`` (Fetch standard § 2.2.2), and its forerunners ``Purpose`` and
    ``X-Moz``."""


def seen_before(fields: bytes) -> Visitor:
    """Return what header lines show, as `look` does, quicker where they are those of many."""
    return _remembered(fields) if len(fields) <= _REMEMBERED_LIMIT else look(fields)


def look(fields: bytes) -> Visitor:
    """Return what header lines show: each begins with CRLF, and the last ends with it."""
    lower = fields.lower()
    agent = _header(fields, lower, b"user-agent")[:USER_AGENT_LIMIT]
    bits = Request.LOOKED
    at = lower.find(b"\r\naccept")
    while at >= 0:
        rest = at + 8
        # As all browsers begin it; who writes it otherwise is read more closely.
        if lower.startswith(b": text/html", rest) or (
            lower[rest] == _COLON and b"text/html" in lower[rest : lower.find(b"\r", rest)]
        ):
            bits |= Request.HTML
        elif lower.startswith(b"-language:", rest):
            bits |= Request.LANGUAGE
        at = lower.find(b"\r\naccept", rest)
    if b"\r\nsec-" in lower:
        if mode := _header(lower, lower, b"sec-fetch-mode"):
            bits |= Request.NAVIGATION if mode == b"navigate" else Request.SUBRESOURCE
        if brands := _header(lower, lower, b"sec-ch-ua"):
            platform = _header(lower, lower, b"sec-ch-ua-platform")
            bits |= _hinted(agent, brands[:_HINT_LIMIT], platform[:_HINT_LIMIT])
    is_prefetch = False
    if b"pre" in lower:
        names = (b"sec-purpose", b"purpose", b"x-moz")
        is_prefetch = any(b"prefetch" in _header(lower, lower, name) for name in names)
        if b"preview" in (_header(lower, lower, n) for n in (b"purpose", b"x-purpose")):
            bits |= Request.PREVIEW
    return Visitor(agent.decode("utf-8", "replace"), bits, is_prefetch)


_remembered = lru_cache(_REMEMBERED)(look)
_COLON = ord(":")


def _header(fields: bytes, lower: bytes, name: bytes) -> bytes:
    """Return the first header of a lower-case name; nothing where there is none."""
    start = lower.find(b"\r\n" + name + b":")
    if start < 0:
        return b""
    start += len(name) + 3
    return fields[start : fields.find(b"\r\n", start)].strip(b" \t")


@lru_cache(1024)
def _hinted(user_agent: bytes, brands: bytes, platform: bytes) -> int:
    """Return what client hints show, and whether they say another browser than the User-Agent.

    Only browsers made of Chromium send them, which all name its version in both places. "Desktop
    site" makes an Android a Linux in the User-Agent, and in some versions not in the hint.
    """
    agent, brands, platform = user_agent.lower(), brands.lower(), platform.lower().strip(b'"')
    bits = Request.HINTS
    if b"headless" in brands:
        bits |= Request.HEADLESS
    chromium, chrome = _CHROMIUM.search(brands), _CHROME.search(agent)
    other_browser = not chrome and (b"firefox/" in agent or b"safari/" in agent)
    other_version = chromium and chrome and chromium[1] != chrome[1]
    names = _SYSTEMS.get(platform, ())
    other_system = (
        names
        and any(name in agent for each in _SYSTEMS.values() for name in each)
        and not any(name in agent for name in names)
    )
    return bits | Request.OTHER_HINTS if other_browser or other_version or other_system else bits


_CHROMIUM = re.compile(rb'"chromium";\s?v="(\d+)')
_CHROME = re.compile(rb"chrom(?:e|ium)/(\d+)")
_SYSTEMS = {
    b"windows": (b"windows",),
    b"macos": (b"mac os x",),
    b"linux": (b"linux",),
    b"android": (b"android", b"linux"),
    b"chrome os": (b"cros",),
    b"chromium os": (b"cros",),
}
"""Values of ``Sec-CH-UA-Platform``, and how a User-Agent names the system."""
