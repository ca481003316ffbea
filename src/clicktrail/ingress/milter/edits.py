"""What a mail server is asked to change of an email, so that it becomes the one that goes on."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from clicktrail.ingress.milter.protocol import changed_header, inserted_header, replaced_body

Field = tuple[bytes, bytes]
"""A header as the protocol has it: name, and value with its folds as LF, without the last one."""

OWN = 1
"""Headers that the mail server puts above what it shows: its own ``Received``.

Places of headers to be inserted count it, those of headers to be changed do not.
"""

_FIELD = re.compile(rb"([^:\n]*):([^\n]*(?:\n[ \t][^\n]*)*)(?:\n|\Z)")


def joined(fields: Sequence[Field]) -> bytes:
    """Return the header of an email, with CRLF, and the blank line behind it."""
    lines = b"".join([b"%b:%b\n" % field for field in fields])
    return lines.replace(b"\n", b"\r\n") + b"\r\n"


def edits(
    fields: Sequence[Field], body: bytes, outgoing: bytes, *, spaced: bool
) -> Iterator[bytes]:
    """Yield the packets that make ``outgoing`` of a header and a body.

    ``spaced`` tells that values have their leading space; else the mail server puts one there.
    """
    start = 2 if outgoing.startswith(b"\r\n") else outgoing.index(b"\r\n\r\n") + 4
    after = [
        (found[1], found[2] if spaced else found[2].removeprefix(b" "))
        for found in _FIELD.finditer(outgoing[: start - 2].replace(b"\r\n", b"\n"))
    ]
    if not spaced:
        fields = [(name, value.removeprefix(b" ")) for name, value in fields]
    if list(fields) != after:
        yield from header_edits(fields, after)
    if len(outgoing) - start != len(body) or not outgoing.endswith(body):
        yield from replaced_body(outgoing[start:])


def header_edits(before: Sequence[Field], after: Sequence[Field]) -> Iterator[bytes]:
    """Yield the packets that make one header of another.

    Whatever the two are, the result is right; it is short where fields were removed, changed in
    their place, or put between others.
    """
    old, new = set(before), set(after)
    number: Counter[bytes] = Counter(name.lower() for name, _ in before)
    inserted: list[int] = []
    i, j = len(before) - 1, len(after) - 1
    # From the last on: what is removed then moves no number that is still to come.
    while i >= 0 or j >= 0:
        if i >= 0 and j >= 0 and before[i] == after[j]:
            number[before[i][0].lower()] -= 1
            i, j = i - 1, j - 1
        elif i >= 0 and (j < 0 or before[i] not in new):
            name = before[i][0]
            key = name.lower()
            same = j >= 0 and after[j][0] == name and after[j] not in old and after[j][1]
            yield changed_header(number[key], name, after[j][1] if same else b"")
            number[key] -= 1
            i, j = i - 1, j - 1 if same else j
        else:
            inserted.append(j)
            j -= 1
    for place in reversed(inserted):
        yield inserted_header(OWN + place, *after[place])
