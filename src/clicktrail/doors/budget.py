"""How much of what strangers send is held in memory at once."""

import asyncio
from typing import Self

from clicktrail.doors.forwarded import network_of

FREE = 64 * 1024
"""So many bytes each may hold beside the budget: what is small is never kept waiting by what is
large, and the number of connections bounds it.
"""


class Budget:
    """Bytes that may be held at once, and by one client not more than half of them.

    ``largest`` is the largest single thing: it always fits in when nothing else is held.
    """

    def __init__(self, most: int, largest: int) -> None:
        self._most = max(most, largest)
        self._for_one = max(self._most // 2, largest)
        self._held = 0
        self._held_by: dict[str, int] = {}
        self._freed: set[asyncio.Event] = set()

    @property
    def held(self) -> int:
        """How many bytes are held now."""
        return self._held

    def share(self, address: str) -> "Share":
        """Return a share, of nothing yet, for the client at an address."""
        return Share(self, network_of(address))

    def _take(self, amount: int, whose: str) -> bool:
        own = self._held_by.get(whose, 0)
        if self._held + amount > self._most or own + amount > self._for_one:
            return False
        self._held += amount
        self._held_by[whose] = own + amount
        return True

    def _give_back(self, amount: int, whose: str) -> None:
        self._held -= amount
        left = self._held_by[whose] - amount
        if left:
            self._held_by[whose] = left
        else:
            del self._held_by[whose]
        for event in self._freed:
            event.set()

    async def _until_freed(self) -> None:
        event = asyncio.Event()
        self._freed.add(event)
        try:
            await event.wait()
        finally:
            self._freed.discard(event)


class Share:
    """What one client holds. Use as a context manager, or call `close`."""

    def __init__(self, budget: Budget, whose: str) -> None:
        self._budget = budget
        self._whose = whose
        self._size = 0
        self._taken = 0

    def grow(self, by: int) -> bool:
        """Hold so many bytes more; ``False`` where there is no room for them."""
        size = self._size + by
        more = max(0, size - FREE) - self._taken
        if more > 0:
            if not self._budget._take(more, self._whose):
                return False
            self._taken += more
        self._size = size
        return True

    async def wait_to_grow(self, by: int, seconds: float) -> bool:
        """Hold so many bytes more when there is room; ``False`` where there is none for so long."""
        try:
            async with asyncio.timeout(seconds):
                while not self.grow(by):
                    await self._budget._until_freed()
        except TimeoutError:
            return False
        return True

    def close(self) -> None:
        """Hold nothing any more."""
        if self._taken:
            self._budget._give_back(self._taken, self._whose)
        self._size = self._taken = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
