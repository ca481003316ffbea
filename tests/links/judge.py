"""What two real HTML5 parsers find in a document: the elements that carry links.

`read_html5lib` gives every start tag that the tokenizer of html5lib emits while its tree builder
steers it. `read_turbohtml` gives the elements that stand in turbohtml's tree in the end. Both run
without scripting. The offsets are those of the text as it was given: the parsers turn CR LF and CR
into LF first (HTML § 13.2.3.5), so theirs are translated back.
"""

import bisect
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache

import html5lib  # type: ignore[import-untyped]
import turbohtml
from html5lib import _tokenizer
from html5lib.constants import (  # type: ignore[import-untyped]
    tagTokenTypes,
    tokenTypes,
)

RAW = frozenset(
    ("script", "style", "textarea", "title", "xmp", "noembed", "noframes", "iframe", "plaintext")
)
"""Elements in which nothing is a link (§ 2), whatever namespace they are in."""

_START = (tokenTypes["StartTag"], tokenTypes["EmptyTag"])


@dataclass(frozen=True)
class Tag:
    """A start tag: where it begins, its name, its attributes (the first of each name)."""

    offset: int
    name: str
    attributes: dict[str, str]
    spans: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Where each attribute stands, name and value, where the parser tells."""
    in_svg: bool = False
    """Whether it is an element of SVG, where the parser tells."""
    end: int = 0
    """Where the tag ends, where the parser tells."""

    def moved(self, by: int) -> "Tag":
        """Return the same tag of a text that begins so much earlier."""
        spans = {name: (start + by, end + by) for name, (start, end) in self.spans.items()}
        return replace(self, offset=self.offset + by, spans=spans, end=self.end + by)


@dataclass
class Reading:
    """What one parser finds in a text."""

    tags: dict[int, Tag] = field(default_factory=dict)
    comments: dict[int, int] = field(default_factory=dict)
    """Where comments of the form ``<!--`` begin and end, where the parser tells."""
    texts: set[str] = field(default_factory=set)
    """What is in the comments, but for those within raw text elements of svg and math."""
    base: str | None = None
    torn: int | None = None
    """Where the first svg or math element begins that its own end tag does not close."""
    tokens: list[tuple[str, int, object]] = field(default_factory=list)
    """All that the tokenizer said, in order: kind, offset, and name or text."""


class Offsets:
    """Translates offsets of the text with normalised newlines into those of the text itself."""

    def __init__(self, text: str) -> None:
        self.normalised = text.replace("\r\n", "\n").replace("\r", "\n")
        self._gone = [match.start() - i for i, match in enumerate(re.finditer("\r\n", text))]

    def back(self, offset: int) -> int:
        """Return the place in the text itself."""
        return offset + bisect.bisect_left(self._gone, offset)


class _Tokenizer(_tokenizer.HTMLTokenizer):  # type: ignore[misc]
    """html5lib's tokenizer, which also notes where a tag or comment begins."""

    begin = 0

    def __init__(self, text: str, parser: "_Parser") -> None:
        super().__init__(text, parser=parser)
        self.stream._defaultChunkSize = len(text) + 1  # offsets are those in a chunk: let it be one

    def tagOpenState(self) -> bool:
        self.begin = self.stream.chunkOffset - 1
        return bool(super().tagOpenState())


class _Listening:
    """Stands for the tokenizer in the main loop of the parser, and writes down what it says."""

    def __init__(self, tokenizer: _Tokenizer) -> None:
        self.__dict__.update(tokenizer=tokenizer, heard=[])

    def __getattr__(self, name: str) -> object:
        return getattr(self.__dict__["tokenizer"], name)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self.__dict__["tokenizer"], name, value)

    def __iter__(self) -> Iterator[dict[str, object]]:
        tokenizer: _Tokenizer = self.__dict__["tokenizer"]
        for token in tokenizer:
            copy = dict(token, begin=tokenizer.begin, end=tokenizer.stream.chunkOffset)
            if isinstance(token.get("data"), dict):
                copy["data"] = dict(token["data"])  # the tree builder adjusts foreign attributes
            self.__dict__["heard"].append(copy)
            yield token


class _Parser(html5lib.HTMLParser):  # type: ignore[misc]
    """html5lib's parser, listened to."""

    def hear(self, text: str) -> list[dict[str, object]]:
        """Parse, and return the tokens with the offsets at which they begin and end."""
        self.innerHTMLMode, self.container, self.scripting = False, None, False
        self.tokenizer = _Listening(_Tokenizer(text, parser=self))
        self.reset()
        with suppress(AssertionError):  # html5lib's own, at the end of some framesets and selects
            self.mainLoop()
        heard: list[dict[str, object]] = self.tokenizer.__dict__["heard"]
        return heard


@lru_cache(maxsize=64)
def read_html5lib(text: str) -> Reading:
    """Return the start tags, comments and other tokens that html5lib's tokenizer gives."""
    offsets = Offsets(text)
    reading = Reading()
    spoken: list[str] = []

    def speak() -> None:
        if spoken:
            reading.tokens.append(("text", -1, "".join(spoken)))
            spoken.clear()

    for token in _Parser().hear(offsets.normalised):
        kind, data = token["type"], token.get("data")
        begin, end = (offsets.back(int(str(token[name]))) for name in ("begin", "end"))
        if kind in _START:
            assert isinstance(data, dict)
            tag = Tag(begin, str(token["name"]), {str(k): str(v) for k, v in data.items()})
            reading.tags[begin] = tag
            if reading.base is None and tag.name == "base":
                reading.base = tag.attributes.get("href")
            speak()
            reading.tokens.append(("start", begin, tag))
        elif kind in tagTokenTypes:
            speak()
            reading.tokens.append(("end", begin, token["name"]))
        elif kind == tokenTypes["Comment"]:
            if text.startswith("<!--", begin):
                reading.texts.add(str(data))
                reading.comments[begin] = end if end > begin else len(text)  # unclosed: 0
            speak()
            reading.tokens.append(("comment", begin, data))
        elif kind == tokenTypes["Doctype"]:
            speak()
            reading.tokens.append(("doctype", begin, (token["name"], token["publicId"])))
        elif kind != tokenTypes["ParseError"]:
            spoken.append(str(data))
    speak()
    return reading


@lru_cache(maxsize=64)
def read_turbohtml(text: str) -> Reading:
    """Return the elements of turbohtml's tree; one that the tree holds twice counts once."""
    offsets = Offsets(text)
    lines = [0, *(match.end() for match in re.finditer("\n", offsets.normalised))]
    reading = Reading()

    def note(element: turbohtml.Element, hidden: bool, in_template: bool) -> None:
        if element.source_line is None or element.source_col is None:
            return  # implied by the parser
        attributes = {
            name: value if isinstance(value, str) else " ".join(value or [])
            for name, value in element.attrs.items()
        }
        is_base = element.tag == "base" and element.namespace == turbohtml.Namespace.HTML
        if reading.base is None and is_base and not in_template:
            reading.base = attributes.get("href")
        offset = offsets.back(lines[element.source_line - 1] + element.source_col)
        place = element.source_location
        if element.tag in ("svg", "math") and (place is None or place.end_tag is None):
            closed = place and text[offsets.back(place.start_tag.end_offset) - 2] == "/"
            if not closed and (reading.torn is None or offset < reading.torn):
                reading.torn = offset
        if hidden:
            return
        spans = place.attrs.items() if place else ()
        found = {
            name: (offsets.back(span.start_offset), offsets.back(span.end_offset))
            for name, span in spans
        }
        if offset not in reading.tags or found:
            in_svg = element.namespace == turbohtml.Namespace.SVG
            end = offsets.back(place.start_tag.end_offset) if place else 0
            reading.tags[offset] = Tag(offset, element.tag, attributes, found, in_svg, end)

    def walk(node: turbohtml.Node, hidden: bool, in_template: bool = False) -> None:
        for child in node.children:
            inside, template = hidden, in_template
            if isinstance(child, turbohtml.Element):
                note(child, hidden, in_template)
                inside = hidden or child.tag in RAW
                template = in_template or child.tag == "template"
            elif isinstance(child, turbohtml.Comment) and not hidden:
                reading.texts.add(child.data)
            walk(child, inside, template)

    walk(turbohtml.parse(offsets.normalised, source_locations=True), hidden=False)
    return reading
