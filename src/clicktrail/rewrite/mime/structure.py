"""The MIME structure of an email, as spans of its bytes: nothing is re-serialised.

One pass over the delimiter lines, iterative, in linear time whatever the nesting.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from clicktrail.headers.fields import FIELD, first_field, unfolded
from clicktrail.headers.parameters import parse_type, without_comments

# Fields that do not matter, as many as there are.
_OTHER_FIELDS = re.compile(
    rb"(?>(?:[!-,.-9;-BD-bd-~][!-9;-~]*+[ \t]*+:[^\r\n]*+"
    rb"(?>(?:\r?\n[ \t][^\r\n]*+)*)(?:\r?\n|\r?\Z))*)"
)
_BLANK = re.compile(rb"\r?\n")
ENCODING = "content-transfer-encoding"
_C = frozenset(b"Cc")
_DASH = ord("-")

SIGNED = frozenset(("multipart/signed", "multipart/encrypted"))
PKCS7 = frozenset(("application/pkcs7-mime", "application/x-pkcs7-mime"))


@dataclass(slots=True)
class PartHeader:
    """What the header of a part says of it. Offsets are from its start."""

    end: int = 0
    """Where its fields end."""
    size: int = 0
    """With the blank line."""
    content_type: str | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    encoding: str = "7bit"
    encoding_values: list[tuple[int, int]] = field(default_factory=list)
    """Start and end of the transfer encoding's value, for each field that gives it."""
    attachment: bool = False


@dataclass(slots=True)
class Part:
    """One entity. ``start`` to ``body`` is its header with the blank line, then its body."""

    start: int
    header: PartHeader
    body: int
    end: int
    content_type: str = "text/plain"
    parameters: Mapping[str, str] = field(default_factory=dict)
    encoding: str = "7bit"
    attachment: bool = False
    signed: bool = False
    """It, or a part around it, is signed or encrypted."""

    @property
    def has_body(self) -> bool:
        """Whether anything can be added to its body: else that would go on with its header."""
        return self.body < self.end or self.header.end < self.header.size


class Unparsable(ValueError):
    """The bytes are not an email that can be understood."""


class _Structure:
    """The multiparts that are open, the outermost first, and how deep each boundary is."""

    def __init__(self) -> None:
        self._open: list[tuple[bytes, Part]] = []
        self._depth: dict[bytes, int] = {}
        self.delimiter = b""
        """How every delimiter line begins, with the line end before it."""

    def __bool__(self) -> bool:
        return bool(self._open)

    @property
    def innermost(self) -> Part:
        """The multipart that a new part belongs to."""
        return self._open[-1][1]

    def enter(self, part: Part) -> bool:
        """Open a multipart; ``False`` for a leaf. Raises `Unparsable` without a boundary."""
        if not part.content_type.startswith("multipart/"):
            return False
        value = part.parameters.get("boundary", "").rstrip(" \t")
        boundary = value.encode("utf-8", "surrogateescape")
        if not boundary:
            raise Unparsable("a multipart has no boundary")
        self._depth.setdefault(boundary, len(self._open))
        self._open.append((boundary, part))
        self._set_delimiter()
        return True

    def level(self, line: bytes) -> tuple[int, bool] | None:
        """Return which multipart a line is a delimiter of, and whether it closes it.

        ``line`` is what stands behind the two dashes (RFC 2046 § 5.1.1).
        """
        text = line.rstrip(b" \t\r\n")  # transport padding
        level = self._depth.get(text)
        if level is not None:
            return level, False
        level = self._depth.get(text[:-2]) if text.endswith(b"--") else None
        return None if level is None else (level, True)

    def back_to(self, level: int) -> None:
        """Close all multiparts that are deeper."""
        while len(self._open) > level + 1:
            boundary, _ = self._open.pop()
            if self._depth.get(boundary) == len(self._open):
                del self._depth[boundary]
                self._set_delimiter()

    def _set_delimiter(self) -> None:
        """Know more than the two dashes where one boundary alone is open: more is found sooner."""
        self.delimiter = b"\n--" + (next(iter(self._depth)) if len(self._depth) == 1 else b"")


def parts_of(raw: bytes) -> list[Part]:
    """Return the leaf parts of an email, in order. Raises `Unparsable`."""
    return [part for part in entities_of(raw) if not part.content_type.startswith("multipart/")]


def entities_of(raw: bytes) -> list[Part]:
    """Return all parts of an email, in order, multiparts without their ends.

    Raises `Unparsable`.
    """
    at = first_field(raw)
    entities: list[Part] = []
    structure = _Structure()
    part = _part(raw, at, None, structure)
    current: Part | None = part
    if structure.enter(part):
        current = None
    entities.append(part)
    at = part.body
    if raw[at - 1 : at] == b"\n":
        at -= 1  # the first delimiter may stand right behind the header
    while structure:
        at = raw.find(structure.delimiter, at)
        if at < 0:
            break
        start = at + 1
        end = raw.find(b"\n", start)
        end = end + 1 if end >= 0 else len(raw)
        delimiter = structure.level(raw[start + 2 : end])
        at = end - 1
        if delimiter is None:
            continue
        level, closing = delimiter
        if current is not None:
            current.end = _before_line_end(raw, start, current.body)
            current = None
        structure.back_to(level - 1 if closing else level)
        if closing:
            continue
        current = _part(raw, end, structure.innermost, structure)
        at = max(current.body - 1, at)
        entities.append(current)
        if structure.enter(current):
            current = None
    return entities


def _part(raw: bytes, start: int, parent: Part | None, structure: _Structure) -> Part:
    """Read the header of a part.

    A line that is no field ends it, and so does a delimiter; in the header of the email a line
    that is no field raises `Unparsable`.
    """
    # The emails of a mailing have the headers of their parts in common.
    blank = raw.find(b"\n\r\n", start, start + _SHORT) if parent is not None else -1
    block = raw[start : blank + 3]
    if blank >= 0 and b"\n-" not in block and not block.startswith(b"-"):
        header = _known_header(block)
    else:
        header = _header(raw, start, structure)
    if header.end == header.size and parent is None and start + header.size < len(raw):
        raise Unparsable("a line of the header is no header field")
    kind = header.content_type
    part = Part(start, header, start + header.size, len(raw), kind or "text/plain")
    part.parameters, part.encoding = header.parameters, header.encoding
    part.attachment = header.attachment
    if parent is not None:
        part.signed = parent.signed
        part.attachment = part.attachment or parent.attachment
        if kind is None and parent.content_type == "multipart/digest":
            part.content_type = "message/rfc822"  # RFC 2046 § 5.1.5
    if part.content_type in SIGNED or part.content_type in PKCS7:
        part.signed = True
    return part


def _header(raw: bytes, start: int, structure: _Structure) -> PartHeader:
    header = PartHeader()
    seen: set[str] = set()
    at = _after_others(raw, start)
    while found := FIELD.match(raw, at):
        if raw[at] in _C:
            name = found[1].decode("ascii").lower()
            if name not in seen or name == ENCODING:
                seen.add(name)
                _take(header, name, found, start)
        elif raw[at] == _DASH and structure.level(raw[at + 2 : found.end()]):
            break
        at = _after_others(raw, found.end())
    blank = _BLANK.match(raw, at)
    header.end = at - start
    header.size = (blank.end() if blank else at) - start
    return header


_SHORT = 400


@lru_cache(512)
def _known_header(block: bytes) -> PartHeader:
    return _header(block, 0, _Structure())


def _take(header: PartHeader, name: str, found: re.Match[bytes], start: int) -> None:
    """Note what a field says."""
    if name == "content-type":
        header.content_type, header.parameters = parse_type(unfolded(found[2]))
    elif name == ENCODING:
        words = without_comments(unfolded(found[2])).split(";")[0].split()
        encoding = words[0].lower() if words else "7bit"
        if not header.encoding_values:
            header.encoding = encoding
        elif encoding != header.encoding and ", " not in header.encoding:
            header.encoding += f", {encoding}"  # programs differ in which of two they take
        header.encoding_values.append((found.start(2) - start, found.end(2) - start))
    elif name == "content-disposition":
        kind = without_comments(unfolded(found[2])).strip().lower()
        header.attachment = kind.startswith("attachment")


def _before_line_end(raw: bytes, at: int, start: int) -> int:
    """Return where the line before ``at`` ends: its CRLF belongs to the delimiter."""
    if at > start and raw[at - 1] == 0x0A:
        at -= 1
        if at > start and raw[at - 1] == 0x0D:
            at -= 1
    return at


def _after_others(raw: bytes, at: int) -> int:
    """Return where the next field begins that may matter, or the header ends."""
    return _OTHER_FIELDS.match(raw, at).end()  # type: ignore[union-attr]
