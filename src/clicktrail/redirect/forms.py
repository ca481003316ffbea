"""The form by which somebody unsubscribes with one click (RFC 8058 § 3.2)."""

from email import message_from_bytes
from urllib.parse import parse_qsl

FORM_LIMIT = 4096
"""Most bytes of the form; more is answered 413. The longest that programs send has some 200."""

_FIELD, _VALUE = "List-Unsubscribe", "One-Click"
_URLENCODED = b"application/x-www-form-urlencoded"
_MULTIPART = b"multipart/form-data"


def is_one_click(content_type: bytes, body: bytes) -> bool:
    """Whether a body is that form and nothing more, in either of the two encodings."""
    kind = content_type.partition(b";")[0].strip().lower()
    if kind == _URLENCODED:
        text = body.decode("latin-1").strip()
        return parse_qsl(text, keep_blank_values=True) == [(_FIELD, _VALUE)]
    return kind == _MULTIPART and _fields(content_type, body) == [(_FIELD, _VALUE)]


def _fields(content_type: bytes, body: bytes) -> list[tuple[str, str]]:
    """Return the names and values of a form in parts (RFC 7578 § 4.2)."""
    if not content_type.isascii() or not body.isascii():  # as the form has to be
        return []
    message = message_from_bytes(b"Content-Type: %b\r\n\r\n%b" % (content_type, body))
    parts = message.get_payload()
    if not message.is_multipart() or not isinstance(parts, list):
        return []
    found = []
    for part in parts:
        if isinstance(part, str) or part.is_multipart():
            return []
        if part.get_content_disposition() != "form-data":
            return []
        name = part.get_param("name", "", "content-disposition")
        found.append((str(name), str(part.get_payload()).strip()))
    return found
