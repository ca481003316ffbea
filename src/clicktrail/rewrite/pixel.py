"""The image that tells of opens: one pixel, transparent, at the end of what is shown of a document.

Or where the sender wants it: `PLACEHOLDER`, as Amazon SES calls it.
"""

from bisect import insort
from collections.abc import Iterator
from itertools import chain

from clicktrail.rewrite import shown
from clicktrail.rewrite.endings import endings, is_shown, places
from clicktrail.rewrite.html.document import Outcome
from clicktrail.rewrite.mime.text import Text

PLACEHOLDER = b"{{ses:openTracker}}"

NO_PLACE = "opens: no image is added: the HTML has no place in which it would be shown"

_IMAGE = b'<img src="%b" width="1" height="1" alt="" style="%bwidth:1px;height:1px;border:0">'
_TRIES = 8
"""How many placeholders are looked at: the first that is shown is replaced."""


def add_pixel(text: Text, outcome: Outcome, url: str) -> bool:
    """Add the image to what is done with a document; ``False`` where there is no place.

    ``url`` is its address: ASCII, without quotes. A document that has an image of this installation
    keeps that one.
    """
    html, image = text.html, url.encode("ascii")
    if html.find(image[: image.rindex(b"/") + 1]) >= 0:
        return True
    for place in _placeholders(html):
        if is_shown(html, place, outcome) or shown.is_shown(html, place):
            element = _IMAGE % (image, b"")
            insort(outcome.edits, (place, place + len(PLACEHOLDER), element))
            return True
    doubtful = (place for place in places(html) if shown.is_shown(html, place))
    for place in chain(endings(html, outcome), doubtful):
        insort(outcome.edits, (place, place, _IMAGE % (image, b"display:block;")))
        return True
    return False


def _placeholders(html: bytes) -> Iterator[int]:
    place = -1
    for _ in range(_TRIES):
        place = html.find(PLACEHOLDER, place + 1)
        if place < 0:
            return
        yield place
