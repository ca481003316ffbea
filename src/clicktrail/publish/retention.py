"""Deletes what is older than it has to be kept: little by little, so that nobody has to wait."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from clicktrail.base.ids import now_us
from clicktrail.base.logs import get_logger
from clicktrail.errors import ClicktrailError
from clicktrail.store import Store
from clicktrail.store.finding.damage import IndexDamaged

log = get_logger(__name__)

DAY = 86_400_000_000
EVERY_SECONDS = 3600.0
FIRST_SECONDS = 10.0
"""How long after the start to look first. After a crash the publisher reads some clicks of the
journal again, which the store knows and does not count again: so it must still know them, however
old they are by now."""
BATCH = 200
"""Rows deleted in one transaction."""
COMPACT_SECONDS = 86400.0
"""How often the index of what was deleted is written anew, where something was."""
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
    evidence: int = 7
    """What the clicks of an email say of one another, from when it was accepted."""
    crowds: int = 1
    """What clicks from one network say of one another, from when their emails were accepted."""
    origins: int = 0
    """Where emails belong, and which of their links were clicked; never shorter than emails and
    clicks themselves."""

    def __post_init__(self) -> None:
        """Keep origins for as long as what needs them."""
        others = (self.messages, self.clicks)
        origins = max(self.origins, *others) if self.origins and all(others) else 0
        object.__setattr__(self, "origins", origins)


Forget = Callable[[int, int], Awaitable[int]]
"""Deletes up to so many rows from before a time; returns how many."""


@dataclass(frozen=True, slots=True)
class _Job:
    name: str
    days: int
    forget: Forget
    partitions: str = ""
    """Which of `clicktrail.store.database.partitions.BY_DAY` go at once, where there are any."""


class Retention:
    """Looks once an hour for what is too old. Links work on, and what was counted stays."""

    def __init__(self, store: Store, periods: Periods, first: float = FIRST_SECONDS) -> None:
        """``first`` is how many seconds after `start` it looks first."""
        self._store = store
        self._periods = periods
        self._first = first
        self._compacted = -COMPACT_SECONDS
        """When, on the monotonic clock."""
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
        """Delete what is too old at a time; return how many of each. Raises `StoreUnavailable`.

        Where the store has tables by day, these are dropped as a whole, and made for days to come.
        """
        store, periods = self._store, self._periods
        await store.partitions.make(now)
        jobs = (
            _Job("messages", periods.messages, store.messages.forget, "messages"),
            _Job("clicks", periods.clicks, store.clicks.forget, "clicks"),
            _Job("opens", periods.clicks, store.opens.forget),
            _Job("unsubscribes", periods.clicks, store.unsubscribes.forget),
            _Job("evidence", periods.evidence, store.clicks.forget_evidence),
            _Job("crowds", periods.crowds, store.clicks.forget_crowds),
            _Job("origins", periods.origins, store.messages.forget_origins, "origins"),
            _Job("events", periods.events, store.streams.forget),
            _Job("dead letters", periods.events, store.outbox.forget),
            _Job("deliveries", periods.events, store.outbox.forget_delivered, "events"),
            _Job("mailings", periods.messages, store.mailings.forget),
            _Job("hours", periods.hours, store.statistics.forget_hours),
        )
        done: dict[str, int] = {}
        for job in jobs:
            if job.days:
                await self._apply(job, now - job.days * DAY, done)
        if "messages" in done and time.monotonic() >= self._compacted + COMPACT_SECONDS:
            await store.search.compact(PAUSE_SECONDS, self._stopping.is_set)
            self._compacted = time.monotonic()
        with suppress(IndexDamaged):  # the file is damaged in its place: `clicktrail check` tells
            while not self._stopping.is_set() and await store.search.remove_former():
                await self._pause(PAUSE_SECONDS)
        return done

    async def _apply(self, job: _Job, before: int, done: dict[str, int]) -> None:
        if job.partitions:
            dropped = await self._store.partitions.drop(job.partitions, before)
            if dropped is not None:
                before -= before % DAY  # the rest of that day goes with its table
            if dropped:
                done[f"tables of {job.name}"] = dropped
        if count := await self._all(job.forget, before):
            done[job.name] = count

    async def _all(self, forget: Forget, before: int) -> int:
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
                log.warning("what is too old could not be deleted", error=error)
            except Exception:  # a fault of ours must not end the publisher
                log.exception("what is too old could not be deleted")
            await self._pause(EVERY_SECONDS)

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
