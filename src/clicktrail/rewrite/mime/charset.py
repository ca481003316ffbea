"""Which charset a browser reads an HTML document in (HTML § 13.2.3, WHATWG Encoding).

Decoding itself is turbohtml's, whose codecs are the standard's: Python's of the same names differ
from them in many characters. It is loaded only where a charset needs it.
"""

import codecs
import re
from functools import cache, lru_cache

UTF_8, WINDOWS_1252, REPLACEMENT, ISO_2022_JP = (
    "utf-8",
    "windows-1252",
    "replacement",
    "iso-2022-jp",
)
UTF_16 = {"utf-16le": "utf-16-le", "utf-16be": "utf-16-be"}
"""Names of the standard, and Python's codecs, which are the same here."""

BOMS = (
    (codecs.BOM_UTF8, UTF_8),
    (codecs.BOM_UTF16_LE, "utf-16le"),
    (codecs.BOM_UTF16_BE, "utf-16be"),
)
"""WHATWG Encoding § 6: byte order marks that are known, and what they say."""

_PREFIX = "whatwg-"
_USUAL = {"utf-8": UTF_8, "utf8": UTF_8} | dict.fromkeys(
    ("us-ascii", "iso-8859-1", WINDOWS_1252), WINDOWS_1252
)
_NO_CHARSETS = frozenset(
    ("idna", "punycode", "undefined", "unicode-escape", "raw-unicode-escape", "utf-7")
)
"""Python codecs that no email means, and the one that browsers must not know (§ 13.2.3.3)."""

_WELL_FORMED = re.compile(r"[0-9a-z]+(?:[-_][0-9a-z]+)*")

_PRESCANNED = 1024
"""HTML § 13.2.3.2: bytes in which a charset is looked for, wherever in the document they are."""
_LONGEST_HEAD = 1 << 16
_WS = rb"\t\n\f\r "
_META = re.compile(rb"<meta[\t\n\f\r /]", re.I)
_TAG = re.compile(rb"</?([A-Za-z][^\t\n\f\r >]*+)")
_IN_HEAD = frozenset(
    (b"html", b"head", b"title", b"meta", b"link", b"base", b"style", b"script", b"noscript")
)
# § 13.2.3.2, get an attribute.
_ATTRIBUTE = re.compile(
    rb"[\t\n\f\r /]*+(?:>|([^\t\n\f\r />][^\t\n\f\r />=]*+)(?:[%b]*+=[%b]*+"
    rb"(?:\"([^\"]*+)\"|'([^']*+)'|([^\t\n\f\r >\"'][^\t\n\f\r >]*+)|(?=>))|(?![%b]*+=)))"
    % (_WS, _WS, _WS)
)
# HTML § 2.4, extracting a character encoding: the first "=" decides, also with nothing behind it.
_CHARSET_IN = re.compile(
    rb"charset[%b]*+=[%b]*+(?:\"([^\"]*+)\"|'([^']*+)'|([^%b;]*+))" % (_WS, _WS, _WS), re.I
)
_XML = re.compile(rb"<\?xml[^>]*?encoding[\0- ]*+=[\0- ]*+(?:\"([^\">]*+)\"|'([^'>]*+)')[^>]*+>")


@lru_cache(256)
def known(label: str | None) -> str | None:
    """Return what a label means: a name of the standard in lower case (WHATWG Encoding § 4.2).

    Or the name of a codec of Python, for labels that the standard lacks; ``None`` for others.
    """
    if not label:
        return None
    name = label.strip("\t\n\f\r '\"").lower()
    return _USUAL.get(name) or _of_standard(name) or _of_python(name)


def _of_standard(label: str) -> str | None:
    import turbohtml  # noqa: PLC0415 - loaded only where it is needed

    try:
        return str(turbohtml.parse(b"", encoding=label).encoding).lower()
    except LookupError:
        return None


def _of_python(label: str) -> str | None:
    if _WELL_FORMED.fullmatch(label) is None:  # Python passes over what else is in it
        return None
    try:
        info = codecs.lookup(label)
    except (LookupError, ValueError):
        return None
    if not getattr(info, "_is_text_encoding", True) or info.name in _NO_CHARSETS:
        return None
    same = {codec: name for name, codec in UTF_16.items()} | {"utf-8-sig": UTF_8}
    return same.get(info.name, info.name)


@cache
def codec_of(name: str) -> str:
    """Return the name of the Python codec that reads a charset that `known` or `prescan` gave."""
    if name == UTF_8:
        return name
    from turbohtml import detect  # noqa: F401, PLC0415 - it registers its codecs

    try:
        return codecs.lookup(_PREFIX + name).name
    except LookupError:
        return name


def prescan(html: bytes) -> str | None:
    """Return the charset that a document gives itself (HTML § 13.2.3.2, prescan).

    Beyond the first 1024 bytes, only in what can be its head, as Chromium does it.
    """
    end = min(len(html), _LONGEST_HEAD)
    at = html.find(b"<", 0, end)
    while 0 <= at < end:
        tag = _TAG.match(html, at, end)
        if html.startswith(b"<!--", at):
            found = html.find(b"-->", at + 2, end)  # the dashes may be those of "<!--"
            at = found if found >= 0 else end
        elif _META.match(html, at, end):
            name, at = _charset_of_meta(html, at + 5, end)
            if name is not None:
                return name
        elif tag is not None:
            if at >= _PRESCANNED and tag[1].lower() not in _IN_HEAD:
                break
            _, at = _attributes(html, tag.end(), end)
        elif html.startswith((b"<!", b"</", b"<?"), at):
            found = html.find(b">", at, end)
            at = found if found >= 0 else end
        else:
            at += 1
        at = html.find(b"<", at, end)
    xml = _XML.match(html, 0, _PRESCANNED)
    return _declared(xml[1] or xml[2] or b"") if xml else None


def _attributes(html: bytes, at: int, end: int) -> tuple[dict[bytes, bytes], int]:
    """Return the attributes of a tag, the first of each name, and where they end."""
    attributes: dict[bytes, bytes] = {}
    while found := _ATTRIBUTE.match(html, at, end):
        if found[1] is None:
            return attributes, found.end()
        at = found.end()
        attributes.setdefault(found[1].lower(), found[2] or found[3] or found[4] or b"")
    return {}, end  # the bytes have run out


def _charset_of_meta(html: bytes, at: int, end: int) -> tuple[str | None, int]:
    attributes, at = _attributes(html, at, end)
    if b"charset" in attributes:
        return _declared(attributes[b"charset"]), at
    if attributes.get(b"http-equiv", b"").lower() == b"content-type":
        found = _CHARSET_IN.search(attributes.get(b"content", b""))
        if found is not None:
            return _declared(found[1] or found[2] or found[3] or b""), at
    return None, at


def _declared(label: bytes) -> str | None:
    """Return what a label in a document means: its ASCII could be read, so it is not UTF-16."""
    text = label.decode("latin-1").strip("\t\n\f\r ").lower()
    name = _USUAL.get(text) or _of_standard(text)
    if name in UTF_16:
        return UTF_8
    return WINDOWS_1252 if name == "x-user-defined" else name
