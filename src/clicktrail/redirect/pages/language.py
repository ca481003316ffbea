"""The reader's language (RFC 9110 § 12.5.4)."""

import re
from collections.abc import Collection
from functools import lru_cache

_LONGEST = 1000
"""Bytes of a header that are read."""
_RANGE = re.compile(
    r"([A-Za-z]{1,8}|\*)(?>(?:-[A-Za-z0-9]{1,8})*)\s*(?:;\s*q=([01](?:\.\d{0,3})?))?"
)


def language(header: bytes | None, known: Collection[str], usual: str) -> str:
    """Return the language that an ``Accept-Language`` likes best of those that are known.

    ``known`` are primary language subtags (``de``), ``usual`` is that of who likes none of them.
    """
    return _best((header or b"")[:_LONGEST], frozenset(known), usual)


@lru_cache(1000)
def _best(header: bytes, known: frozenset[str], usual: str) -> str:
    best, liked = usual, 0.0
    refused = set()
    for piece in header.decode("latin-1").split(","):
        found = _RANGE.fullmatch(piece.strip())
        if found is None:
            continue
        name, weight = found[1].lower(), float(found[2] or 1)  # § 12.4.2: 1 where it is not given
        if name == "*":
            name = usual
        if not weight:
            refused.add(name)
        # RFC 4647 § 3.4, lookup: de-AT is served by de. Of equals the first.
        if weight > liked and name in known and name not in refused:
            best, liked = name, weight
    return best
