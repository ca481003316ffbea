"""Deletes what is older than it has to be kept: little by little, so that nobody has to wait."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

import structlog

from clicktrail.errors import ClicktrailError
from clicktrail.ids import now_us
from clicktrail.store import Store

log = structlog.get_logger(__name__)

DAY = 86_400_000_000
EVERY_SECONDS = 3600.0
FIRST_SECONDS = 10.0
"""How long after the start to look first. After a crash the publisher reads some clicks of the
journal again, which the store knows and does not count again: so it must still know them, however
old they are by now."""
BATCH = 200
"""Rows deleted in one transaction."""
PAUSE_SECONDS = 0.01
"""The shortest pause between two of them. It is as long as the one before took: others, who are
answering emails and clicks, have at least half of the time to write."""


@dataclass(frozen=True, slots=True)
class Periods:
    """How many days each is kept; 0 is for ever."""

    messages: int = 60
    """Contents of emails: addresses, headers, links."""
    clicks: int = 60
    events: int = 60
    """Built-in streams and dead letters."""
    hours: int = 100
    """Numbers by the hour; those by the day are kept for ever."""


class Retention:
    """Looks once an hour for what is too old. Links work on, and what was counted stays."""

    def __init__(self, store: Store, periods: Periods, first: float = FIRST_SECONDS) -> None:
        """``first`` is how many seconds after `start` it looks first."""
        self._store = store
        self._periods = periods
        self._first = first
        self._stopping = asyncio.Event()
        self._running: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin in the background."""
        self._running = asyncio.create_task(self._run(), name="retention")

    async def stop(self) -> None:
        """End after the transaction at hand."""
        self._stopping.set()
        if self._running is not None:
            await self._running

    async def apply(self, now: int) -> dict[str, int]:
        """Delete what is too old at a time; return how many of each. Raises `StoreUnavailable`."""
        store, periods = self._store, self._periods
        jobs: dict[str, tuple[int, Callable[[int, int], Awaitable[int]]]] = {
            "messages": (periods.messages, store.messages.forget),
            "clicks": (periods.clicks, store.clicks.forget),
            "events": (periods.events, store.streams.forget),
            "dead letters": (periods.events, store.outbox.forget),
            "deliveries": (periods.events, store.outbox.forget_delivered),
            "mailings": (periods.messages, store.mailings.forget),
            "hours": (periods.hours, store.statistics.forget_hours),
        }
        done: dict[str, int] = {}
        for name, (days, forget) in jobs.items():
            count = await self._all(forget, now - days * DAY) if days else 0
            if count:
                done[name] = count
        return done

    async def _all(self, forget: Callable[[int, int], Awaitable[int]], before: int) -> int:
        total = 0
        while not self._stopping.is_set():
            began = time.monotonic()
            count = await forget(before, BATCH)
            total += count
            if count < BATCH:
                break
            await self._pause(max(PAUSE_SECONDS, time.monotonic() - began))
        return total

    async def _run(self) -> None:
        await self._pause(self._first)
        while not self._stopping.is_set():
            try:
                if done := await self.apply(now_us()):
                    log.info("deleted what was too old", **done)
            except ClicktrailError as error:
                log.warning("what is too old could not be deleted", error=str(error))
            except Exception:  # a fault of ours must not end the publisher
                log.exception("what is too old could not be deleted")
            await self._pause(EVERY_SECONDS)

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
