"""The challenges that authorities look at now, whichever node ordered."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from clicktrail.store.certificates import Challenge


class Challenges:
    """Reads them when somebody asks: one read at a time, however many ask.

    ``read`` may raise a `ClicktrailError`, as may `current` and `key_authorization` then.
    """

    def __init__(self, read: Callable[[], Awaitable[Sequence[Challenge]]]) -> None:
        self._read = read
        self._turn = asyncio.Lock()
        self._asked = self._known = 0
        self._last: Sequence[Challenge] = ()

    async def current(self) -> Sequence[Challenge]:
        """Return all, as they are now."""
        self._asked += 1
        asked = self._asked
        async with self._turn:
            if self._known < asked:  # else it was read after the question came
                known = self._asked
                self._last = await self._read()
                self._known = known
            return self._last

    async def key_authorization(self, token: str) -> str | None:
        """Return what is answered for a token over http (RFC 8555 § 8.3)."""
        for each in await self.current():
            if each.kind == "http-01" and each.token == token:
                return each.key_authorization
        return None
