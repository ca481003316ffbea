"""Whether an element would be shown at a place, by a parser that builds the whole document.

Our scanners keep to the tags that matter, and doubt where drawings and templates end in documents
that are not well-mannered. In these few, a parser decides.
"""

import re
from itertools import islice

MOST = 1 << 20
"""Bytes before the place: the parser has up to a hundred times as much in memory."""
MOST_MERGED = 16
"""Tags of ``html`` and ``body`` before the place: the attributes of each come into one element,
and each time the parser compares all that are there."""

_PROBE = "x-clicktrail-0b7c"
_IMAGE = '<img src="x:clicktrail-0b7c">'
_MERGED = re.compile(rb"<(?:html|body)", re.IGNORECASE)
_HIDING = frozenset(("template", "head", "title"))
"""Also in a drawing: of SVG's own title nothing is drawn."""


def is_shown(html: bytes, place: int) -> bool:
    """Whether a browser would show an image at that place, and all else as without it.

    ``html`` is in a charset in which ASCII is ASCII.
    """
    if place > MOST or any(islice(_MERGED.finditer(html, 0, place), MOST_MERGED, None)):
        return False
    # HTML § 13.2.6.5: an image ends the drawing that it stands in; at the end, that spoils nothing.
    is_last = not html[place:].strip()
    # What bytes above ASCII mean, no tag depends on.
    text = html[:place].decode("latin-1") + (_IMAGE if is_last else f'<{_PROBE} a="b">')
    from turbohtml import Namespace, parse  # noqa: PLC0415 - loaded only where it is needed

    document = parse(text, positions=False, allow_declarative_shadow_roots=False)
    if is_last:
        found = document.find("img", attrs={"src": "x:clicktrail-0b7c"})
    else:
        found = document.find(_PROBE)
    if found is None or found.namespace is not Namespace.HTML:
        return False
    return _HIDING.isdisjoint(getattr(above, "tag", "") for above in found.ancestors)
