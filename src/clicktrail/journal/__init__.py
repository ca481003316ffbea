"""The journal: every click is written here, durably, before the person is sent on.

It is a queue between the redirect (which appends) and the publisher (which reads, and commits
what it has put into the store). Delivery is at least once: after a crash an entry may be read
again; its click has the same event id, and the store counts it once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from clicktrail.errors import ClicktrailError
from clicktrail.model import Click


@dataclass(frozen=True, slots=True)
class Entry:
    """A click in the journal. ``position`` grows in the order in which clicks became durable."""

    position: int
    click: Click


class ClicksTooLarge(ClicktrailError):
    """The journal takes no click as large as ``clicks``; all others of the call are in it."""

    def __init__(self, clicks: Sequence[Click], why: str) -> None:
        """``why`` tells the limit, and whose it is."""
        super().__init__(why)
        self.clicks = clicks


class Journal(Protocol):
    """Where clicks are kept between the redirect and the store.

    Any number of processes may append; one reads, or several where the journal is a broker's.
    """

    async def append(self, *clicks: Click) -> None:
        """Write clicks; returns when they are durable. With none, sees whether it could.

        Raises `JournalUnavailable` when they cannot be written now; some may have been all the
        same. When it is cancelled, they may be written all the same. Raises `ClicksTooLarge`.
        """
        ...

    async def read(self, limit: int, wait: float) -> list[Entry]:
        """Return up to ``limit`` entries that this reader has not read yet, the oldest first.

        Waits up to ``wait`` seconds for the first one, and then returns ``[]``.
        Raises `JournalUnavailable`.
        """
        ...

    async def commit(self, entries: Sequence[Entry]) -> None:
        """Say that these entries are dealt with: the journal may forget them.

        Entries that were read and not committed are read again by the next reader.
        """
        ...

    async def close(self) -> None:
        """Finish what was accepted, and let go of files and connections."""
        ...
