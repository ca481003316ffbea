"""Follows tags in and out of SVG and MathML, where the rules of HTML change (HTML § 13.2.6.5)."""

from collections.abc import Container
from dataclasses import dataclass, field

from clicktrail.rewrite.html.markup import FONT

# Start tags that end foreign content.
_BREAKOUT = frozenset(
    (
        b"b big blockquote body br center code dd div dl dt em embed h1 h2 h3 h4 h5 h6 head hr i "
        b"img li listing menu meta nobr ol p pre ruby s small span strong strike sub sup table tt "
        b"u ul var"
    ).split()
)
_ROOTS = frozenset((b"svg", b"math"))
_UNSEEN = frozenset((b"style", b"script"))
"""Elements like any other there, but nobody sees what is in them."""
_COUNTED = _ROOTS | _UNSEEN
# § 13.2.4.2: inside these, HTML is HTML again.
_INTEGRATION = {
    b"svg": frozenset((b"foreignobject", b"desc", b"title")),
    b"math": frozenset((b"mi", b"mo", b"mn", b"ms", b"mtext")),
}


@dataclass(slots=True)
class Foreign:
    """The open elements that matter: svg and math, and integration points in them."""

    _open: list[tuple[bytes, bool]] = field(default_factory=list)
    """Names, and whether what is inside is HTML."""
    _roots: list[dict[bytes, int]] = field(default_factory=list)
    """How many svg, math, style and script are open: one count for each integration point, and one
    below."""

    @property
    def inside(self) -> bool:
        """Whether the next tag stands in foreign content."""
        return bool(self._open) and not self._open[-1][1]

    @property
    def in_svg(self) -> bool:
        """Whether the next tag stands in SVG."""
        return self.inside and self._open[-1][0] == b"svg"

    def hides(self, name: bytes) -> bool:
        """Whether nobody sees the element that has just begun, in a foreign style or script."""
        return self._open[-1][0] in _UNSEEN and name not in _UNSEEN

    def start(self, name: bytes, attributes: Container[bytes], *, self_closing: bool) -> bool:
        """Follow a start tag; return whether its element is foreign."""
        inside = self.inside
        if inside and (
            name in _BREAKOUT or (name == b"font" and any(each in attributes for each in FONT))
        ):
            self._leave()
            return False
        if name in _ROOTS:
            if not self_closing:
                self._push(name, html=False)
            return not self_closing
        if inside and not self_closing and name in _UNSEEN:
            self._push(name, html=False)
        elif inside and not self_closing and name in _INTEGRATION.get(self._open[-1][0], ()):
            self._push(name, html=True)  # what is in it is HTML; itself it is not: no raw text
        return inside

    def end(self, name: bytes) -> None:
        """Follow an end tag."""
        if not self._open:
            return
        if not self.inside:
            if self._open[-1][0] == name:
                self._pop()
        elif name in (b"p", b"br"):
            self._leave()
        elif name in _COUNTED and self._roots[-1].get(name):
            # § 13.2.6.5, any other end tag: it closes all that is open inside of its element.
            while self._pop() != name:
                pass

    def _push(self, name: bytes, *, html: bool) -> None:
        if not self._roots or html:
            self._roots.append({})
        if not html:
            self._roots[-1][name] = self._roots[-1].get(name, 0) + 1
        self._open.append((name, html))

    def _pop(self) -> bytes:
        name, html = self._open.pop()
        if html:
            self._roots.pop()
        else:
            self._roots[-1][name] -= 1
        return name

    def _leave(self) -> None:
        while self.inside:
            self._pop()
