"""Asks Chromium how it reads each label, each byte and each pair of bytes; writes the answers down.

    python tests/links/charset_table.py

Run by hand, when a browser changes. ``charset_table.json`` holds for each label of the Encoding
standard the charset that a document with it is read in, for each head of a document which charset
that gives it, and for each charset what Python reads otherwise: by the bytes in hexadecimal, the
text that the browser has for them in an ``href``.
"""

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2] / "src")]

from support.browser_charset import PYTHON

TABLE = Path(__file__).with_name("charset_table.json")
MULTIBYTE = ("gbk", "gb18030", "big5", "euc-jp", "euc-kr", "shift_jis", "iso-2022-jp")
PATH = b"https://e.example/"
TO_JIS, TO_ASCII = b"\x1b$B", b"\x1b(B"

CHROMIUM_DEPARTS = {
    "big5": {"8862": "Ê̄", "8864": "Ê̌", "88a3": "ê̄", "88a5": "ê̌"},
}
"""What the Encoding standard has, and Firefox, where Chromium 156 has no character."""

HEADS = (
    '<meta charset="koi8-r">',
    "<META CHARSET = 'koi8-r' >",
    "<meta charset=koi8-r/>",
    "<meta/charset=koi8-r>",
    '<meta charset="">',
    '<meta charset="nobody-knows"><meta charset="koi8-r">',
    '<meta charset=" koi8-r ">',
    '<meta charset="utf-16"><meta charset="koi8-r">',
    '<meta charset="utf-16be">',
    '<meta charset="x-user-defined">',
    '<meta http-equiv="Content-Type" content="text/html; charset=koi8-r">',
    '<meta content="text/html; charset=koi8-r" http-equiv=content-type>',
    '<meta content="text/html; charset=koi8-r">',
    '<meta http-equiv="refresh" content="text/html; charset=koi8-r">',
    '<meta http-equiv="Content-Type" content="text/html; charset = \'koi8-r\'">',
    '<meta http-equiv="Content-Type" content="text/html; charset=koi8-r;x">',
    '<meta http-equiv="Content-Type" content="charset=nobody-knows; charset=koi8-r">',
    '<meta http-equiv="Content-Type" content="text/html; charsetcharset=koi8-r">',
    '<meta http-equiv="Content-Type" content="text/html; charset gbk charset=koi8-r">',
    '<meta http-equiv="Content-Type" content="charset=gbk" charset="koi8-r">',
    '<meta http-equiv="Content-Type" content="charset= ; charset=koi8-r">',
    '<meta http-equiv="Content-Type" content="charset=">',
    '<meta http-equiv=Content-Type content="charset=\'gbk; charset=koi8-r">',
    '<meta charset=gbk">x<meta charset=koi8-r>',
    "<!-- <meta charset=gbk> --><meta charset=koi8-r>",
    "<!--><meta charset=koi8-r>",
    "<p title='<meta charset=gbk>'><meta charset=koi8-r>",
    "<? <meta charset=gbk> ?><meta charset=koi8-r>",
    "</p <meta charset=gbk><meta charset=koi8-r>",
    "<metax charset=gbk><meta charset=koi8-r>",
    "<body><meta charset=koi8-r>",
    "<style>" + "a{color:red} " * 100 + "</style><meta charset=koi8-r>",
    "<head>" + "<!-- comment -->" * 100 + "<meta charset=koi8-r>",
    "<title>x</title>" + "<link rel=x href=y>" * 100 + "<meta charset=koi8-r>",
    "<body>" + "<p>long</p>" * 200 + "<meta charset=koi8-r>",
    "<meta charset=hz-gb-2312>",
    "<meta charset=iso-2022-jp>",
    "<p>no charset</p>",
)
"""Beginnings of documents that say their charset themselves, or do not."""


def sequences(name: str) -> Iterator[bytes]:
    """Yield what is tried in a charset: each byte over 127 and, where it has some, each pair."""
    if name == "iso-2022-jp":
        for first in range(0x21, 0x7F):
            yield from (TO_JIS + bytes((first, last)) + TO_ASCII for last in range(0x21, 0x7F))
        yield from (b"\x1b(I" + bytes((each,)) + TO_ASCII for each in range(0x21, 0x60))
        yield from (b"\x1b(J" + each + TO_ASCII for each in (b"a", b"\\", b"~"))
        return
    yield from (bytes((each,)) for each in range(0x80, 0x100))
    if name in MULTIBYTE:
        for first in range(0x81, 0xFF):
            yield from (bytes((first, last)) for last in range(0x40, 0xFF) if last != ord("`"))


def document(tried: Iterable[bytes]) -> bytes:
    """Return a document with each of them in a link."""
    links = (b'<a href="' + PATH + each + b'">x</a>\r\n' for each in tried)
    return b"<!DOCTYPE html>\r\n" + b"".join(links)


def by_python(name: str, sequence: bytes) -> str | None:
    """Return what Python reads; ``None`` where it knows no character."""
    try:
        return sequence.decode(PYTHON.get(name, name))
    except UnicodeError:
        return None


def heads() -> Iterable[bytes]:
    """Return documents of `HEADS`."""
    return (f'{head}<a href="https://e.example/'.encode() + b'\xc1">x</a>' for head in HEADS)


def main() -> None:
    """Ask the browser."""
    import webencodings.labels  # type: ignore[import-untyped]
    from playwright.sync_api import sync_playwright

    table: dict[str, Any] = {"labels": {}, "heads": {}, "reads": {}}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium")
        page = browser.new_page(java_script_enabled=True)
        table["browser"] = f"Chromium {browser.version}"
        served: dict[str, tuple[str, bytes]] = {}
        page.route("**/*", lambda route: answer(route, served))

        def ask(kind: str, body: bytes, script: str) -> Any:
            served["/"] = (kind, body)
            page.goto("http://table.test/", wait_until="domcontentloaded")
            return page.evaluate(script)

        for label in sorted(webencodings.labels.LABELS):
            kind = f'text/html; charset="{label}"'
            found = ask(kind, b"<p>x", "document.characterSet")
            table["labels"][label] = found.lower()
        for head, body in zip(HEADS, heads(), strict=True):
            table["heads"][head] = ask("text/html", body, "document.characterSet").lower()
        script = "[...document.querySelectorAll('a')].map(a => a.getAttribute('href'))"
        for name in sorted({*table["labels"].values()} - {"utf-8", "utf-16le", "utf-16be"}):
            if name == "replacement":
                continue
            wanted = list(sequences(name))
            found = []
            # Chromium loses a character that the end of one of its buffers (64 KB) cuts in two.
            for at in range(0, len(wanted), 1000):
                some = document(wanted[at : at + 1000])
                found += ask(f"text/html; charset={name}", some, script)
            assert len(found) == len(wanted), name
            differs = {}
            for sequence, href in zip(wanted, found, strict=True):
                text = href.removeprefix(PATH.decode())
                expected = by_python(name, sequence)
                if text != expected and not ("\ufffd" in text and expected is None):
                    differs[sequence.hex()] = text
            table["reads"][name] = differs
            print(name, len(wanted), len(differs), flush=True)
        browser.close()
    text = json.dumps(table, ensure_ascii=True, indent=0, sort_keys=True)
    TABLE.write_text(text + "\n", encoding="ascii")


def answer(route: Any, served: dict[str, tuple[str, bytes]]) -> None:
    """Serve a document, whatever is asked for."""
    kind, body = served["/"]
    route.fulfill(status=200, headers={"Content-Type": kind}, body=body)


if __name__ == "__main__":
    main()
