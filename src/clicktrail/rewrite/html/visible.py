"""Links whose text is a URL: readers, and mail programs that compare, see another target.

A mail program that shows where a link leads, or warns where that differs from what the link says,
makes a tracking link look like fraud there. So the sender is told, and a configuration set can
leave such links alone.
"""

import re

from clicktrail.base import weburl
from clicktrail.rewrite.html.markup import compile_ascii
from clicktrail.rewrite.html.plain import URL_SHOWN
from clicktrail.rewrite.html.references import decode_attribute

begins = compile_ascii(URL_SHOWN).match
"""Takes a document and where a link's tag ends: whether the link's text begins like a URL."""

# What is not closed goes on to the end: else each of many beginnings would be looked through.
_NOT_THE_TEXT = re.compile(r"<!--.*?(?:-->|\Z)|<[A-Za-z/!?][^>]*(?:>|\Z)", re.S)
_URL_LIKE = re.compile(
    r"(?:https?://)?((?:[\w\-]+\.)+(?:[^\W\d_]{2,24}|xn--[\w\-]+))(?::[0-9]+)?(?:[/?#]\S*)?\Z",
    re.I,
)


def host_shown(text: str) -> str | None:
    """Return the host, in ASCII and without ``www.``, that a link's whole text names."""
    found = _URL_LIKE.match(text)
    return _bare(f"http://{found[1]}/") if found is not None else None


def seen(inner: str) -> str:
    """Return the text that a reader sees of a link, by what is in its element (not exact)."""
    text = _NOT_THE_TEXT.sub(" ", inner) if "<" in inner else inner
    return " ".join(decode_attribute(text).split())


def url_shown(inner: str, url: str) -> str | None:
    """Return what a reader sees of a link, where it is a URL of the host that it leads to."""
    text = seen(inner)
    host = host_shown(text)
    return text if host is not None and host == _bare(url) else None


def _bare(url: str) -> str | None:
    host = weburl.host(url)
    return host.removeprefix("www.") if host is not None else None
