"""The MIME structure of an email, as spans of its bytes: nothing is re-serialised.

One pass over the delimiter lines, iterative, in linear time whatever the nesting.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from email.message import Message as _HeaderParser

from clicktrail.model import Header

# RFC 5322 § 2.2: a name of printable characters but the colon. White space before the colon is
# obsolete syntax (§ 4.5) and still sent.
_FIELD = re.compile(rb"([!-9;-~]++)[ \t]*+:([^\r\n]*+(?>(?:\r?\n[ \t][^\r\n]*+)*))(?:\r?\n|\r?\Z)")
_BLANK = re.compile(rb"\r?\n")
_FOLD = re.compile(r"\r?\n(?=[ \t])")
_DELIMITER = re.compile(rb"^--([^\r\n]*+)", re.M)
# RFC 2045 § 5.1, the usual form: type/subtype and parameters without comments or RFC 2231.
_SIMPLE_TYPE = re.compile(r"\s*([!#-'*-.0-9A-Z^-z]+/[!#-'*-.0-9A-Z^-z]+)\s*")
_SIMPLE_PARAMETER = re.compile(r""";\s*([A-Za-z0-9-]+)\s*=\s*(?:"([^"\\\r\n]*)"|([^\s;"()]+))\s*""")

_COMMENT_TOKEN = re.compile(r"""[()]|\\.|"(?:[^"\\]|\\.)*"|[^()"\\]+|.""", re.S)

_NO_CONTROLS = dict.fromkeys(range(0x20), " ")

SIGNED = frozenset(("multipart/signed", "multipart/encrypted"))
PKCS7 = frozenset(("application/pkcs7-mime", "application/x-pkcs7-mime"))


@dataclass(frozen=True, slots=True)
class Field:
    """A header field: spans of the whole field with its line end, and of its value."""

    name: str
    start: int
    end: int
    value_start: int
    value_end: int


@dataclass(slots=True)
class Part:
    """One entity. ``start`` to ``body`` is its header with the blank line, then its body."""

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


def read_header(raw: bytes, at: int, end: int, *, top: bool) -> tuple[list[Field], int, int]:
    """Return the fields from ``at``, where they end, and where the body begins.

    A line that is no field ends the header of a part; in that of the email it raises `Unparsable`.
    """
    fields: list[Field] = []
    while True:
        found = _FIELD.match(raw, at, end)
        if found is None:
            break
        fields.append(
            Field(found[1].decode("ascii").lower(), at, found.end(), found.start(2), found.end(2))
        )
        at = found.end()
    blank = _BLANK.match(raw, at, end)
    if blank is None and at < end and top:
        raise Unparsable("a line of the header is no header field")
    return fields, at, blank.end() if blank else at


def parts_of(raw: bytes) -> list[Part]:
    """Return the leaf parts of an email, in order. Raises `Unparsable`."""
    at = 0
    if raw.startswith(b"From "):  # an mbox line before the header
        at = raw.find(b"\n") + 1
    leaves: list[Part] = []
    part = _part(raw, at, len(raw), None)
    # The open multiparts, the outermost first, and the depth of each boundary.
    stack: list[tuple[bytes, Part]] = []
    depth: dict[bytes, int] = {}
    current: Part | None = part
    if not _enter(part, stack, depth):
        leaves.append(part)
        return leaves
    current = None
    for line in _DELIMITER.finditer(raw, part.body):
        text = line[1].rstrip(b" \t")  # RFC 2046 § 5.1.1: transport padding
        level = depth.get(text)
        closing = level is None and text.endswith(b"--")
        if closing:
            level = depth.get(text[:-2])
        if level is None:
            continue
        if current is not None:
            if line.start() < current.body:
                # The delimiter stands in the header of a part: its header was read too far.
                current.body = current.end = line.start()
            else:
                current.end = _before_line_end(raw, line.start(), current.body)
            current = None
        for boundary, _ in stack[level + 1 :]:
            depth.pop(boundary, None)
        del stack[level + 1 :]
        if closing:
            boundary, _ = stack.pop()
            depth.pop(boundary, None)
            if not stack:
                break
            continue
        after = raw.find(b"\n", line.end())
        start = after + 1 if after >= 0 else len(raw)
        current = _part(raw, start, len(raw), stack[-1][1])
        if _enter(current, stack, depth):
            current = None
        else:
            leaves.append(current)
    return leaves


def _part(raw: bytes, start: int, end: int, parent: Part | None) -> Part:
    fields, fields_end, body = read_header(raw, start, end, top=parent is None)
    part = Part(start, fields, fields_end, body, end)
    if parent is not None:
        part.signed = parent.signed
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
            part.attachment = value.startswith("attachment")
    if part.content_type in SIGNED or part.content_type in PKCS7:
        part.signed = True
    return part


def _enter(part: Part, stack: list[tuple[bytes, Part]], depth: dict[bytes, int]) -> bool:
    """Open a multipart; ``False`` for a leaf. Raises `Unparsable` without a boundary."""
    if not part.content_type.startswith("multipart/"):
        return False
    boundary = part.parameters.get("boundary", "").rstrip(" \t").encode("utf-8", "surrogateescape")
    if not boundary:
        raise Unparsable("a multipart has no boundary")
    stack.append((boundary, part))
    depth.setdefault(boundary, len(stack) - 1)
    return True


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
