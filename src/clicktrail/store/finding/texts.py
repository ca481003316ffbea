"""What emails are found by: what is written in them, and what people type to find it.

All of it is folded alike: upper and lower case, and composed and decomposed letters (NFC), are the
same.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Self

from clicktrail.base.text.normal import normalized
from clicktrail.errors import InvalidInput
from clicktrail.headers.words import decoded_words
from clicktrail.model import Message, Reason
from clicktrail.store.database.core import storable
from clicktrail.store.mail.grouping import SUBJECT_LIMIT, mailings_of, subject_of

GRAM = 3
"""Characters of which databases know where they are: shorter pieces are looked for one by one."""
MOST_PIECES = 20
"""So much an email can be looked for by: each is a part of the database's query."""
LINE_LIMIT = 1000
"""Characters of one address, subject or tag that are indexed."""
MOST_WHOLES = 50
"""Addresses and Message-IDs of an email that are found as wholes."""
LIMIT = 8192
"""Characters of an email that are indexed."""

_WHOLE = "whole"
_HEADERS = ("to", "cc", "from", "message-id")
_SCHEME = re.compile(r"https?://", re.IGNORECASE)
_URL = re.compile(r"[a-z]+://(?:[^/?#@]*@)?([^?#]*)", re.IGNORECASE)
_BEHIND_PATH = re.compile(r"(?<=[^?#])[?#].*", re.DOTALL)
# From the beginning of a run of such characters: from each of them, it would take the square of it.
_ADDRESS = re.compile(r"(?<![^\s<>,;:\"])[^\s<>,;:\"]+@[^\s<>,;\"]+")
_ENDS = "<>,;\"'()«»“”„"


class Clicked(StrEnum):
    """What became of an email's links."""

    YES = "clicked"
    """One of them was clicked, by whomever."""
    NO = "not-clicked"
    UNTRACKED = "not-tracked"


@dataclass(frozen=True, slots=True)
class Query:
    """What emails must have, all of it. Nothing is told apart by upper and lower case."""

    pieces: tuple[str, ...] = ()
    """Each is somewhere in an address, the subject, a tag, a link or the Message-ID."""
    wholes: tuple[str, ...] = ()
    """Each is one of its addresses, or ``@`` with the domain of one, or its Message-ID."""
    configuration_set: str | None = None
    identity: str | None = None
    clicked: Clicked | None = None
    since: int = 0
    """Clicked at this time (microseconds) or later; with ``Clicked.YES``."""
    mailing: bytes | None = None
    """The digest of a mailing that it belongs to."""
    reason: Reason | None = None
    """Why it is not tracked."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what a person typed: pieces between white space.

        A URL may have its scheme or not, a Message-ID its angle brackets. Raises `InvalidInput`
        for more than `MOST_PIECES`.
        """
        pieces = []
        for typed in text.split():
            piece = _SCHEME.sub("", folded(storable(typed)).strip(_ENDS))
            if piece and piece not in pieces:
                pieces.append(piece)
            if len(pieces) > MOST_PIECES:
                raise InvalidInput(
                    f"that is too much to look for: give at most {MOST_PIECES} words"
                )
        return cls(tuple(pieces))

    def indexed(self) -> list[str]:
        """Return what of the pieces the database can look for: the texts hold these too."""
        heads = (_BEHIND_PATH.sub("", piece) for piece in self.pieces)
        parts = (part for head in heads for part in head.split("/"))
        return list(dict.fromkeys(part[:LINE_LIMIT] for part in parts if len(part) >= GRAM))

    def facets(self) -> list[int]:
        """Return what emails must be marked with (`facets_of`)."""
        wholes = [facet(_WHOLE, each) for each in self.wholes]
        return wholes + [
            facet(kind, value)
            for kind, value in (
                ("set", self.configuration_set),
                ("identity", self.identity),
                ("reason", self.reason),
                ("mailing", self.mailing.hex() if self.mailing else ""),
            )
            if value
        ]

    def matches(self, message: Message) -> bool:
        """Whether all pieces are in an email, and it in the mailing."""
        if self.mailing and self.mailing not in {key.digest for key in mailings_of(message)}:
            return False
        if self.wholes and not set(self.wholes) <= set(wholes_of(message)):
            return False
        if not self.pieces:
            return True
        text = _whole_text(message)
        return all(piece in text for piece in self.pieces)

    def __bool__(self) -> bool:
        return self != type(self)()


def text_of(message: Message) -> str:
    """Return what an email is indexed by: a line for each thing, none of them twice.

    Of URLs there are host and the segments of the path: what follows is of one recipient, often.
    """
    lines = [line[:LINE_LIMIT] for line in _own(message)]
    for link in message.links:
        lines += _segments(link.url.partition("?")[0])
        if link.tags:
            lines += [f"{name}={value}"[:LINE_LIMIT] for name, value in link.tags]
    return folded(storable("\n".join(dict.fromkeys(lines))[:LIMIT]))


def facets_of(message: Message) -> list[int]:
    """Return marks of an email, by which whole kinds of emails are found."""
    identity = message.identity.name if message.identity else ""
    pairs = (("set", message.configuration_set), ("identity", identity), ("reason", message.reason))
    found = [facet(kind, value) for kind, value in pairs if value]
    found += [facet(_WHOLE, each) for each in wholes_of(message)]
    return found + [facet("mailing", key.digest.hex()) for key in mailings_of(message)]


def wholes_of(message: Message) -> list[str]:
    """Return addresses, ``@`` with their domains, and the Message-ID, folded."""
    addresses, ids = list(message.recipients), []
    for name, value in message.headers:
        field = name.lower()
        if field == "message-id":
            ids.append(value[:SUBJECT_LIMIT].strip().strip(_ENDS))
        elif field in _HEADERS:
            addresses += _ADDRESS.findall(value[:SUBJECT_LIMIT])
    whole = [folded(storable(each[:LINE_LIMIT])) for each in (*ids, *addresses)[:MOST_WHOLES]]
    domains = ("@" + each.rpartition("@")[2] for each in whole[len(ids) :])
    return [each for each in dict.fromkeys((*whole, *domains)) if "@" in each]


@lru_cache(10_000)
def facet(kind: str, value: str) -> int:
    """Return the 64 bits that stand for a mark, with a sign as databases have it."""
    raw = f"{kind}\0{value}".encode("utf-8", "replace")
    return int.from_bytes(hashlib.blake2b(raw, digest_size=8).digest(), signed=True)


def folded(text: str) -> str:
    """Return a text as it is compared."""
    if text.isascii():
        return text.lower()
    return normalized("NFC", normalized("NFC", text).casefold())


def _own(message: Message) -> Iterator[str]:
    """Yield what is no link's."""
    named = [" ".join(value.split()) for value in _values(message.headers)]
    yield from named
    beside = "\n".join(named)
    for address in (*message.recipients, message.source):
        if address not in beside:
            yield address
    yield subject_of(message.headers)
    for name, values in message.tags.items():
        for value in values:
            yield f"{name}={value}"


def _values(headers: Iterable[tuple[str, str]]) -> Iterator[str]:
    for name, value in headers:
        if name.lower() in _HEADERS:
            text = value[:SUBJECT_LIMIT]
            yield decoded_words(text) if "=?" in text else text


@lru_cache(10_000)
def _segments(url: str) -> tuple[str, ...]:
    found = _URL.match(url[:LINE_LIMIT])
    return tuple(part for part in found[1].split("/") if len(part) >= GRAM) if found else ()


def _whole_text(message: Message) -> str:
    """Return all that may be looked for; URLs are whole."""
    tags = (f"{name}={value}" for link in message.links for name, value in link.tags)
    urls = (_SCHEME.sub("", link.url, count=1) for link in message.links)
    return folded(storable("\n".join((*_own(message), *tags, *urls))))
