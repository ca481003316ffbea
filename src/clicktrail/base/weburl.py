"""URLs as the URL standard (WHATWG) has them, by the parser of Node.js (Ada).

The one place that says what is a URL of the web, what a relative one leads to, and how a browser
writes it. No I/O.
"""

import re
from collections.abc import Sequence
from urllib.parse import unquote_plus

import ada_url

STRIPPED = "".join(map(chr, range(0x21)))
"""URL § 4.4: C0 controls and spaces, which do not count at either end."""

_WITHOUT_NEWLINES = str.maketrans("", "", "\t\n\r")

# Hosts that no rule of the standard refuses, as nearly all are: not to be parsed. What follows a
# host never makes a URL invalid (§ 4.4: path, query and fragment states know no failure).
USUAL_HOST = r"(?![xX][nN]--)(?>(?:[A-Za-z0-9_][A-Za-z0-9_-]*+\.(?![xX][nN]--))+)[A-Za-z]{2,63}"
USUAL_PORT = r"(?::(?:[0-9]{1,4}|[1-5][0-9]{4}))?"
SCHEME = r"[hH][tT][tT][pP][sS]?://"
"""Expressions. What follows has to begin with ``/``, ``?`` or ``#``, if anything does."""

_USUAL = re.compile(rf"{SCHEME}({USUAL_HOST}){USUAL_PORT}(?=[/?#]|\Z)")
_SURROGATE = re.compile("[\ud800-\udfff]")


def stripped(text: str) -> str:
    """Return a text without what does not count in a URL (§ 4.4).

    These are `STRIPPED` at either end, and tabs and newlines anywhere.
    """
    text = text.strip(STRIPPED)
    # To translate takes ten times as long as to look for them, and hardly any text has them.
    if "\n" in text or "\r" in text or "\t" in text:
        return text.translate(_WITHOUT_NEWLINES)
    return text


def is_url(text: str) -> bool:
    """Whether a text with a scheme of its own is a URL (§ 4.4)."""
    return _USUAL.match(text) is not None or ada_url.check_url(_scalar(text))


def join(base: str, text: str) -> str | None:
    """Return what a text leads to from a base URL; ``None`` where the standard refuses it."""
    try:
        return ada_url.join_url(base, _scalar(text))
    except ValueError:
        return None


def serialized(text: str) -> str | None:
    """Return a URL as a browser writes it (§ 4.5), in ASCII; ``None`` where it is none."""
    try:
        return ada_url.normalize_url(_scalar(text))
    except ValueError:
        return None


def host(text: str) -> str | None:
    """Return the host of a URL in lower case and ASCII, without the port (§ 4.5)."""
    usual = _USUAL.match(text)
    if usual is not None:
        return usual[1].lower()
    try:
        return ada_url.URL(_scalar(text)).hostname
    except ValueError:
        return None


def parameters_of(query: str) -> list[tuple[str, str]]:
    """Return the parameters of a query: their names as a form's reader has them, and their text.

    (URL § 5.1; the text is as it stands, ``name=value``.)
    """
    return [(_name_of(piece), piece) for piece in query.split("&") if piece]


def with_parameters(url: str, parameters: Sequence[tuple[str, str]]) -> str:
    """Return a URL with more parameters at the end of its query: those whose names are not there.

    All else of it stays as it is, the fragment too.
    """
    query = url.partition("#")[0].partition("?")[2]
    # HTML 4.01 § B.2.2: some servers take ";" for "&".
    there = {_name_of(piece) for piece in query.replace(";", "&").split("&")} if query else ()
    more = "&".join(text for name, text in parameters if name not in there)
    return with_query(url, more) if more else url


def with_query(url: str, more: str) -> str:
    """Return a URL with more text at the end of its query, as a parameter of its own."""
    end = url.find("#")
    front, fragment = (url, "") if end < 0 else (url[:end], url[end:])
    between = "?" if "?" not in front else "" if front[-1] in "?&;" else "&"
    return f"{front}{between}{more}{fragment}"


def _name_of(piece: str) -> str:
    name = piece.partition("=")[0]
    return unquote_plus(name) if "%" in name or "+" in name else name


def _scalar(text: str) -> str:
    """Return a text of scalar values (Infra § 4.7): what has no bytes in UTF-8 is replaced."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)
