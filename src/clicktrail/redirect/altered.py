"""Tracking links that programs have altered on their way: what the token may have been.

Quoting and line wraps put something into a link, and writers put something behind it. What is no
letter of a token (RFC 4648 § 5: base64url) is left out here, and nothing is guessed: whether it is
the token, its seal decides.
"""

import re
from collections.abc import Iterator
from urllib.parse import unquote_to_bytes

_SHORTEST = 34
"""Characters of the shortest token: 25 bytes."""

_LETTERS = re.compile(r"[0-9A-Za-z_-]*", re.ASCII)

# White space, characters without a width, and the soft break of a quoted-printable line
# (RFC 2045 § 6.7); in the second, what is left of it where it was encoded once more.
_INVISIBLE = r"\s\u00AD\u180E\u200B-\u200F\u2028-\u202E\u2060-\u2064\uFEFF"
_BREAKS = re.compile(f"[={_INVISIBLE}]+")
_ENCODED_BREAKS = re.compile(f"(?:=(?:3D|20|0[9AD])?|[{_INVISIBLE}])+", re.IGNORECASE)


def candidates(path: bytes) -> Iterator[str]:
    """Yield tokens that a path may have held, which as a whole holds none: at most three.

    ``path`` is what stands behind `clicktrail.keys.token.PATH`, percent-encoded (RFC 3986 § 2.1).
    """
    text = unquote_to_bytes(path).decode("utf-8", "replace")
    tried = {text}
    for breaks in (None, _ENCODED_BREAKS, _BREAKS):
        whole = text if breaks is None else breaks.sub("", text)
        found = _LETTERS.match(whole)
        token = found[0] if found else ""
        if len(token) >= _SHORTEST and token not in tried:
            tried.add(token)
            yield token
