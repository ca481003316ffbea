"""A URL as it stands in an email → the ASCII of a ``Location`` header, as a browser would.

Nothing is decoded that was encoded: percent escapes, case and order stay (behaviour § 2).
"""

import re

import idna

# Characters that stay, wherever in a URL they stand. Most URLs have no others.
_PLAIN = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~:/?#[]@!$&()*+,;=%|"

_PARTS = re.compile(
    r"(?P<scheme>[A-Za-z]+):[/\\]*"
    r"(?P<authority>[^/\\?#]*)(?P<path>[^?#]*)(?P<query>\?[^#]*)?(?P<fragment>\#.*)?",
    re.DOTALL,
)

_SURROGATE = re.compile("[\ud800-\udfff]")


def location(url: str) -> bytes:
    """Return the URL for a ``Location`` header, whatever comes: printable ASCII, no ``"<>``."""
    if url.isascii() and url.startswith(("https://", "http://")):
        plain = url.encode("ascii")
        if not plain.translate(None, _PLAIN):
            return plain
    return _encoded(url).encode("ascii")


def _encoded(url: str) -> str:
    # URL § 4.4: leading and trailing C0 controls and spaces, and tabs and newlines, are dropped.
    cleaned = url.strip(_C0_AND_SPACE).translate(_WITHOUT_NEWLINES)
    parts = _PARTS.fullmatch(_SURROGATE.sub("\ufffd", cleaned))
    if parts is None:
        return _encode(_SURROGATE.sub("\ufffd", cleaned), _PATH_KEPT)
    user, at, host = parts["authority"].rpartition("@")
    return "".join(
        (
            parts["scheme"],
            "://",  # URL § 4.4, special authority slashes state: any number, either way
            _encode(user, _USER_KEPT),
            at,
            _host(host),
            _encode(parts["path"].replace("\\", "/"), _PATH_KEPT),
            _encode(parts["query"] or "", _QUERY_KEPT),
            _encode(parts["fragment"] or "", _FRAGMENT_KEPT),
        )
    )


def _host(text: str) -> str:
    if text.startswith("["):  # an IPv6 address
        return _encode(text, _HOST_KEPT + b"[]")
    host, colon, port = text.partition(":")
    return _domain_to_ascii(host) + colon + _encode(port, _HOST_KEPT)


def _domain_to_ascii(host: str) -> str:
    """Return a domain in ASCII (UTS #46, non-transitional; URL § 3.3), or its percent-encoding."""
    if host.isascii():
        return _encode(host, _HOST_KEPT + b"%")
    try:
        mapped = idna.uts46_remap(host, std3_rules=False, transitional=False)
    except (idna.IDNAError, UnicodeError):
        return _encode(host, _HOST_KEPT + b"%")
    if any(ord(c) < 0x80 and ord(c) not in _HOST_KEPT for c in mapped):
        return _encode(host, _HOST_KEPT + b"%")  # URL § 3.1: forbidden; no browser goes there
    return ".".join(_label_to_ascii(label) for label in mapped.split("."))


def _label_to_ascii(label: str) -> str:
    if label.isascii():
        return label
    # Not IDNA 2008's own rules, which forbid what browsers allow (emoji, for example).
    return "xn--" + label.encode("punycode").decode("ascii")


def _encode(text: str, kept: bytes) -> str:
    """Percent-encode the UTF-8 bytes that are not kept (URL § 1.3)."""
    return "".join(
        chr(byte) if byte in kept else f"%{byte:02X}" for byte in text.encode("utf-8", "replace")
    )


_C0_AND_SPACE = "".join(map(chr, range(0x21)))
_WITHOUT_NEWLINES = {0x09: None, 0x0A: None, 0x0D: None}
_PRINTABLE = bytes(range(0x21, 0x7F))


def _without(forbidden: bytes) -> bytes:
    return bytes(byte for byte in _PRINTABLE if byte not in forbidden)


# URL § 1.3: the percent-encode sets.
_FRAGMENT_KEPT = _without(b'"<>`')
_QUERY_KEPT = _without(b"\"<>'")
_PATH_KEPT = _without(b'"<>`?#^{}')
_USER_KEPT = _without(b'"<>`?#^{}/;=@[\\]|')
_HOST_KEPT = _without(b' #/:<>?@[\\]^|%"`{}')
