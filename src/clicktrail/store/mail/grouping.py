"""What groups emails into mailings: subject and tags."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from clicktrail.headers.words import decoded_words
from clicktrail.model import Message
from clicktrail.store.database.core import storable

MAILING_TAGS = 5
"""So many of an email's tags make mailings."""
NAME_LIMIT = 998
SUBJECT_LIMIT = 8192
"""Characters of a subject that are read, before they are decoded."""


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
        text = "\0".join((self.kind, self.configuration_set, self.name))
        return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def mailings_of(message: Message) -> list[MailingKey]:
    """Return the mailings that an email belongs to; none where it is not tracked."""
    if not message.links:
        return []
    name = message.configuration_set or ""
    subject = storable(subject_of(message.headers))[:NAME_LIMIT]
    found = [MailingKey("subject", subject, name)] if subject else []
    pairs = [(name, value) for name, values in message.tags.items() for value in values]
    tags = [storable(f"{k}={v}")[:NAME_LIMIT] for k, v in pairs[:MAILING_TAGS]]
    return found + [MailingKey("tag", tag, name) for tag in tags]


def subject_of(headers: Iterable[tuple[str, str]]) -> str:
    """Return the subject as people read it; ``""`` where there is none."""
    found = (value for name, value in headers if name.lower() == "subject")
    text = next(found, "")[:SUBJECT_LIMIT]
    return " ".join((decoded_words(text) if "=?" in text else text).split())
