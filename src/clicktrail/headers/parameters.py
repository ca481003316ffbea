"""Structured fields with parameters: Content-Type and its like (RFC 2045 § 5.1, RFC 2231)."""

import re
from collections.abc import Iterator
from urllib.parse import unquote_to_bytes

# The usual form: type/subtype and parameters without comments or RFC 2231.
_SIMPLE_TYPE = re.compile(r"\s*([!#-'*-.0-9A-Z^-z]+/[!#-'*-.0-9A-Z^-z]+)\s*")
_SIMPLE_PARAMETER = re.compile(r""";\s*([A-Za-z0-9-]+)\s*=\s*(?:"([^"\\\r\n]*)"|([^\s;"()]+))\s*""")

_TYPE = re.compile(r"\s*+([^\s;]*+)")
_PARAMETER = re.compile(
    r'[;\s]*+(?P<name>[^\s;="]*+)\s*+'
    r'(?:=\s*+(?:"(?P<quoted>(?>(?:[^"\\]++|\\.)*))"?|(?P<token>[^;]*+)))?',
    re.DOTALL,
)
_REST = re.compile(r"[^;]*+")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
# RFC 2231 § 3 and § 4: name*0, name*0*, name*.
_EXTENDED = re.compile(r"([^*]++)(?>(?:\*(\d{1,4}))?)(\*)?")

_OUTSIDE = re.compile(r'"(?>(?:[^"\\]++|\\.)*)"?|\\.|[^"\\()]++|[()\\]', re.DOTALL)
_INSIDE = re.compile(r"\\.|[^\\()]++|[()\\]", re.DOTALL)

# What every reader takes as it is, between quotes.
_PLAIN = re.compile(r"[!#-\[\]-~](?:[ !#-\[\]-~]{0,198}[!#-\[\]-~])?")
# RFC 2231 § 7: attribute-char
_ITSELF = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$&+-.^_`{|}~")
_UNITS = [chr(each) if each in _ITSELF else f"%{each:02X}" for each in range(256)]
_LINE = 76
_NAME = re.compile(r"[!#$&+\-.0-9A-Z^_`a-z{|}~]+")

_NO_CONTROLS = dict.fromkeys(range(0x20), " ")


def parse_type(value: str) -> tuple[str, dict[str, str]]:
    """Return a Content-Type's type in lower case, and its parameters by lower-case name.

    The type ends at white space, as in browsers and mail programs, also where ``;`` is missing;
    then no parameter follows. A type that is none is ``text/plain`` (RFC 2045 § 5.2). The first
    parameter of a name counts.
    """
    value = without_comments(value)
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
    value = value.translate(_NO_CONTROLS)
    found = _TYPE.match(value)
    assert found is not None  # it matches anything
    kind = found[1].lower()
    return (kind if kind.count("/") == 1 else "text/plain"), _parameters(value, found.end())


def without_comments(value: str) -> str:
    """Return a structured field's value without comments, however deep (RFC 5322 § 3.2.2)."""
    if "(" not in value:
        return value
    kept: list[str] = []
    depth = at = 0
    while at < len(value):
        found = (_INSIDE if depth else _OUTSIDE).match(value, at)
        assert found is not None  # one of them matches anything
        at = found.end()
        if found[0] == "(":
            depth += 1
        elif depth:
            depth -= found[0] == ")"
        else:
            kept.append(found[0])
    return "".join(kept)


def written(name: str, text: str, charset: str = "utf-8") -> str:
    """Return a parameter as it stands behind its semicolon: readers find the text as it is.

    What they would take for encoded words, cut, or not read is written as RFC 2231 § 4 has it, and
    over several lines where it is long (§ 3). Raises `UnicodeEncodeError` where the charset cannot
    hold the text.
    """
    if _PLAIN.fullmatch(text) and "=?" not in text:
        return f'{name}="{text}"'
    units = [f"{charset}''", *map(_UNITS.__getitem__, text.encode(charset))]
    if len(name) + sum(map(len, units)) < _LINE - 4:
        return f"{name}*={''.join(units)}"
    lines: list[str] = []
    line = ""
    for unit in units:
        if line and len(line) + len(unit) >= _LINE:
            lines.append(line)
            line = ""
        line += unit if line else f"{name}*{len(lines)}*={unit}"
    return ";\r\n ".join((*lines, line))


def in_ascii(value: str, charset: str) -> str:
    """Return a field's value whose parameters are ASCII; those that were stay as they are.

    ``charset`` is what the others are told to be in. Raises `ValueError` for a value that is no
    field with parameters, or would mean something else then.
    """
    value = without_comments(value)
    at = value.find(";")
    head = value if at < 0 else value[:at]
    if not head.isascii():
        raise ValueError("what it says is not ASCII")
    kept = [head]
    names = {found["name"].lower() for found, _ in _each(value, at)}
    for found, end in _each(value, at):
        segment, name = value[found.start() : end].strip("; \t"), found["name"].lower()
        if segment.isascii():
            kept += [segment] if segment else []
        elif not _NAME.fullmatch(name) or not value[found.end() : end].isascii():
            raise ValueError("a parameter cannot be read")
        elif name == "boundary":
            raise ValueError("a boundary of its parts is not ASCII")
        elif names.isdisjoint((f"{name}*", f"{name}*0*")):  # else it stands there in ASCII too
            kept.append(written(found["name"], _text(found), charset))
    return ";\r\n ".join(kept)


def _parameters(value: str, at: int) -> dict[str, str]:
    plain: dict[str, str] = {}
    pieces: dict[str, dict[int, tuple[str, bool]]] = {}
    for found, _ in _each(value, value.find(";", at)):
        name, text = found["name"].lower(), _text(found)
        extended = _EXTENDED.fullmatch(name) if "*" in name else None
        if extended is not None:
            number = int(extended[2] or 0)
            pieces.setdefault(extended[1], {}).setdefault(number, (text, bool(extended[3])))
        elif name:
            plain.setdefault(name, text)
    return {name: _joined(found) for name, found in pieces.items() if 0 in found} | plain


def _each(value: str, at: int) -> Iterator[tuple[re.Match[str], int]]:
    """Yield each parameter from ``at`` on, a semicolon, with where the next one begins."""
    while 0 <= at < len(value):
        found = _PARAMETER.match(value, at)
        assert found is not None  # it matches anything
        rest = _REST.match(value, found.end())
        assert rest is not None
        at = rest.end() if rest.end() > at else at + 1
        yield found, at


def _text(found: re.Match[str]) -> str:
    if found["quoted"] is not None:
        return _ESCAPED.sub(r"\1", found["quoted"])
    return (found["token"] or "").strip()


def _joined(pieces: dict[int, tuple[str, bool]]) -> str:
    """Return a value from its numbered pieces (RFC 2231 § 3); those behind a gap are lost."""
    found: list[bytes] = []
    charset = "utf-8"
    for number in range(len(pieces)):
        if number not in pieces:
            break
        text, encoded = pieces[number]
        if encoded and not number and text.count("'") >= 2:  # § 4: charset'language'text
            charset, _, text = text.split("'", 2)
        raw = text.encode("utf-8", "surrogateescape")
        found.append(unquote_to_bytes(raw) if encoded else raw)
    whole = b"".join(found)
    try:
        return whole.decode(charset or "us-ascii")
    except (LookupError, ValueError):
        return whole.decode("utf-8", "replace")
