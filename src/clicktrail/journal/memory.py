"""A journal in memory: the same contract, nothing durable. For tests and for trying things."""

import asyncio
from collections.abc import Sequence

from clicktrail.errors import JournalUnavailable
from clicktrail.journal import Entry
from clicktrail.model import Click


class MemoryShelf:
    """What outlives a `MemoryJournal`: two journals over one shelf are a writer and a reader."""

    def __init__(self) -> None:
        self.entries: dict[int, Entry] = {}
        self.last = 0
        self.changed = asyncio.Condition()


class MemoryJournal:
    """A `Journal` in memory. With ``broken`` set, nothing can be appended."""

    def __init__(self, shelf: MemoryShelf | None = None) -> None:
        self._shelf = shelf or MemoryShelf()
        self._read_to = 0
        self._closed = False
        self.broken = False

    async def append(self, *clicks: Click) -> None:
        """See `Journal.append`."""
        if self.broken or self._closed:
            raise JournalUnavailable("the journal is closed" if self._closed else "broken")
        shelf = self._shelf
        async with shelf.changed:
            for click in clicks:
                shelf.last += 1
                shelf.entries[shelf.last] = Entry(shelf.last, click)
            shelf.changed.notify_all()

    async def read(self, limit: int, wait: float) -> list[Entry]:
        """See `Journal.read`."""
        shelf = self._shelf
        try:
            async with asyncio.timeout(wait), shelf.changed:
                await shelf.changed.wait_for(lambda: shelf.last > self._read_to)
        except TimeoutError:
            pass
        new = [e for e in shelf.entries.values() if e.position > self._read_to][:limit]
        if new:
            self._read_to = new[-1].position
        return new

    async def commit(self, entries: Sequence[Entry]) -> None:
        """See `Journal.commit`."""
        for entry in entries:
            self._shelf.entries.pop(entry.position, None)

    async def close(self) -> None:
        """See `Journal.close`."""
        self._closed = True
