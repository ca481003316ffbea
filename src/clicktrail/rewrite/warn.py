"""What will hurt the sender of an email."""

from collections.abc import Iterable, Iterator, Sequence

from clicktrail.base import weburl
from clicktrail.model import Header
from clicktrail.rewrite.html.visible import host_shown
from clicktrail.rewrite.policy import LinkReport

CLIPPED_AT = 102 * 1024
"""Bytes of HTML after which Gmail shows "message clipped"."""

AMP = "text/x-amp-html"
AMP_STAYS = (
    f"amp: the part {AMP} stays as it is: only HTML parts are tracked, and what providers have"
    " validated must not change; readers whose program shows it click untracked links"
)


def about_fields(fields: Iterable[Header]) -> Iterator[str]:
    """Yield a sentence for each header field that will hurt the sender."""
    for name, value in fields:
        if name.lower() == "list-unsubscribe" and "=?" in value:
            # RFC 2047 § 5: encoded words stand in texts, and a list of URIs (RFC 2369) is none.
            yield (
                "unsubscribe: List-Unsubscribe is written in encoded words, which mail programs"
                " do not read there: write it without (Python: policy.clone(max_line_length=998))"
            )


def about_links(rows: Sequence[LinkReport]) -> Iterator[str]:
    """Yield a sentence for each thing about links, each beginning with a word."""
    schemes: set[str] = set()
    for row in rows:
        if row.why == "placeholder":
            yield f"placeholder: line {row.line}: {row.value!r} was not filled in"
        host = weburl.host(row.url) if row.url is not None else None
        if row.url is None or host is None:
            continue
        host = host.removeprefix("www.")
        schemes.add(row.url.partition(":")[0].lower())
        if "." not in host and ":" not in host:
            yield f"host: line {row.line}: {host!r} has no dot: few can reach it"
        shown = host_shown(row.text)
        if shown is not None and shown != host:
            yield (
                f"phishing: line {row.line}: the reader sees {row.text!r}, the link leads to"
                f" {host!r}: spam filters take that for fraud"
            )
    if schemes >= {"http", "https"}:
        yield "mixed: some links are http, others https: use https for all"


def about_size(before: int, after: int) -> str | None:
    """Return a sentence where a document of that many bytes, before and after, is clipped."""
    if after <= CLIPPED_AT:
        return None
    if before <= CLIPPED_AT:
        return (
            f"size: tracking links bring the HTML from {before} to {after} bytes: Gmail clips what"
            f" comes after {CLIPPED_AT}"
        )
    return f"size: {before} bytes of HTML, {after} with tracking links: Gmail clips at {CLIPPED_AT}"
