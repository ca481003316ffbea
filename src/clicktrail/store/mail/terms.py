"""What emails are found by, and grouped by: recipient, domain, words of the subject, tags.

A term is kept as 8 bytes of its digest, a mailing as 16.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice

from sqlalchemy import Connection, bindparam, delete

from clicktrail.errors import InvalidInput
from clicktrail.headers.words import decoded_words
from clicktrail.model import Message, Tags, domain_of
from clicktrail.store.database.bulk import BulkInsert
from clicktrail.store.database.core import storable
from clicktrail.store.mail.tables import message_terms

MOST_TERMS = 20
"""So many an email can be looked for by: each is a part of the database's query."""
MOST_WORDS = 32
MOST_TAGS = 20
MOST_ADDRESSES = 100
MAILING_TAGS = 5
"""So many of an email's tags make mailings."""
MOST_IDS = 8
NAME_LIMIT = 998
SUBJECT_LIMIT = 8192
"""Characters of a subject that are read, before they are decoded."""
_WORD = re.compile(r"\w+")
# From the beginning of a run of such characters: from each of them, it would take the square of it.
_ADDRESS = re.compile(r"(?<![^\s<>,;:\"])[^\s<>,;:\"]+@[^\s<>,;\"]+")


@dataclass(frozen=True, slots=True)
class Query:
    """What emails must have, all of it. Nothing is told apart by upper and lower case."""

    recipients: tuple[str, ...] = ()
    """Addresses, or ``@example.com`` for a domain."""
    words: tuple[str, ...] = ()
    """Whole words of the subject."""
    tags: tuple[tuple[str, str], ...] = ()
    message_ids: tuple[str, ...] = ()
    """Values of the Message-ID header, without angle brackets."""
    configuration_set: str | None = None
    identity: str | None = None

    @classmethod
    def parse(cls, text: str) -> "Query":
        """Read what a person typed: addresses, ``name=value``, ``<message-id>``, words.

        Raises `InvalidInput` for more than `MOST_TERMS`.
        """
        recipients, words, tags, message_ids = [], [], [], []
        for piece in text.split():
            name, equals, value = piece.partition("=")
            if piece.startswith("<") and piece.endswith(">") and "@" in piece:
                message_ids.append(piece[1:-1])
            elif equals and name and "@" not in name:
                tags.append((name, value))
            elif "@" in piece:
                recipients.append(piece.strip("<>,;"))
            else:
                words += _words(piece)
        if len(recipients) + len(words) + len(tags) + len(message_ids) > MOST_TERMS:
            raise InvalidInput(f"that is too much to look for: give at most {MOST_TERMS} words")
        return cls(tuple(recipients), tuple(words), tuple(tags), tuple(message_ids))

    def terms(self) -> list[int]:
        """Return its terms."""
        return sorted(
            {
                *(_recipient(address) for address in self.recipients),
                *(_term("word", word) for word in self.words),
                *(_tag(*tag) for tag in self.tags),
                *(_term("id", each) for each in self.message_ids),
                *_places(self.configuration_set, self.identity),
            }
        )


@dataclass(frozen=True, slots=True)
class MailingKey:
    """What a mailing's emails share. ``kind`` is ``subject`` or ``tag``."""

    kind: str
    name: str
    """The subject, or ``name=value``."""
    configuration_set: str

    @property
    def digest(self) -> bytes:
        """The 16 bytes that stand for it."""
        return _digest("\0".join((self.kind, self.configuration_set, self.name)), 16)


def mailings_of(message: Message) -> list[MailingKey]:
    """Return the mailings that an email belongs to; none where it is not tracked."""
    if not message.links:
        return []
    name = message.configuration_set or ""
    subject = storable(subject_of(message.headers))[:NAME_LIMIT]
    found = [MailingKey("subject", subject, name)] if subject else []
    pairs = _pairs(message.tags)[:MAILING_TAGS]
    return found + [MailingKey("tag", storable(f"{k}={v}")[:NAME_LIMIT], name) for k, v in pairs]


def subject_of(headers: Iterable[tuple[str, str]]) -> str:
    """Return the subject as people read it; ``""`` where there is none."""
    found = (value for name, value in headers if name.lower() == "subject")
    text = next(found, "")[:SUBJECT_LIMIT]
    return " ".join((decoded_words(text) if "=?" in text else text).split())


def terms_of(message: Message) -> list[int]:
    """Return what an email is found by, in order."""
    found = {_term("word", word) for word in _words(subject_of(message.headers))[:MOST_WORDS]}
    named = islice(chain(message.recipients, _named(message.headers)), MOST_ADDRESSES)
    for address in named:
        found |= {_recipient(address), _recipient("@" + domain_of(address))}
    found.update(_tag(*pair) for pair in _pairs(message.tags)[:MOST_TAGS])
    found.update(
        _places(message.configuration_set, message.identity.name if message.identity else None)
    )
    own = (value for name, value in message.headers if name.lower() == "message-id")
    found.update(_term("id", value.strip().strip("<>")) for value in islice(own, MOST_IDS))
    return sorted(found)


def forget_terms(connection: Connection, gone: Iterable[Message]) -> None:
    """Let emails no longer be found, within a transaction."""
    places = [{"of": term, "id": message.id} for message in gone for term in terms_of(message)]
    if places:
        connection.execute(_FORGET, places)


def add_terms(connection: Connection, found: Iterable[tuple[Message, list[int]]]) -> None:
    """Let emails be found by terms, within a transaction."""
    rows = sorted((term, message.id) for message, terms in found for term in terms)
    _ADD_TERMS.run(connection, rows)


_ADD_TERMS = BulkInsert(message_terms, finish=lambda s: s.on_conflict_do_nothing())
_FORGET = delete(message_terms).where(
    message_terms.c.term == bindparam("of"), message_terms.c.message_id == bindparam("id")
)


def _named(headers: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Yield the addresses that stand in To and Cc: also of emails that nobody took."""
    for name, value in headers:
        if name.lower() in ("to", "cc"):
            for found in _ADDRESS.finditer(value):
                yield found[0]


def _places(configuration_set: str | None, identity: str | None) -> list[int]:
    found = [_term("set", configuration_set)] if configuration_set else []
    return found + ([_term("identity", identity)] if identity else [])


def _recipient(address: str) -> int:
    return _term("to", address.strip().lower())


def _tag(name: str, value: str) -> int:
    return _term("tag", f"{name}={value}")


def _term(kind: str, text: str) -> int:
    """Return the number that stands for a term: 64 bits, with a sign as databases have it."""
    return int.from_bytes(_digest(f"{kind}\0{text.casefold()}", 8), signed=True)


def _digest(text: str, size: int) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=size).digest()


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


def _pairs(tags: Tags) -> list[tuple[str, str]]:
    return [(name, value) for name, values in tags.items() for value in values]
