"""The MIME structure of an email, as spans of its bytes: nothing is re-serialised.

One pass over the delimiter lines, iterative, in linear time whatever the nesting.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from email.message import Message as _HeaderParser
from typing import NamedTuple

from clicktrail.model import Header

# RFC 5322 § 2.2: a name of printable characters but the colon. White space before the colon is
# obsolete syntax (§ 4.5) and still sent.
_FIELD = re.compile(rb"([!-9;-~]++)[ \t]*+:([^\r\n]*+(?>(?:\r?\n[ \t][^\r\n]*+)*))(?:\r?\n|\r?\Z)")
_BLANK = re.compile(rb"\r?\n")
_FOLD = re.compile(r"\r?\n(?=[ \t])")
# RFC 2045 § 5.1, the usual form: type/subtype and parameters without comments or RFC 2231.
_SIMPLE_TYPE = re.compile(r"\s*([!#-'*-.0-9A-Z^-z]+/[!#-'*-.0-9A-Z^-z]+)\s*")
_SIMPLE_PARAMETER = re.compile(r""";\s*([A-Za-z0-9-]+)\s*=\s*(?:"([^"\\\r\n]*)"|([^\s;"()]+))\s*""")

_COMMENT_TOKEN = re.compile(r"""[()]|\\.|"(?:[^"\\]|\\.)*"|[^()"\\]+|.""", re.S)

_NO_CONTROLS = dict.fromkeys(range(0x20), " ")

_C = frozenset(b"Cc")
_DASH = ord("-")

SIGNED = frozenset(("multipart/signed", "multipart/encrypted"))
PKCS7 = frozenset(("application/pkcs7-mime", "application/x-pkcs7-mime"))


class Field(NamedTuple):
    """A header field: spans of the whole field with its line end, and of its value."""

    name: str
    start: int
    end: int
    value_start: int
    value_end: int


@dataclass(slots=True)
class Part:
    """One entity. ``start`` to ``body`` is its header with the blank line, then its body.

    ``fields`` are those of its header that begin with a C: the others do not matter.
    """

    start: int
    fields: list[Field]
    fields_end: int
    body: int
    end: int
    content_type: str = "text/plain"
    parameters: dict[str, str] = field(default_factory=dict)
    encoding: str = "7bit"
    attachment: bool = False
    signed: bool = False
    """It, or a part around it, is signed or encrypted."""


class Unparsable(ValueError):
    """The bytes are not an email that can be understood."""


class _Structure:
    """The multiparts that are open, the outermost first, and how deep each boundary is."""

    def __init__(self) -> None:
        self._open: list[tuple[bytes, Part]] = []
        self._depth: dict[bytes, int] = {}

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


def parts_of(raw: bytes) -> list[Part]:
    """Return the leaf parts of an email, in order. Raises `Unparsable`."""
    at = raw.find(b"\n") + 1 if raw.startswith(b"From ") else 0  # an mbox line before the header
    leaves: list[Part] = []
    structure = _Structure()
    part = _part(raw, at, None, structure)
    current: Part | None = part
    if structure.enter(part):
        current = None
    else:
        leaves.append(part)
    at = part.body
    if raw[at - 1 : at] == b"\n":
        at -= 1  # the first delimiter may stand right behind the header
    while structure:
        at = raw.find(b"\n--", at)
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
        if structure.enter(current):
            current = None
        else:
            leaves.append(current)
    return leaves


def _part(raw: bytes, start: int, parent: Part | None, structure: _Structure) -> Part:
    """Read the header of a part.

    A line that is no field ends it, and so does a delimiter; in the header of the email a line
    that is no field raises `Unparsable`.
    """
    fields: list[Field] = []
    at = start
    while found := _FIELD.match(raw, at):
        if raw[at] in _C:
            name = found[1].decode("ascii").lower()
            fields.append(Field(name, at, found.end(), found.start(2), found.end(2)))
        elif raw[at] == _DASH and structure.level(raw[at + 2 : found.end()]):
            break
        at = found.end()
    blank = _BLANK.match(raw, at)
    if blank is None and at < len(raw) and parent is None:
        raise Unparsable("a line of the header is no header field")
    part = Part(start, fields, at, blank.end() if blank else at, len(raw))
    if parent is not None:
        part.signed = parent.signed
        part.attachment = parent.attachment
        if parent.content_type == "multipart/digest":
            part.content_type = "message/rfc822"  # RFC 2046 § 5.1.5
    seen: set[str] = set()
    for each in fields:
        if not each.name.startswith("content-") or each.name in seen:
            continue
        seen.add(each.name)
        if each.name == "content-type":
            part.content_type, part.parameters = parse_type(_text(raw, each))
        elif each.name == "content-transfer-encoding":
            words = _text(raw, each).split("(")[0].split(";")[0].split()
            part.encoding = words[0].lower() if words else "7bit"
        elif each.name == "content-disposition":
            value = _text(raw, each).strip().lower()
            part.attachment = part.attachment or value.startswith("attachment")
    if part.content_type in SIGNED or part.content_type in PKCS7:
        part.signed = True
    return part


def _before_line_end(raw: bytes, at: int, start: int) -> int:
    """Return where the line before ``at`` ends: its CRLF belongs to the delimiter."""
    if at > start and raw[at - 1] == 0x0A:
        at -= 1
        if at > start and raw[at - 1] == 0x0D:
            at -= 1
    return at


def _text(raw: bytes, each: Field) -> str:
    value = raw[each.value_start : each.value_end]
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        text = value.decode("latin-1")
    return _FOLD.sub("", text)


def parse_type(value: str) -> tuple[str, dict[str, str]]:
    """Return a Content-Type's type in lower case, and its parameters by lower-case name."""
    if "(" in value:
        value = _without_comments(value)
    head = _SIMPLE_TYPE.match(value)
    if head is not None:
        parameters: dict[str, str] = {}
        at = head.end()
        while found := _SIMPLE_PARAMETER.match(value, at):
            quoted, token = found[2], found[3]
            parameters.setdefault(found[1].lower(), token if quoted is None else quoted)
            at = found.end()
        if not value[at:].strip(" \t;"):
            return head[1].lower(), parameters
    # Comments, escapes, continuations (RFC 2231): the standard library knows them.
    parser = _HeaderParser()
    parser["Content-Type"] = value.translate(_NO_CONTROLS)
    try:
        found_all = parser.get_params(failobj=[])[1:]
        named = {str(name).lower(): str(text) for name, text in reversed(found_all)}
        boundary, charset = parser.get_boundary(), parser.get_content_charset()
    except (TypeError, ValueError, LookupError):  # what it raises for broken parameters
        return parser.get_content_type(), {}
    named |= {"boundary": boundary} if boundary else {}
    named |= {"charset": charset} if charset else {}
    return parser.get_content_type(), named


def _without_comments(value: str) -> str:
    """Return a structured header's value without comments (RFC 5322 § 3.2.2)."""
    kept: list[str] = []
    depth = 0
    for piece in _COMMENT_TOKEN.findall(value):
        if piece == "(":
            depth += 1
        elif piece == ")" and depth:
            depth -= 1
        elif not depth:
            kept.append(piece)
    return "".join(kept)


def headers_of(raw: bytes) -> tuple[Header, ...]:
    """Return the top-level headers in order, as sent: names, and values unfolded.

    RFC 2047 words stay undecoded; bytes are UTF-8 where they are valid, else Latin-1. A line that
    is no header ends them.
    """
    headers = []
    at = 0
    if raw.startswith(b"From "):
        at = raw.find(b"\n") + 1
    while found := _FIELD.match(raw, at):
        each = Field("", at, found.end(), found.start(2), found.end(2))
        headers.append((found[1].decode("ascii"), _text(raw, each).strip(" \t")))
        at = found.end()
    return tuple(headers)


def without_headers(raw: bytes, names: Collection[str]) -> bytes:
    """Return an email without these top-level headers (names in lower case), else unchanged."""
    kept: list[bytes] = []
    at = done = 0
    if raw.startswith(b"From "):
        at = raw.find(b"\n") + 1
    while found := _FIELD.match(raw, at):
        if found[1].decode("ascii").lower() in names:
            kept.append(raw[done:at])
            done = found.end()
        at = found.end()
    if not kept:
        return raw
    return b"".join((*kept, raw[done:]))
