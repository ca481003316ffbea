"""How many connections to the smarthost are open at once, and who gives way where all are held."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Protocol

from clicktrail.base.metrics import Metrics
from clicktrail.errors import SmarthostBusy

RESTING_SECONDS = 2.0
"""How long an email may be silent before its connection goes to one that waits for it."""


class Holder(Protocol):
    """Who holds a place."""

    def give_way(self) -> Coroutine[Any, Any, None]:
        """Go, to take a place again when it goes on; return what gives the place back."""
        ...


class Places:
    """``most`` places. Who waits for one gets that of the holder that has rested longest.

    So senders that fall silent within an email, or send it slowly, keep nobody else out.
    """

    def __init__(self, most: int, metrics: Metrics) -> None:
        self._most = most
        self._metrics = metrics
        self._free = asyncio.Semaphore(most)
        self._waiting = 0
        self._resting: dict[Holder, float] = {}
        """Since when; the longest first."""
        self._leaving: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None

    async def take(self, patience: float) -> None:
        """Take a place; wait for one as many seconds. Raises `SmarthostBusy`."""
        if not self._free.locked():
            await self._free.acquire()
            return
        self._waiting += 1
        self._look()
        try:
            async with asyncio.timeout(patience):
                await self._free.acquire()
        except TimeoutError:
            self._metrics.smarthost_waits.labels("busy").inc()
            raise SmarthostBusy(
                f"all {self._most} connections to the smarthost are in use (smarthost.connections)"
            ) from None
        finally:
            self._waiting -= 1
        self._metrics.smarthost_waits.labels("free").inc()

    def give_back(self) -> None:
        """Give a place back."""
        self._free.release()

    def rest(self, holder: Holder) -> None:
        """Let a holder give way from now on, until `wake`."""
        self._resting[holder] = asyncio.get_running_loop().time()
        if self._waiting:
            self._look()

    def wake(self, holder: Holder) -> None:
        """Let a holder keep its place."""
        self._resting.pop(holder, None)

    async def settle(self) -> None:
        """Return when nobody is giving way any more."""
        if self._leaving:
            await asyncio.wait(self._leaving)

    def _look(self) -> None:
        """Let as many give way as wait; look again when the next one has rested enough."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        loop = asyncio.get_running_loop()
        while self._waiting > len(self._leaving) and self._resting:
            holder, since = next(iter(self._resting.items()))
            left = since + RESTING_SECONDS - loop.time()
            if left > 0:
                self._timer = loop.call_later(left, self._look)
                return
            del self._resting[holder]
            self._metrics.smarthost_given_way.inc()
            leaving = loop.create_task(holder.give_way())
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)
