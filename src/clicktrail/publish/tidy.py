"""Empties the store's log when nobody writes: it holds earlier states of what was deleted since."""

import asyncio
from contextlib import suppress

from clicktrail.base.logs import get_logger
from clicktrail.errors import ClicktrailError
from clicktrail.store import Store

log = get_logger(__name__)

LOOK_SECONDS = 2.0
"""How often to look; nobody has written when two looks find the same."""


class Tidy:
    """Looks after the store now and then, so that what was deleted is gone from its files, too."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._stopping = asyncio.Event()
        self._running: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin in the background."""
        self._running = asyncio.create_task(self._run(), name="tidy")

    async def stop(self) -> None:
        """End."""
        self._stopping.set()
        if self._running is not None:
            await self._running

    async def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                await self._store.tidy()
            except ClicktrailError as error:
                log.debug("the store's log was not emptied", reason=error)
            except Exception:  # a fault of ours must not end the publisher
                log.exception("the store's log was not emptied")
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._stopping.wait()
