"""The hidden link: last in the body, for machines that follow every link of an email.

Nobody sees it: it is empty and not displayed. Nobody comes to it by keyboard (``tabindex``), and
screen readers pass it over (``aria-hidden``).
"""

from bisect import insort
from urllib.parse import urlsplit

from clicktrail.model import HONEYPOT_LINK
from clicktrail.rewrite.endings import endings
from clicktrail.rewrite.html.document import Outcome
from clicktrail.rewrite.mime.text import Text
from clicktrail.rewrite.policy import Policy

_ELEMENT = (
    b'<a href="%b" tabindex="-1" aria-hidden="true"'
    b' style="display:none;visibility:hidden;mso-hide:all"></a>'
)


def add_honeypot(text: Text, outcome: Outcome, policy: Policy, url: str) -> bool:
    """Add the hidden link to what is done with a document; ``False`` where there is no place.

    ``url`` is a link of the email: the hidden one leads to the same site, to its first page.
    """
    for place in endings(text.html, outcome):
        link = policy.link(HONEYPOT_LINK, _first_page(url)).encode("ascii")
        insort(outcome.edits, (place, place, _ELEMENT % link))
        return True
    return False


def _first_page(url: str) -> str:
    """Return the URL of a site's first page. Following it changes nothing for anybody."""
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return url
    return f"{parts.scheme}://{host}/" if host else url
