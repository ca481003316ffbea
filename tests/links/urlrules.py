"""What § 2 says about the value of an href: a second, small implementation to judge the first by.

It follows the rows of the table one by one. URLs are read by another implementation of the URL
standard (`pywhatwgurl`) and top-level domains come from another list (the Public Suffix List).
`ANY` is given where a random value is so broken that no row speaks of it clearly.
"""

import re
import unicodedata
from functools import cache

from publicsuffixlist import PublicSuffixList
from pywhatwgurl import URL

ANY = None
"""Whatever is done with such a value is right, as far as this judge knows."""

UNCHANGED: frozenset[str | None] = frozenset({None})

Answer = frozenset[str | None] | None
"""The URLs that may be tracked for a value; ``None`` in it: it may stay unchanged."""

_WHITE = " \t\n\f\r"
_CONTROLS = "".join(map(chr, range(33)))
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*):")
_HTTP = re.compile(r"https?:", re.IGNORECASE)
_SLASHES = re.compile(r"[/\\]{2}")
_PLACEHOLDERS = (
    re.compile(r"\{.*?\}"),
    re.compile(r"\*\|.*?\|\*"),
    re.compile(r"\|[^|]+\|"),
    re.compile(r"%%.+?%%"),
    re.compile(r"<%.*?%>"),
    re.compile(r"\[[A-Za-z_][\w ]*\]"),
)
_MAYBE_PLACEHOLDER = re.compile(r"[{*|%\[<$@(«]")
_HOST = re.compile(r"([^/?#\\:\[\]@]*)(?::([0-9]*))?(?=[/?#\\]|$)")
_SPECIAL = {"test", "example", "invalid", "localhost", "local", "onion", "alt", "internal"}


def read(value: str) -> str:
    """Return a decoded attribute value as a browser reads it as a URL (§ 2; URL § 4.4)."""
    return re.sub(r"[\t\n\r]", "", value.strip(_WHITE))


def judge(value: str, base: str | None = None) -> Answer:
    """Say what may become of a value; ``base`` is the href of the document's base, as read."""
    url = read(value)
    if url.strip(_CONTROLS) != url:
        return ANY  # the URL standard trims controls, § 2 does not speak of them
    from_base = _href(base) if base is not None else None
    if from_base is not None and not _HTTP.match(from_base):
        from_base = None
    scheme = _HTTP.match(url)
    if scheme:
        has_host = _SLASHES.match(url, scheme.end()) is not None
        if has_host or from_base is None or not from_base.startswith(scheme[0].lower()):
            return _tracked(url)
        return _resolved(url, from_base)
    if not url or url.startswith("#") or any(each.match(url) for each in _PLACEHOLDERS):
        return UNCHANGED
    if url.startswith("[") or _MAYBE_PLACEHOLDER.match(url):
        return ANY
    return _without_scheme(url, from_base)


def _without_scheme(url: str, base: str | None) -> Answer:
    host = _HOST.match(url)
    if host is not None:
        first = _begins_with_host(host[1], host[2])
        if first is None:
            return ANY
        if first:
            return _tracked(f"http://{url}")
    if url.lower().startswith("www."):
        return _tracked(f"http://{url}")
    if _SCHEME.match(url):
        return UNCHANGED
    if base is not None:
        return _resolved(url, base)
    return _tracked(f"http:{url}") if _SLASHES.match(url) else UNCHANGED


def _begins_with_host(name: str, port: str | None) -> bool | None:
    """Say whether a host comes first; ``None`` where nobody can say."""
    name = re.sub("[\u3002\uff0e\uff61]", ".", name)
    if not name:
        return False
    labels = name.removesuffix(".").split(".")
    if port == "" or "" in labels:
        return None
    if re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,3}){3}\.?", name):
        return None if any(int(each) > 255 or each != str(int(each)) for each in labels) else True
    if not all(map(_is_label, labels)):
        return None if any(character in name for character in ".[") else False
    if len(labels) == 1 and labels[0].lower() == "localhost":
        return True
    if labels[0].lower() == "www" and len(labels) > 1:
        return True
    last = labels[-1].lower()
    if len(labels) < 2 or last in ("zip", "mov"):
        return False
    return last in _SPECIAL or _is_registered(last)


def _is_label(text: str) -> bool:
    # Letters, marks and numbers; "\w" is without the marks.
    return all(each in "-_" or unicodedata.category(each)[0] in "LMN" for each in text)


@cache
def _suffixes() -> PublicSuffixList:
    return PublicSuffixList(accept_unknown=False, only_icann=True)


def _is_registered(label: str) -> bool | None:
    if _suffixes().publicsuffix(label) is not None:
        return True
    # The suffixes below some top-level domains are all that the list has of them.
    return None if label.isalpha() and len(label) == 2 else False


def _tracked(url: str) -> Answer:
    host = re.split(r"[/\\?#]", re.sub(r"^https?:[/\\]*", "", url, flags=re.I), maxsplit=1)[0]
    if not host.isascii() or "xn--" in host.lower():
        return ANY  # two tables of Unicode, of different years
    return UNCHANGED if _href(url) is None else frozenset({url})


def _resolved(value: str, base: str) -> Answer:
    if not value.isascii() and re.match(r"(?:https?:)?[/\\]{2}", value, re.I):
        return ANY
    url = _href(value, base)
    return UNCHANGED if url is None else frozenset({url})


def _href(url: str, base: str | None = None) -> str | None:
    try:
        return str(URL(url, base).href)
    except (TypeError, ValueError):
        return None
