"""Which charset a browser reads a document in, by html5lib and webencodings, and what it reads."""

import codecs
import re

import html5lib._inputstream as html5lib_input  # type: ignore[import-untyped]
import turbohtml.detect  # noqa: F401 - its codecs are those of the standard
import webencodings  # type: ignore[import-untyped]

PYTHON = {
    **{"shift_jis": "cp932", "euc-kr": "cp949", "big5": "big5hkscs", "windows-874": "cp874"},
    **{"iso-8859-8-i": "iso8859-8", "macintosh": "mac-roman", "x-mac-cyrillic": "mac-cyrillic"},
    **{"utf-16le": "utf-16-le", "utf-16be": "utf-16-be", "x-user-defined": "ascii"},
    **{"replacement": "ascii"},
}
"""Codecs of Python that write what browsers read, but for a few characters."""


def charset_of(html: bytes, label: str | None) -> str:
    """Return the name of the charset (HTML § 13.2.3.2)."""
    for mark, name in (
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16le"),
        (codecs.BOM_UTF16_BE, "utf-16be"),
    ):
        if html.startswith(mark):
            return name
    found = webencodings.lookup(label) if label else None
    if found is None:
        found = html5lib_input.EncodingParser(html[:1024]).getEncoding()
        if found is not None and found.name.startswith("utf-16"):
            return "utf-8"
        if found is not None and found.name == "x-user-defined":
            return "windows-1252"
    return found.name if found is not None else "windows-1252"


def read(html: bytes, label: str | None) -> str:
    """Return what a browser reads, without the byte order mark."""
    name = charset_of(html, label)
    return html.decode(f"whatwg-{name}").removeprefix("\ufeff")


def only_python_knows(label: str | None) -> bool:
    """Whether no browser knows a label, and Python does: such an email is read all the same."""
    if not label or webencodings.lookup(label) is not None:
        return False
    if re.fullmatch(r"[\w-]+", label, re.ASCII) is None:
        return False
    try:
        codecs.lookup(label)
    except LookupError:
        return False
    return True


def write(text: str, label: str) -> bytes:
    """Return a text in a charset; characters that it lacks become references."""
    found = webencodings.lookup(label)
    name = found.name if found is not None else label
    return text.encode(PYTHON.get(name, name), "xmlcharrefreplace")
