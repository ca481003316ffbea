"""Which ``href`` values are tracked, and as what URL (behaviour § 2)."""

import html.entities
import re
from urllib.parse import urljoin

# HTML § 13.2.5.73 and .75: a named reference, with or without its semicolon, or a numeric one.
_REFERENCE = re.compile(r"&(?:#[xX]([0-9a-fA-F]++);?|#([0-9]++);?|([A-Za-z][A-Za-z0-9]*+);?)")
_NAMED = html.entities.html5
_WITHOUT_SEMICOLON = {name for name in _NAMED if not name.endswith(";")}
_LONGEST = max(map(len, _WITHOUT_SEMICOLON))

# HTML § 13.2.5.80: what Windows put there.
_WINDOWS_1252 = {
    number: bytes((number,)).decode("cp1252", "replace")
    for number in range(0x80, 0xA0)
    if number not in (0x81, 0x8D, 0x8F, 0x90, 0x9D)
}


def decode_attribute(raw: str) -> str:
    """Return an attribute's value as a browser reads it: references decoded, NUL replaced."""
    if "\0" in raw:
        raw = raw.replace("\0", "\ufffd")  # HTML § 13.2.5.36
    if "\r" in raw:
        raw = raw.replace("\r\n", "\n").replace("\r", "\n")  # HTML § 13.2.3.5
    if "&" not in raw:
        return raw
    return _REFERENCE.sub(_decode_reference, raw)


def _decode_reference(match: re.Match[str]) -> str:
    text: str = match[0]
    if match[3] is None:
        digits = match[1] or match[2]
        # Any number with more digits is over U+10FFFF, and slow to read.
        number = int(digits, 16 if match[1] else 10) if len(digits.lstrip("0")) < 9 else -1
        return _character(number)
    name = match[3]
    if text.endswith(";") and (found := _NAMED.get(name + ";")) is not None:
        return found
    following = match.string[match.end() : match.end() + 1]
    for end in range(min(len(name), _LONGEST), 1, -1):
        if name[:end] in _WITHOUT_SEMICOLON:
            after = text[1 + end : 2 + end] or following
            # HTML § 13.2.5.73: in an attribute, "&copy=" and "&copyx" stay as they are.
            if after == "=" or (after.isascii() and after.isalnum()):
                return text
            return _NAMED[name[:end]] + text[1 + end :]
    return text


def _character(number: int) -> str:
    """Return the character of a numeric reference (HTML § 13.2.5.80)."""
    if number <= 0 or number > 0x10FFFF or 0xD800 <= number <= 0xDFFF:
        return "\ufffd"
    return _WINDOWS_1252.get(number) or chr(number)


BY_BASE = frozenset(("empty", "relative", "fragment"))
"""Why a value has no URL, where with a base it has one."""

# URL § 4.4: leading and trailing C0 controls and spaces, tabs and newlines anywhere, do not count.
_STRIPPED = "".join(map(chr, range(0x21)))
_INNER = str.maketrans("", "", "\t\n\r")

_HTTP = re.compile(r"https?:", re.I | re.A)
_HTTP_WITH_HOST = re.compile(r"https?:[/\\]*+[^/\\?#\s]", re.I | re.A)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*+:")
_ORIGIN = re.compile(r"https?:[/\\]*+[^/\\?#]++", re.I | re.A)
_PLACEHOLDER = re.compile(r"\{\{|\{%|\*\||%%|\[(?![0-9A-Fa-f:.]*\])|\$\{|<%")
_TWO_SLASHES = re.compile(r"[/\\]{2}[/\\]*+[^/\\?#\s]")
_END = r"(?::[0-9]{1,5})?(?=[/?#\\]|\Z)"
_HOST = re.compile(
    r"(?:localhost"
    r"|[0-9]{1,3}(?:\.[0-9]{1,3}){3}"
    r"|\[[0-9A-Fa-f:.]+\]"
    r"|(?:[\w\-]++\.)+(?:xn--[\w\-]+|[^\W\d_][\w\-]*)\.?)" + _END,
    re.I,
)


def classify(raw: str, base: str | None) -> tuple[str | None, str]:
    """Return the URL that an ``href`` value leads to, or ``None``, and why.

    ``raw`` is the value as written; ``base`` the URL of ``<base href>``, where it is http(s).
    """
    value = decode_attribute(raw).strip(_STRIPPED).translate(_INNER)
    if not value:
        return (base, "base") if base is not None else (None, "empty")
    if _HTTP_WITH_HOST.match(value):
        return value, "http"
    if _PLACEHOLDER.match(value):
        return None, "placeholder"
    if _HOST.match(value):  # before the scheme: host:port is none
        return "http://" + value, "no-scheme"
    if _TWO_SLASHES.match(value):
        return "http:" + value, "protocol-relative"
    if _SCHEME.match(value):
        return None, "no-host" if _HTTP.match(value) else "other-scheme"
    if base is not None:
        try:
            return urljoin(base, value), "base"
        except ValueError:
            pass  # URL § 4.4: a failure, so there is no link
    return None, "fragment" if value.startswith("#") else "relative"


def base_url(raw: str) -> str | None:
    """Return the URL of a ``<base href>`` value where it is one of http(s)."""
    value = decode_attribute(raw).strip(_STRIPPED).translate(_INNER)
    if not _HTTP_WITH_HOST.match(value):
        return None
    value = value.partition("#")[0]
    rest = _ORIGIN.match(value)
    if rest is not None and not value.startswith(("/", "\\"), rest.end()):
        value = f"{rest[0]}/{value[rest.end() :]}"  # URL § 4.4: such a URL's path is never empty
    return value
