"""What will hurt the sender of an email, for ``clicktrail rewrite --report``."""

import re
from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import urlsplit

from clicktrail.rewrite.html import LinkReport

CLIPPED_AT = 102 * 1024
"""Bytes of HTML after which Gmail shows "message clipped"."""

_LOOKS_LIKE_A_HOST = re.compile(r"(?:https?://)?((?:[\w-]+\.)+[a-z]{2,24})(?:[/:?#]\S*)?\Z", re.I)


def warnings_for(rows: Sequence[LinkReport], sizes: Iterable[int]) -> list[str]:
    """Return a sentence for each thing that will hurt the sender, each beginning with a word.

    ``sizes`` are those of the HTML parts, in bytes.
    """
    return [*_about_links(rows), *_about_sizes(sizes)]


def _about_links(rows: Sequence[LinkReport]) -> Iterator[str]:
    schemes: set[str] = set()
    for row in rows:
        if row.why == "placeholder":
            yield f"placeholder: line {row.line}: {row.value!r} was not filled in"
        if row.url is None:
            continue
        try:
            parts = urlsplit(row.url)
            host = (parts.hostname or "").removeprefix("www.")
        except ValueError:
            continue
        schemes.add(parts.scheme.lower())
        if "." not in host and ":" not in host:
            yield f"host: line {row.line}: {host!r} has no dot: few can reach it"
        seen = _LOOKS_LIKE_A_HOST.match(row.text)
        if seen and seen[1].lower().removeprefix("www.") != host:
            yield (
                f"phishing: line {row.line}: the reader sees {row.text!r}, the link leads to"
                f" {host!r}: spam filters take that for fraud"
            )
    if schemes >= {"http", "https"}:
        yield "mixed: some links are http, others https: use https for all"


def _about_sizes(sizes: Iterable[int]) -> Iterator[str]:
    for size in sizes:
        if size > CLIPPED_AT:
            yield f"size: {size} bytes of HTML; some providers clip after {CLIPPED_AT}"
