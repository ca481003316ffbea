"""What § 2 says about the value of an href: a second, small implementation to judge the first by.

It follows the rows of the table one by one and knows where the table leaves room: then it gives
both answers. `ANY` is given where a random value is so broken that no row speaks of it clearly.
"""

import re
from urllib.parse import urljoin

ANY = None
"""Whatever is done with such a value is right, as far as this judge knows."""

UNCHANGED: frozenset[str | None] = frozenset({None})

Answer = frozenset[str | None] | None
"""The URLs that may be tracked for a value; ``None`` in it: it may stay unchanged."""

_WHITE = " \t\n\f\r"
_CONTROLS = "".join(map(chr, range(33)))
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*):")
_LABEL = r"\w[\w\-]*"
_CLEAN_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?|\[[0-9A-Fa-f:.]+\]")
_PORT = r"(?::[0-6]?[0-9]{1,4})?(?=[/?#]|$)"
_HOST_FIRST = re.compile(
    rf"(?:{_LABEL}(?:\.{_LABEL})+|localhost|\[[0-9A-Fa-f:]*:[0-9A-Fa-f:]+\]){_PORT}", re.IGNORECASE
)
_MAYBE_HOST = re.compile(r"[^/?#\\]*[.\]]|localhost", re.IGNORECASE)
_PLACEHOLDERS = (
    re.compile(r"\{\{.*?\}\}"),
    re.compile(r"\*\|.*?\|\*"),
    re.compile(r"%%.+?%%"),
    re.compile(r"\[[A-Za-z_][\w ]*\]"),
)
_MAYBE_PLACEHOLDER = re.compile(r"\{|\*\||%%|\[|<|\$|&")
_PLAIN_RELATIVE = re.compile(r"(?:/|\?|#)[\w/?=&.\-]*|[\w\-]+|")


def read(value: str) -> str:
    """Return a decoded attribute value as a browser reads it as a URL (§ 2; URL § 4.4)."""
    return re.sub(r"[\t\n\r]", "", value.strip(_WHITE))


def judge(value: str, base: str | None = None) -> Answer:
    """Say what may become of a value; ``base`` is the href of the document's base, as read."""
    url = read(value)
    scheme = _SCHEME.match(url)
    if url.strip(_CONTROLS) != url:
        return ANY  # the URL standard trims controls, § 2 does not speak of them
    if scheme and scheme[1].lower() in ("http", "https"):
        return _with_scheme(url, url[scheme.end() :], base)
    if any(placeholder.match(url) for placeholder in _PLACEHOLDERS):
        return UNCHANGED
    if _HOST_FIRST.match(url):
        return frozenset({f"http://{url}"})
    if url.startswith("//"):
        return _two_slashes(url, base)
    return _other(url, base)


def _other(url: str, base: str | None) -> Answer:
    scheme = _SCHEME.match(url)
    if _MAYBE_PLACEHOLDER.match(url):
        return ANY
    if scheme:
        return ANY if "." in scheme[1] else UNCHANGED
    return _relative(url, base)


def _with_scheme(url: str, rest: str, base: str | None) -> Answer:
    slashes = re.match(r"[/\\]*", rest)
    assert slashes is not None
    authority = re.split(r"[/\\?#]", rest[slashes.end() :], maxsplit=1)[0]
    host = re.sub(r":[0-9]*$", "", authority.rpartition("@")[2])
    if len(slashes[0]) < 2 and base is not None:
        return ANY  # relative to a base of the same scheme, URL § 4.4
    if not authority:
        return UNCHANGED if base is None else ANY
    if not _CLEAN_HOST.fullmatch(host):
        return ANY
    return frozenset({url})


def _two_slashes(url: str, base: str | None) -> Answer:
    authority = re.split(r"[/\\?#]", url[2:], maxsplit=1)[0]
    host = re.sub(r":[0-9]*$", "", authority)
    if not authority:
        return UNCHANGED if base is None and not url.startswith("///") else ANY
    if not _CLEAN_HOST.fullmatch(host):
        return ANY
    return frozenset({f"http:{url}"}) if base is None else ANY


def _relative(url: str, base: str | None) -> Answer:
    if not url.startswith(("/", "?", "#")) and _MAYBE_HOST.match(url):
        return ANY
    if base is None:
        return UNCHANGED if "\\" not in url[:2] else ANY
    if not url:
        return ANY  # an href without a value has no place to write a link to
    if not re.fullmatch(r"https?://[a-z.]+(?:/[\w/.\-]*)?", base):
        return UNCHANGED if re.match(r"(?!https?:)[a-z]+:", base, re.IGNORECASE) else ANY
    if not _PLAIN_RELATIVE.fullmatch(url) or ".." in url or "./" in url:
        return ANY
    path = base if base.count("/") > 2 else f"{base}/"
    return frozenset({urljoin(path, url) or path})
