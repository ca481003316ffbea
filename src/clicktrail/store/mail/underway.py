"""What is known of emails between the smarthost and its answer, so that it is not read again."""

from collections.abc import Sequence
from itertools import chain, islice
from typing import NamedTuple

from clicktrail.model import Message
from clicktrail.store.clicks.cohorts import MOST_TAGS, Tag

LIMIT = 5000
"""Emails; of the oldest beyond that, the contents are read."""


class Known(NamedTuple):
    """What an email is counted by when it is sent."""

    contents: int
    """Hash of its contents: an erasing may have changed them meanwhile."""
    links: bool
    """Whether it has any."""
    tags: Sequence[Tag]
    """Different tags of its links."""


class Underway:
    """Remembers emails from when they are kept until they are finished, by their ids."""

    def __init__(self) -> None:
        self._known: dict[str, Known] = {}

    def add(self, message: Message, contents: bytes) -> None:
        """Remember an email that was kept."""
        every = chain.from_iterable([link.tags for link in message.links if link.tags])
        tags = tuple(islice(dict.fromkeys(every), MOST_TAGS))  # as `cohorts.names_of` has it
        try:
            "".join(chain.from_iterable(tags)).encode()
        except UnicodeEncodeError:  # it is kept in other words
            return
        while len(self._known) >= LIMIT:
            del self._known[next(iter(self._known))]
        self._known[message.id] = Known(hash(contents), bool(message.links), tags)

    def take(self, message_id: str) -> Known | None:
        """Forget an email, and return what was known of it."""
        return self._known.pop(message_id, None)
