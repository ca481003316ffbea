"""A URL as it stands in an email → the ASCII of a ``Location`` header, as a browser would.

Nothing is decoded that was encoded: percent escapes and the order of things stay (behaviour § 2).
"""

from urllib.parse import quote

from clicktrail.base import weburl

# Characters that stay, wherever in a URL they stand. Most URLs have no others.
_STAY = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~:/?#[]@!$&()*+,;=%|"
_PLAIN = bytes(byte if byte in _STAY else 255 - byte for byte in range(256))
"""Leaves these as they are, and no others. (``translate`` looks quicker than it deletes.)"""

_HTTP = "https://", "http://"


def location(url: str) -> bytes:
    """Return the URL for a ``Location`` header, whatever comes: printable ASCII, no ``"<>``."""
    if url.isascii() and (url.startswith(_HTTP) or url[:8].lower().startswith(_HTTP)):
        plain = url.encode("ascii")
        if plain.translate(_PLAIN) == plain:
            return plain
    written = weburl.serialized(url)
    if written is not None and written.startswith(("https:", "http:")):
        return _encoded(written)
    # A link sealed before such values were left alone: no browser follows it, but it says so.
    return _encoded(weburl.stripped(url))


def passed_on(query: bytes, url: str) -> str:
    """Return a URL with the parameters of a request's query that it does not have."""
    text = quote(query, safe="!$%&()*+,/:;=?@")  # whatever bytes a client sends
    return weburl.with_parameters(url, weburl.parameters_of(text))


def _encoded(text: str) -> bytes:
    """Percent-encode the bytes in UTF-8 that may not stand in the header."""
    return b"".join(_WRITTEN[byte] for byte in text.encode("utf-8", "replace"))


_WRITTEN = [
    b"%c" % byte if 0x21 <= byte <= 0x7E and byte not in b'"<>' else b"%%%02X" % byte
    for byte in range(256)
]
