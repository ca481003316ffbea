"""The hidden link: last in the body, for machines that follow every link of an email.

Nobody sees it: it is empty and not displayed. Nobody comes to it by keyboard (``tabindex``), and
screen readers pass it over (``aria-hidden``).
"""

import re
from bisect import insort
from itertools import islice
from urllib.parse import urlsplit

from clicktrail.model import HONEYPOT_LINK
from clicktrail.rewrite.html import quick, scanner
from clicktrail.rewrite.html.document import Outcome
from clicktrail.rewrite.html.markup import Tag
from clicktrail.rewrite.mime.text import Text
from clicktrail.rewrite.policy import Policy

_ELEMENT = (
    b'<a href="%b" tabindex="-1" aria-hidden="true"'
    b' style="display:none;visibility:hidden;mso-hide:all"></a>'
)
_PROBE = b'<a href="http://a.example">'
_ENDS = (re.compile(rb"</body[\t\n\f\r />]", re.I), re.compile(rb"</html[\t\n\f\r />]", re.I))
_TRIES = 3
"""How many places are tried that look like the end of the body."""


def add_honeypot(text: Text, outcome: Outcome, policy: Policy, url: str) -> bool:
    """Add the hidden link to what is done with a document; ``False`` where there is no place.

    ``url`` is a link of the email: the hidden one leads to the same site, to its first page.
    """
    for place in _places(text.html):
        if _is_read(text.html, place):
            link = policy.link(HONEYPOT_LINK, _first_page(url)).encode("ascii")
            insort(outcome.edits, (place, place, _ELEMENT % link))
            return True
    return False


def _places(html: bytes) -> list[int]:
    """Return where the body may end, the likeliest first."""
    places: list[int] = []
    for pattern in _ENDS:
        found = [match.start() for match in pattern.finditer(html)]
        places += islice(reversed(found), _TRIES)
    end = len(html.rstrip())
    # Text in ISO-2022-JP that does not come back to ASCII at its end.
    return places if html[end - 1 : end] == b"\x80" else [*places, end]


def _is_read(html: bytes, place: int) -> bool:
    """Whether a browser reads a link at that place: not in a comment, a script, an open tag …"""
    document = html[:place] + _PROBE
    found = quick.tags(document)
    last = None
    for last in scanner.tags(document) if found is None else found:  # noqa: B007
        pass
    if isinstance(last, Tag):
        return last.start == place and not last.in_outlook and not last.in_svg
    return last is not None and last.start() == place


def _first_page(url: str) -> str:
    """Return the URL of a site's first page. Following it changes nothing for anybody."""
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return url
    return f"{parts.scheme}://{host}/" if host else url
