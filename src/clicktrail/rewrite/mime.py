"""The MIME structure of an email, as spans of its bytes: nothing is re-serialised.

One pass over the delimiter lines, iterative, in linear time whatever the nesting.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from email.message import Message as _HeaderParser
from functools import lru_cache

from clicktrail.model import Header

# RFC 5322 § 2.2: a name of printable characters but the colon. White space before the colon is
# obsolete syntax (§ 4.5) and still sent.
_FIELD = re.compile(rb"([!-9;-~]++)[ \t]*+:([^\r\n]*+(?>(?:\r?\n[ \t][^\r\n]*+)*))(?:\r?\n|\r?\Z)")
# Fields that do not matter, as many as there are.
_OTHER_FIELDS = re.compile(
    rb"(?>(?:[!-,.-9;-BD-bd-~][!-9;-~]*+[ \t]*+:[^\r\n]*+"
    rb"(?>(?:\r?\n[ \t][^\r\n]*+)*)(?:\r?\n|\r?\Z))*)"
)
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
    encoding_value: tuple[int, int] | None = None
    """Start and end of the transfer encoding's value."""
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
    while found := _FIELD.match(raw, at):
        if raw[at] in _C:
            name = found[1].decode("ascii").lower()
            if name not in seen:
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
        header.content_type, header.parameters = parse_type(_unfolded(found[2]))
    elif name == "content-transfer-encoding":
        words = _unfolded(found[2]).split("(")[0].split(";")[0].split()
        header.encoding = words[0].lower() if words else "7bit"
        header.encoding_value = found.start(2) - start, found.end(2) - start
    elif name == "content-disposition":
        header.attachment = _unfolded(found[2]).strip().lower().startswith("attachment")


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


def _unfolded(value: bytes) -> str:
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        text = value.decode("latin-1")
    return _FOLD.sub("", text) if "\n" in text else text


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
        headers.append((found[1].decode("ascii"), _unfolded(found[2]).strip(" \t")))
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
