"""Where something may be added to a document: the end of what a browser shows of it."""

import re
from collections.abc import Iterator
from itertools import islice

from clicktrail.rewrite.html import quick, scanner
from clicktrail.rewrite.html.document import Outcome
from clicktrail.rewrite.html.markup import Tag, has_templates, templates

_PROBE = b'<a href="http://a.example">'
_ENDS = (re.compile(rb"</body[\t\n\f\r />]", re.I), re.compile(rb"</html[\t\n\f\r />]", re.I))
_TRIES = 3
"""How many places are tried that look like the end of the body."""


def endings(html: bytes, outcome: Outcome) -> Iterator[int]:
    """Yield where what is shown ends, the likeliest place first; none, where nothing is shown."""
    if outcome.body_end >= 0 and not outcome.templates:
        yield outcome.body_end
    for place in places(html):
        if is_shown(html, place, outcome):
            yield place


def is_shown(html: bytes, place: int, outcome: Outcome) -> bool:
    """Whether an element at that place is read and shown.

    Not in a comment, a script, an open tag, a template; and not where there is doubt about it.
    """
    hiding = has_templates(html)
    start = 0 if hiding or outcome.known > place else outcome.known
    document = html[start:place] + _PROBE
    found = quick.tags(document)
    if found is None:
        # Where templates and drawings end is known for sure of well-mannered documents alone.
        if hiding or scanner.needs_care(document):
            return False
        found = list(scanner.tags(document))
    if hiding and any(begin < place <= end for begin, end in templates(html)):
        return False
    last = found[-1] if found else None
    if isinstance(last, Tag):
        return last.start == place - start and not last.in_outlook and not last.in_svg
    return last is not None and last.start() == place - start


def places(html: bytes) -> Iterator[int]:
    """Yield where a document looks as if what is shown of it ended, the likeliest first."""
    for pattern in _ENDS:
        found = [match.start() for match in pattern.finditer(html)]
        yield from islice(reversed(found), _TRIES)
    end = len(html.rstrip())
    # Text in ISO-2022-JP that does not come back to ASCII at its end.
    if html[end - 1 : end] != b"\x80":
        yield end
