"""The image that tells of opens, as it comes into a document; and whether a browser shows it."""

import re
from collections.abc import Iterator

import html5lib  # type: ignore[import-untyped]
import turbohtml

from clicktrail.rewrite.pixel import PLACEHOLDER

HERE = PLACEHOLDER.decode()
PIXEL = "https://t.example/o/AbC-_1"
_HIDING = frozenset(("template", "head", "title"))
"""Also in a drawing: of SVG's own title nothing is drawn."""
_ENDS = re.compile(r"</(?:body|html)[\t\n\f\r />]", re.IGNORECASE)
_READ_OTHERWISE = re.compile(
    r"<(?:select|template|!---?\x00)|<(?:svg|math)[\s\S]*</(?:br|p)[\t\n\f\r />]", re.IGNORECASE
)
"""What html5lib 1.1 (2020) reads otherwise than HTML § 13.2: `template`, a `select`, a NUL at the
beginning of a comment, and the end of a drawing by an end tag of `br` or `p`."""


def image_of(url: str) -> re.Pattern[str]:
    """Return an expression for the image of that address."""
    return re.compile(
        rf'<img src="{re.escape(url)}" width="1" height="1" alt=""'
        r' style="(?:display:block;)?width:1px;height:1px;border:0">'
    )


IMAGE = image_of(PIXEL)


def without(html: str, url: str = PIXEL) -> tuple[str, int]:
    """Return a document without the image, with the placeholder where that stood; and how often."""
    return image_of(url).subn(lambda found: "" if "block" in found[0] else HERE, html)


def is_shown(html: str, url: str = PIXEL, name: str = "img") -> bool:
    """Whether a browser shows the image: two parsers put it into the body, and hide it nowhere.

    Where html5lib, the older one, is known to go wrong, the other has to do.
    """
    return is_agreed(html, url, name) or (
        _READ_OTHERWISE.search(html) is not None and (name, url) in _shown_by_turbohtml(html)
    )


def is_agreed(html: str, url: str, name: str) -> bool:
    """Whether both parsers say so."""
    wanted = name, url
    return wanted in _shown_by_turbohtml(html) and wanted in _shown_by_html5lib(html)


def has_place(html: str, url: str = PIXEL) -> bool:
    """Whether the image would be shown at the end of the body, or of all, and all else as before.

    Within a drawing it would end that (HTML § 13.2.6.5), which makes a difference but at the end.
    """
    end = len(html.rstrip("\t\n\f\r "))
    places = [(found.start(), "x-image") for found in _ENDS.finditer(html)]
    return any(
        is_agreed(f'{html[:place]}<{name} src="{url}">{html[place:]}', url, name)
        for place, name in (*places, (end, "img"))
    )


def _shown_by_turbohtml(html: str) -> Iterator[tuple[str, str]]:
    stack: list[turbohtml.Node] = [turbohtml.parse(html, positions=False)]
    while stack:
        node = stack.pop()
        if isinstance(node, turbohtml.Element):
            if node.tag in _HIDING:
                continue
            if node.namespace is turbohtml.Namespace.HTML and "src" in node.attrs:
                yield node.tag, str(node.attrs["src"])
        stack += node.children


def _shown_by_html5lib(html: str) -> Iterator[tuple[str, str]]:
    stack = [html5lib.parse(html, namespaceHTMLElements=True)]
    while stack:
        node = stack.pop()
        if isinstance(node.tag, str):
            name = node.tag.removeprefix("{http://www.w3.org/1999/xhtml}")
            if name.rpartition("}")[2] in _HIDING:
                continue
            if "{" not in name and node.get("src"):
                yield name, node.get("src")
        stack += list(node)
