"""Which ``href`` values are tracked, and as what URL (behaviour § 2)."""

import re
from functools import lru_cache

from clicktrail.base import weburl
from clicktrail.rewrite.html.hostfirst import begins_with_host, is_top_level
from clicktrail.rewrite.html.references import decode_attribute

_CERTAIN = frozenset(("http", "no-scheme"))
"""Of the reasons for a URL, those that hold whatever the base of the document is."""

_HTTP = re.compile(r"https?:", re.I | re.A)
_TWO_SLASHES = re.compile(r"[/\\]{2}")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*+:")
# What programs that send mailings fill in, at the beginning of a value: it may become anything.
_PLACEHOLDER = re.compile(
    r"\{[{%]|\{[^{}]*\}"  # {{u}} {% u %} {u}
    r"|[*|]\||\|[^|]+\|"  # *|U|* |u|
    r"|%%|%[A-Za-z_][\w.\-]{2,}%"  # %%u%% %unsubscribe_url%
    r"|[$@\#]\{|@@|\$[\w.\-]+\$"  # ${u} @{u} @@u@@ $u$
    r"|\[|<|\(\(|«"  # [u] [[u]] <%u%> <<u>> ((u)) «u»
)
_ADDRESS = re.compile(r"\[[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*\]")
# The same inside of a URL, where a single bracket means nothing yet ("?a[x]=1").
_UNFILLED = re.compile(
    r"[{*%<$\[#](?:(?<=\{)(?:[{%]|[\w. \-]+\})"  # {{u}} {% u %} {u}
    r"|(?<=\*)\||(?<=%)(?:%|(?![0-9A-Fa-f]{2})[A-Za-z_]\w{2,}%)"  # *|U|* %%u%% %recipient%
    r"|(?<=<)[%<]|(?<=\$)\{|(?<=\[)\[|(?<=#)(?:\{|\#\#))"  # <%u%> ${u} [[u]] #{u} ###u###
)
# What all the others come to in nearly all cases: nothing that is removed, nor of a placeholder.
_IN_USUAL = (
    r"""[^\0- "#%<>\[\\\]\^`{|}\x7f]*+(?>(?:%[0-9A-Fa-f]{2}[^\0- "#%<>\[\\\]\^`{|}\x7f]*+)*)"""
)
_USUAL = re.compile(
    rf"(?:({weburl.SCHEME})|(//)|)({weburl.USUAL_HOST}){weburl.USUAL_PORT}(?=[/?#]|\Z)"
    rf"{_IN_USUAL}(?:#{_IN_USUAL})?\Z"
)


def classify(raw: str, base: str | None) -> tuple[str | None, str]:
    """Return the URL that an ``href`` value leads to, or ``None``, and why.

    ``raw`` is the value as written; ``base`` the URL of ``<base href>``, where it is http(s).
    """
    value = decode_attribute(raw)
    usual = _USUAL.match(value)
    if usual is not None:
        scheme, slashes, host = usual.groups()
        if scheme:
            return value, "http"
        if slashes and base is None:
            return f"http:{value}", "protocol-relative"
        if not slashes and "_" not in host and is_top_level(host.rpartition(".")[2]):
            return f"http://{value}", "no-scheme"
    value = weburl.stripped(value)
    scheme = _HTTP.match(value)
    if scheme is not None:
        return _with_scheme(value, scheme[0], base)
    if not value:
        return None, "empty"
    if value.startswith("#"):
        return None, "fragment"
    if _PLACEHOLDER.match(value) and not _ADDRESS.match(value):
        return None, "placeholder"
    if begins_with_host(value):  # before the scheme: host:port is none
        return _checked("http://" + value, "no-scheme")
    if _SCHEME.match(value):
        return None, "other-scheme"
    if base is not None:
        return _resolved(base, value)
    if _TWO_SLASHES.match(value):
        return _checked("http:" + value, "protocol-relative")
    return None, "relative"


@lru_cache(256)
def base_url(raw: str) -> str | None:
    """Return the URL of a ``<base href>`` value where it is one of http(s)."""
    value = decode_attribute(raw).strip(weburl.STRIPPED)
    url = weburl.serialized(value)
    return url if url is not None and _HTTP.match(url) else None


def _with_scheme(value: str, scheme: str, base: str | None) -> tuple[str | None, str]:
    if _TWO_SLASHES.match(value, len(scheme)):
        return _checked(value, "http")
    # URL § 4.4, special relative or authority state: without two slashes, a URL of the base's own
    # scheme is relative to it.
    if base is not None and base.startswith(scheme.lower()):
        return _resolved(base, value)
    return _checked(value, "few-slashes")


def _resolved(base: str, value: str) -> tuple[str | None, str]:
    url = weburl.join(base, value)
    if url is None:
        return None, "refused"
    return url, "unfilled-relative" if _UNFILLED.search(value) else "base"


def _checked(url: str, why: str) -> tuple[str | None, str]:
    if not weburl.is_url(url):
        return None, "refused"
    if _UNFILLED.search(url):
        # What depends on the base is not certain: it has a reason of its own.
        return url, "unfilled" if why in _CERTAIN else "unfilled-relative"
    return url, why
