"""Makes a dictionary of what the contents of many people's emails have in common.

No person is in it: only what stood in the emails to at least `PEOPLE` recipients, whole texts or
pieces between the characters that part URLs and headers, and nothing of a text in which an address
stands or may be encoded. So whoever is erased is in no dictionary, and `recipients forget` need
not look there.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import msgspec

PEOPLE = 20
"""To so many different recipients a text must have gone."""
LIMIT = 32 * 1024
"""Bytes of a dictionary's texts."""
LONGEST = 2000
"""Characters of a text that are looked at."""
_LEAST = 4
"""Characters of a piece: shorter ones are not found in a dictionary."""
_NEW = 64
"""Characters that are in no email before, for which an email is worth its place."""

# What parts URLs and headers belongs to the piece before it.
_PIECE = re.compile(r"[^/?&=;,<>\s]*[/?&=;,<>\s]|[^/?&=;,<>\s]+$")
# In URLs, also those in URLs, and in encoded words (RFC 2047), letters are written otherwise.
_ADDRESS = re.compile(r"@|=\?|%40|%25")

_unpack = msgspec.msgpack.Decoder().decode
_pack = msgspec.msgpack.Encoder().encode


class Sample(NamedTuple):
    """An email to learn from: its first recipient, and its contents as MessagePack."""

    recipient: str
    content: bytes


class _Common:
    """Counts to how many recipients texts went, up to `PEOPLE`."""

    def __init__(self) -> None:
        self._people: dict[str, set[int]] = {}

    def add(self, texts: Iterable[str], person: int) -> None:
        for text in texts:
            people = self._people.setdefault(text, set())
            if len(people) < PEOPLE:
                people.add(person)

    def __contains__(self, text: str) -> bool:
        return len(self._people.get(text, ())) >= PEOPLE


def learn(emails: Iterable[Sample]) -> bytes:
    """Return texts that contents such as these have in common; ``b""`` where they have none.

    The time it takes grows with their bytes.
    """
    people: dict[str, int] = {}
    read = []
    for email in emails:
        person = people.setdefault(email.recipient.lower(), len(people))
        content = _unpack(email.content)
        read.append((person, content, set(_texts(content))))
    if len(people) < PEOPLE:
        return b""
    whole, pieces, runs = _Common(), _Common(), _Common()
    for person, _, texts in read:
        whole.add(texts, person)
    for _, _, texts in read:
        texts.difference_update([text for text in texts if text in whole])
    for person, _, texts in read:
        for text in texts:
            pieces.add(_PIECE.findall(text), person)
    for person, _, texts in read:
        for text in texts:
            runs.add(_runs(text, pieces), person)

    def common(text: str) -> str:
        if _ADDRESS.search(text):
            return ""
        text = text[:LONGEST]
        if text in whole:
            return text
        left = "".join(run for run in _runs(text, pieces) if run in runs)
        return "" if _ADDRESS.search(left) else left  # what was apart is together now

    return _joined(_mapped(content, common) for _, content, _ in read)


def _texts(value: Any) -> Iterator[str]:
    """Yield the texts in contents that may be in a dictionary."""
    if isinstance(value, str):
        if len(value) >= _LEAST and not _ADDRESS.search(value):
            yield value[:LONGEST]
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _texts(key)
            yield from _texts(item)


def _runs(text: str, pieces: _Common) -> list[str]:
    """Return what stands between those pieces of a text that are not common."""
    found, run = [], ""
    for piece in _PIECE.findall(text):
        if piece in pieces:
            run += piece
        else:
            found.append(run)
            run = ""
    return [run for run in (*found, run) if len(run) >= _LEAST]


def _joined(contents: Iterable[Any]) -> bytes:
    """Return as much of what is common in contents as is new and has room.

    As MessagePack, as it stands in emails: so that whole runs of links and headers are found.
    """
    found: list[bytes] = []
    known: set[str] = set()
    room = LIMIT
    for content in contents:
        new = [text for text in dict.fromkeys(_texts(content)) if text not in known]
        if sum(map(len, new)) < _NEW:
            continue
        packed = _pack(content)
        if len(packed) > room:
            packed = b"".join(map(_pack, new))
        if len(packed) <= room:
            known.update(new)
            found.append(packed)
            room -= len(packed)
    return b"".join(reversed(found))  # what most emails have is nearest


def _mapped(value: Any, common: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return common(value)
    if isinstance(value, list):
        return [_mapped(item, common) for item in value]
    if isinstance(value, dict):
        return {common(key): _mapped(item, common) for key, item in value.items()}
    return value
