"""What is asked of the rewriter, and what it tells of each link."""

import sys
from collections.abc import Callable
from dataclasses import dataclass

from clicktrail.keys.packing import MAX_URL
from clicktrail.keys.token import TrackingHosts
from clicktrail.model import NO_RULES, HttpsPolicy, LinkTags


@dataclass(slots=True)  # not frozen: that takes three times as long, and each email has its own
class Policy:
    """How links are replaced.

    ``link`` takes the link's index (from 0) and its original URL, and returns the tracking link:
    ASCII, and valid in HTML without quotes. ``is_own`` tells whether a URL is a tracking link of
    this installation. URLs of more than ``max_url`` bytes (UTF-8) stay as they are. With
    ``honeypot``, a hidden link is added to an email with links (`HONEYPOT_LINK`). Without
    ``visible_urls``, links whose text is a URL of their own host stay as they are. ``unserved``
    tells of which URLs nobody would serve the tracking link: they stay too. Without ``links``, all
    of them stay. ``pixel`` is the URL of the image that tells of opens, if there is to be one.
    ``stays`` says why a URL stays as it is, ``""`` where it does not. ``extended`` gives a URL more
    parameters before it is tracked. URLs whose tracking link has more characters than
    ``link_limit`` stay.
    """

    link: Callable[[int, str], str]
    is_own: Callable[[str], bool]
    max_url: int = MAX_URL
    honeypot: bool = False
    visible_urls: bool = True
    unserved: Callable[[str], bool] | None = None
    links: bool = True
    pixel: str | None = None
    stays: Callable[[str], str] | None = None
    extended: Callable[[str], str] | None = None
    link_limit: int = sys.maxsize


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


def policy_of(
    hosts: TrackingHosts,
    https: HttpsPolicy,
    seal: Callable[[int, str], str],
    is_own: Callable[[str], bool],
    *,
    honeypot: bool = False,
    visible_urls: bool = True,
) -> Policy:
    """Return how the links of an email are replaced by tracking links to those hosts."""
    prefix = hosts.prefix
    plain, secure = prefix("http:", https), prefix("https:", https)

    def link(index: int, url: str) -> str:
        return (secure if url[:6].lower() == "https:" else plain) + seal(index, url)

    return Policy(
        link=link,
        is_own=is_own,
        honeypot=honeypot,
        visible_urls=visible_urls,
        unserved=None if hosts.serves_all(https) else lambda url: not prefix(url, https),
        link_limit=NO_RULES.link_limit,
    )
