"""The forms by which somebody unsubscribes: with one click (RFC 8058 § 3.2), or from topics that
they choose on our page."""

import re
from urllib.parse import parse_qsl

FORM_LIMIT = 4096
"""Most bytes of the form; more is answered 413. The longest that programs send has some 200."""

_FIELD, _VALUE = "List-Unsubscribe", "One-Click"
_URLENCODED = b"application/x-www-form-urlencoded"
_MULTIPART = b"multipart/form-data"

# RFC 2046 § 5.1.1, in quotes where it needs them (RFC 2045 § 5.1).
_BOUNDARY = re.compile(
    rb';[ \t]*boundary=(?:"([ !#-\[\]-~]{1,70})"|([^\s"\\;,]{1,70}))[ \t]*(?:;|$)', re.IGNORECASE
)
# RFC 7578 § 4.2. Of the parameters of RFC 2231 it wants none.
_NAME = re.compile(
    rb"^content-disposition:\s*form-data\s*;\s*name=(\"?)%b\1\s*(?:\n\S|\Z)" % _FIELD.encode(),
    re.IGNORECASE | re.MULTILINE,
)


def is_one_click(content_type: bytes, body: bytes) -> bool:
    """Whether a body is that form and nothing more, in either of the two encodings."""
    kind = content_type.partition(b";")[0].strip().lower()
    if kind == _URLENCODED:
        text = body.decode("latin-1").strip()
        return parse_qsl(text, keep_blank_values=True) == [(_FIELD, _VALUE)]
    return kind == _MULTIPART and _is_one_part(content_type, body)


CHOICE, TOPIC, ALL = "choice", "topic", "all"
"""The fields of the form with topics: that it is this one, a topic, the list as a whole."""
_MOST_FIELDS = 50


def chosen_topics(content_type: bytes, body: bytes) -> list[str] | None:
    """Return what was ticked in the form with topics, ``""`` for the list as a whole, which has all
    the others in it; ``None`` for another form."""
    if content_type.partition(b";")[0].strip().lower() != _URLENCODED:
        return None
    try:
        fields = parse_qsl(body.decode("latin-1"), True, max_num_fields=_MOST_FIELDS)
    except ValueError:  # too many
        return None
    if (CHOICE, "1") not in fields or {name for name, _ in fields} - {CHOICE, TOPIC, ALL}:
        return None
    if any(name == ALL for name, _ in fields):
        return [""]
    topics = list(dict.fromkeys(value for name, value in fields if name == TOPIC))
    return topics if all(topics) else None


def _is_one_part(content_type: bytes, body: bytes) -> bool:
    """Whether a form in parts has that field alone.

    Read here and not by the standard library, whose parser raises for parameters that strangers
    think up (RFC 2231).
    """
    boundary = _BOUNDARY.search(content_type)
    if boundary is None:
        return False
    lines = b"\n" + body.replace(b"\r\n", b"\n")
    _, *parts = lines.split(b"\n--" + (boundary[1] or boundary[2]))
    if parts and parts[-1].startswith(b"--"):  # what closes the form
        parts.pop()
    if len(parts) != 1:
        return False
    end, header, value = _cut(parts[0])
    return not end and bool(_NAME.search(header)) and value.strip() == _VALUE.encode()


def _cut(part: bytes) -> tuple[bytes, bytes, bytes]:
    """Return what is left of a part's first line, its header, and its value."""
    line, _, rest = part.partition(b"\n")
    header, _, value = rest.partition(b"\n\n")
    return line.strip(b" \t"), header, value
