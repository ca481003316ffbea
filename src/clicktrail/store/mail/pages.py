"""What links lead to, whoever gets them: URLs without the part that is each recipient's own.

Values of parameters are left out, for they may be, and so are the parameters by which campaigns
are told apart (``utm_…``). In the path and the fragment, what looks like a token is: an address, a
UUID, a digest, many digits, or letters and digits in no order.
"""

import hashlib
import re
from collections.abc import Iterable
from functools import lru_cache

from clicktrail.model import Link

MOST = 2000
"""Characters of a URL that are looked at."""
LONGEST = 256
"""Characters that a person gives a part of a path."""
LEFT_OUT = "\u2026"
_TOKEN = re.compile(
    r"[^@]+(?:@|%40)[^@]+\.[^@]+"  # an address
    r"|[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}"  # a UUID, RFC 9562 § 4
    r"|[0-9A-Fa-f]{16,}|[0-9]{9,}"
    r"|(?=.{16})[A-Za-z_~=-]*(?:[0-9]+[A-Za-z_~=-]+){4}[0-9A-Za-z_~=-]*"
)
_PARAMETER = re.compile(r"[&;]")


@lru_cache(1 << 13)
def page_of(url: str) -> str:
    """Return a URL without what is a recipient's own, ``…`` instead of it."""
    head, mark, fragment = url[:MOST].partition("#")
    path, query, pairs = head.partition("?")
    parts = path.split("/")
    found = "/".join((*parts[:3], *map(_folded, parts[3:])))  # not in https://host
    names = [_name(pair) for pair in _PARAMETER.split(pairs)] if query else []
    if kept := [name for name in names if name and not name.lower().startswith("utm_")]:
        found += "?" + "&".join(kept)
    return found + mark + "/".join(map(_folded, fragment.split("/")))


def without_campaign(url: str) -> str:
    """Return a URL without its ``utm_…`` parameters."""
    head, mark, fragment = url.partition("#")
    path, query, pairs = head.partition("?")
    kept = [pair for pair in pairs.split("&") if not pair.lower().startswith("utm_")]
    return path + (query + "&".join(kept) if any(kept) else "") + mark + fragment


def digest_of(pages: Iterable[str]) -> bytes:
    """Return the 16 bytes that stand for what the links of an email lead to, in their order."""
    joined = "\0".join(pages).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(joined, digest_size=16).digest()


@lru_cache(1000)
def digest_of_page(url: str) -> bytes:
    """Return the 16 bytes that stand for what a link leads to: many clicks have the same."""
    return digest_of([page_of(url)])


def version_of(links: Iterable[Link]) -> bytes:
    """Return what tells emails of a mailing apart: what their links lead to, in their order."""
    return digest_of(page_of(link.url) for link in links)


def _name(pair: str) -> str:
    name, equals, _ = pair.partition("=")
    return f"{name}={LEFT_OUT}" if equals else _folded(name)


def _folded(text: str) -> str:
    return LEFT_OUT if len(text) > LONGEST or _TOKEN.fullmatch(text) else text
