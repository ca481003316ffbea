"""Where the header of an email begins and ends, and what its fields are (RFC 5322 § 2.2).

The one reader of it: what is rewritten, who sends, and which fields are for us all depend on it.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from clicktrail.model import Header

HEADER_LIMIT = 256 * 1024
"""Bytes of a header; Exchange Online takes no more either."""

# RFC 5322 § 2.2: a name of printable characters but the colon. White space before the colon is
# obsolete syntax (§ 4.5) and still sent.
FIELD = re.compile(rb"([!-9;-~]++)[ \t]*+:([^\r\n]*+(?>(?:\r?\n[ \t][^\r\n]*+)*))(?:\r?\n|\r?\Z)")
_BLANK = re.compile(rb"\r?\n")
# Some readers take a lone CR for the end of a line.
_LINE = re.compile(rb"[^\r\n]*+(?:\r\n|\r|\n|\Z)")
# RFC 4155: what stands before each email of a mailbox file. "From :" is a field.
_MAILBOX_LINE = re.compile(rb"From (?![ \t]*:)[^\r\n]*? \d{1,2} \d\d:\d\d[^\r\n]*+\r?\n")
_MAILBOX_LINE_LIMIT = 998
_FOLD = re.compile(r"\r?\n(?=[ \t])")


class HeaderTooLong(ValueError):
    """The header has more than `HEADER_LIMIT` bytes."""


@dataclass(frozen=True, slots=True)
class HeaderSection:
    """The header of an email. Offsets are in bytes."""

    fields: tuple[Header, ...]
    """In order, as sent: names, and values unfolded; RFC 2047 words stay undecoded."""
    end: int
    """Where the blank line is, or the email ends."""
    doubt: str = ""
    """Why others may read other fields in it; empty where nobody can."""
    spans: tuple[tuple[int, int], ...] = ()
    """Where each field begins and ends, with the end of its line."""
    by_name: Mapping[str, list[str]] = field(default_factory=dict, compare=False)
    """The values of fields by their names in lower case."""

    def values(self, name: str) -> list[str]:
        """Return the values of all fields of a name (in lower case), without space around them."""
        return [value.strip() for value in self.by_name.get(name, ())]

    def value(self, name: str) -> str:
        """Return the value of the first field of a name (in lower case), or ``""``."""
        found = self.by_name.get(name)
        return found[0].strip() if found else ""

    def without(self, raw: bytes, names: Collection[str]) -> bytes:
        """Return the email of this header without these fields (names in lower case)."""
        kept: list[bytes] = []
        done = 0
        for (name, _), (start, end) in zip(self.fields, self.spans, strict=True):
            if name.lower() in names:
                kept.append(raw[done:start])
                done = end
        return b"".join((*kept, raw[done:])) if kept else raw


def first_field(raw: bytes) -> int:
    """Return where the header begins: behind the line of a mailbox file, if there is one."""
    if not raw.startswith(b"From "):
        return 0
    found = _MAILBOX_LINE.match(raw, 0, _MAILBOX_LINE_LIMIT)
    return found.end() if found else 0


def read_header(raw: bytes) -> HeaderSection:
    """Return the header of an email, up to the blank line.

    A line that is no field is passed over, since some receivers do so and others do not; then
    there is a `HeaderSection.doubt`. Raises `HeaderTooLong`.
    """
    fields: list[Header] = []
    spans: list[tuple[int, int]] = []
    by_name: dict[str, list[str]] = {}
    doubt = ""
    end = start = first_field(raw)
    last = start + HEADER_LIMIT
    for found in _lines(raw, start):
        begin, end = found.span()
        if end > last:
            raise HeaderTooLong(f"the header has more than {HEADER_LIMIT} bytes")
        if found.re is FIELD:
            written, content = found.groups()
            name, value = written.decode("ascii"), unfolded(content).strip(" \t")
            fields.append((name, value))
            spans.append((begin, end))
            by_name.setdefault(name.lower(), []).append(value)
        elif not doubt:
            number = raw.count(b"\n", 0, begin) + 1
            doubt = f"line {number} of the header is no header field"
    if not doubt and raw[end - 2 : end + 2] != b"\r\n\r\n" and end < len(raw) and fields:
        # RFC 5321 § 2.3.8: to some only CRLF ends a line, so that the blank line is not one.
        lone = b"\r\n" not in raw[start:end] and raw[end - 1 : end + 1] == b"\n\n"
        doubt = "" if lone else "lines of the header end in different ways"
    return HeaderSection(tuple(fields), end, doubt, tuple(spans), by_name)


def without_fields(raw: bytes, names: Collection[str]) -> bytes:
    """Return an email without these fields of its header (names in lower case).

    Where the header has been read, `HeaderSection.without` takes less.
    """
    kept: list[bytes] = []
    done = 0
    for found in _lines(raw, first_field(raw)):
        if found.re is FIELD and found[1].decode("ascii").lower() in names:
            kept.append(raw[done : found.start()])
            done = found.end()
    return b"".join((*kept, raw[done:])) if kept else raw


def unfolded(value: bytes) -> str:
    """Return a value without its line breaks; UTF-8 where it is valid, else Latin-1."""
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        text = value.decode("latin-1")
    return _FOLD.sub("", text) if "\n" in text else text


def _lines(raw: bytes, at: int) -> Iterator[re.Match[bytes]]:
    """Yield the fields of a header, and each line that is none, as matches."""
    while at < len(raw):
        found = FIELD.match(raw, at)
        if found is None:
            if _BLANK.match(raw, at):
                return
            found = _LINE.match(raw, at)
            assert found is not None  # it matches anything
        yield found
        at = found.end()
