"""What a request shows of who sends it: whether a person asks at all."""

import re
from functools import lru_cache
from typing import Protocol

from clicktrail.model import Request


class Headers(Protocol):
    """Request headers by lower-case name."""

    lower_head: bytes
    """All of the request's head, in lower case."""

    def header(self, name: bytes) -> bytes | None:
        """Return the first header of that name."""
        ...


def is_prefetch(headers: Headers) -> bool:
    """Whether a program fetches ahead, before the person has clicked (behaviour § 6).

    ``Sec-Purpose: prefetch`` (Fetch standard § 2.2.2), and its forerunners ``Purpose`` and
    ``X-Moz``.
    """
    if b"prefetch" not in headers.lower_head:
        return False
    for name in (b"sec-purpose", b"purpose", b"x-moz"):
        value = headers.header(name)
        if value is not None and b"prefetch" in value.lower():
            return True
    return False


_LOOKED, _HTML, _LANGUAGE = Request.LOOKED, Request.HTML, Request.LANGUAGE
_NAVIGATION, _SUBRESOURCE, _PREVIEW = Request.NAVIGATION, Request.SUBRESOURCE, Request.PREVIEW

_HINT_LIMIT = 512
"""Bytes of a client hint that are read."""


def shown(headers: Headers, user_agent: bytes) -> int:
    """Return what a request shows of who sends it (`Request`). What it means is judged later."""
    head = headers.lower_head
    bits = _LOOKED
    # As all browsers begin it; who writes it otherwise is read more closely.
    if b"\r\naccept: text/html" in head or b"text/html" in (headers.header(b"accept") or b""):
        bits |= _HTML
    if b"\r\naccept-language:" in head:
        bits |= _LANGUAGE
    if b"\r\nsec-" in head:
        if b"\r\nsec-fetch-mode: navigate\r" in head:
            bits |= _NAVIGATION
        elif mode := headers.header(b"sec-fetch-mode"):
            bits |= _NAVIGATION if mode == b"navigate" else _SUBRESOURCE
        if brands := headers.header(b"sec-ch-ua"):
            platform = headers.header(b"sec-ch-ua-platform") or b""
            bits |= _hinted(user_agent, brands[:_HINT_LIMIT], platform[:_HINT_LIMIT])
    if b"purpose: preview\r" in head:
        bits |= _PREVIEW
    return bits


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
