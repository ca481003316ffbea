"""Sends what lies in the outbox: each destination in its own time, again and again if need be.

A notification is claimed before it is sent: its attempt is counted and its next one set
(`Outbox.claim`). So a crash in the middle repeats it, with the same ``eventId``, and publishers
that run beside one another never send it at once.

What waits goes to the event destination as it stands now: correcting its URL saves what has piled
up. If it was removed or switched off, what waits for it becomes dead letters, which are kept and
can be replayed.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from clicktrail.base.arn import Arn, Kind, parse_arn
from clicktrail.base.ids import now_us
from clicktrail.base.logs import get_logger
from clicktrail.base.redact import name_and_reason
from clicktrail.errors import ClicktrailError, DeliveryFailed, InvalidInput
from clicktrail.model import MOST_SETTLE
from clicktrail.publish.destinations import BatchDestination, Destination, Event
from clicktrail.publish.destinations.stream import StreamDestination
from clicktrail.store import Store
from clicktrail.store.clicks.outbox import Claimed, Failed, Key

log = get_logger(__name__)

T = TypeVar("T")

POLL_SECONDS = 1.0
GRACE_SECONDS = 5.0
BATCHES = 2
"""Batches on their way to a destination: one is claimed while the other is sent."""
_PAUSE_SECONDS = 1.0
_JITTER = 1.2
_LEAST_ATTEMPTS = 5
"""Attempts are made however much time has passed, as long as that many had room in it: a clock
that is set ahead, or a service that stood still, must not leave a notification with one attempt."""
_TURN_SECONDS = 60.0
"""More than anybody waits for a turn to write: who read the clock before that takes what another
has claimed meanwhile for a plan of the far future otherwise."""


@dataclass(frozen=True, slots=True)
class Retry:
    """When to try again. All in seconds."""

    first: float = 1.0
    most: float = 3600.0
    total: float = 86400.0

    @property
    def longest(self) -> float:
        """The longest wait, in seconds."""
        return self.most * _JITTER

    def next_at(self, attempt: int, started_at: int, now: int) -> int | None:
        """Return when to try after that failed attempt; ``None``: never again."""
        wait = self._wait(attempt) * random.uniform(2 - _JITTER, _JITTER)  # noqa: S311
        at = now + int(wait * 1_000_000)
        in_time = at - started_at <= self.total * 1_000_000
        return at if in_time or self._is_owed(attempt) else None

    def _is_owed(self, failed: int) -> bool:
        """Return whether there is one more attempt after so many, whatever the clock says."""
        if failed >= _LEAST_ATTEMPTS:
            return False
        return sum(map(self._wait, range(1, failed + 1))) <= self.total

    def _wait(self, attempt: int) -> float:
        """Return the seconds between that attempt and the next."""
        # The exponent is bounded, so that the power is.
        return min(self.first * 2.0 ** min(attempt - 1, 60), self.most)


class Deliverer:
    """Sends notifications to the destinations of each kind; built-in streams need not be given.

    For each event destination at most ``concurrency`` are sent at once, or two batches where its
    kind takes batches, and as many are held in memory. What takes longer than ``timeout`` seconds
    has failed.
    """

    def __init__(
        self,
        store: Store,
        destinations: Mapping[Kind, Destination | BatchDestination],
        retry: Retry,
        *,
        timeout: float = 10.0,
        concurrency: int = 16,
        lease: float | None = None,
    ) -> None:
        self._store = store
        self._destinations: dict[Kind, Destination | BatchDestination] = {
            Kind.STREAM: StreamDestination(store),
            **destinations,
        }
        self._retry = retry
        self._timeout = timeout
        self._concurrency = concurrency
        # Longer than anything between a claim and its settling takes.
        self._lease = timeout + 30.0 if lease is None else lease
        longest = max(retry.longest, self._lease, MOST_SETTLE)
        self._longest = int((longest + _TURN_SECONDS) * 1_000_000)
        """Nothing is planned later than that: what is, was so before the clock was set back."""
        self._workers: dict[Key, asyncio.Task[None]] = {}
        self._wake = asyncio.Event()
        self._stopping = False

    def wake(self) -> None:
        """Look at the outbox now: something was put there."""
        self._wake.set()

    async def run(self) -> None:
        """Deliver until `stop` is called; then wait a little for what is on its way."""
        while not self._stopping:
            self._wake.clear()
            seconds = POLL_SECONDS
            try:
                seconds = await self._look()
            except ClicktrailError as error:
                log.warning("outbox cannot be read", error=error)
            except Exception:  # a fault of ours must not end all deliveries
                log.exception("deliverer failed")
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._wake.wait()
        if self._workers:
            await asyncio.wait(self._workers.values(), timeout=GRACE_SECONDS)
        for task in self._workers.values():
            task.cancel()  # its claims run out
        for destination in self._destinations.values():
            await destination.close()

    async def stop(self) -> None:
        """Claim nothing more; `run` returns soon."""
        self._stopping = True
        self._wake.set()

    async def _look(self) -> float:
        """Start a worker for each destination with something due; return how long to sleep."""
        soonest = now_us() + int(POLL_SECONDS * 1_000_000)
        for key, at in (await self._store.outbox.due()).items():
            if at is None or key in self._workers:
                continue
            now = now_us()
            if not now < at <= now + self._longest:
                worker = asyncio.create_task(self._work(key), name=f"deliver to {key[0]}/{key[1]}")
                self._workers[key] = worker
                worker.add_done_callback(partial(self._ended, key))
            else:
                soonest = min(soonest, at)
        return max(0.001, (soonest - now_us()) / 1_000_000)

    def _ended(self, key: Key, task: asyncio.Task[None]) -> None:
        del self._workers[key]
        if task.cancelled():
            return
        if error := task.exception():
            log.warning("deliveries interrupted", destination="/".join(key), exc_info=error)
        else:
            self.wake()  # something may have come while it was ending

    async def _work(self, key: Key) -> None:
        """Deliver to one destination until nothing is due."""
        sending: set[asyncio.Task[list[Claimed | Failed]]] = set()
        try:
            more = True
            while sending or (more and not self._stopping):
                if more and not self._stopping:
                    more, batches = await self._claim(key, len(sending))
                    sending |= {asyncio.create_task(self._send(key, each)) for each in batches}
                if sending:
                    done, sending = await asyncio.wait(sending, return_when=asyncio.FIRST_COMPLETED)
                    await self._settle(key, [each for task in done for each in task.result()])
                    more = True
        finally:
            for task in sending:
                task.cancel()

    async def _claim(self, key: Key, sending: int) -> tuple[bool, list[list[Claimed]]]:
        """Claim what may be sent beside what is on its way; return whether there may be more."""
        arn, obstacle = await self._arn_of(key)
        if arn is None:
            count = await self._store.outbox.give_up(key, obstacle, now_us())
            log.warning(
                "notifications given up", destination="/".join(key), count=count, reason=obstacle
            )
            return False, []
        destination = self._destinations[arn.kind]
        size, slots = 1, self._concurrency
        if isinstance(destination, BatchDestination):
            size, slots = destination.batch, BATCHES
        limit = (slots - sending) * size
        if limit <= 0:
            return False, []
        now = now_us()
        until = now + int(self._lease * 1_000_000)
        latest = now + self._longest
        claimed = await self._store.outbox.claim(key, str(arn), now, until, limit, latest)
        batches = [claimed[start : start + size] for start in range(0, len(claimed), size)]
        return len(claimed) == limit, batches

    async def _arn_of(self, key: Key) -> tuple[Arn | None, str]:
        """Return where the destination points now, or why nothing can be sent there."""
        owner = (await self._store.configuration.current()).sets.get(key[0])
        found = next((d for d in owner.destinations if d.name == key[1]), None) if owner else None
        if found is None:
            return None, "the event destination was removed"
        if not found.enabled:
            return None, "the event destination is switched off"
        try:
            arn = parse_arn(found.arn)
        except InvalidInput as error:
            return None, str(error)
        if arn.kind not in self._destinations:
            return None, f"nothing is sent to destinations of the kind {arn.kind}"
        return arn, ""

    async def _send(self, key: Key, claimed: Sequence[Claimed]) -> list[Claimed | Failed]:
        """Send what was claimed at once, to one ARN."""
        outcomes: Sequence[DeliveryFailed | None]
        try:
            async with asyncio.timeout(self._timeout):
                outcomes = await self._send_to(parse_arn(claimed[0].arn), claimed)
        except DeliveryFailed as error:
            outcomes = [error] * len(claimed)
        except TimeoutError:
            late = DeliveryFailed(f"no answer within {self._timeout:g} seconds")
            outcomes = [late] * len(claimed)
        except Exception as error:  # a fault of ours must not lose a notification
            log.exception("destination failed", destination="/".join(key))
            outcomes = [DeliveryFailed(f"a fault of ours: {name_and_reason(error)}")] * len(claimed)
        now = now_us()
        return [
            each if failed is None else self._failed(each, failed, now)
            for each, failed in zip(claimed, outcomes, strict=True)
        ]

    async def _send_to(
        self, arn: Arn, claimed: Sequence[Claimed]
    ) -> Sequence[DeliveryFailed | None]:
        destination = self._destinations[arn.kind]
        if isinstance(destination, BatchDestination):
            return await destination.send_many(arn, [Event(c.event_id, c.payload) for c in claimed])
        for each in claimed:
            await destination.send(arn, each.event_id, each.payload)
        return [None] * len(claimed)

    def _failed(self, claimed: Claimed, error: DeliveryFailed, now: int) -> Failed:
        next_at = self._retry.next_at(claimed.attempt, claimed.started_at, now)
        return Failed(claimed, str(error), None if error.permanent else next_at)

    async def _settle(self, key: Key, results: list[Claimed | Failed]) -> None:
        delivered = [each for each in results if isinstance(each, Claimed)]
        failed = [each for each in results if isinstance(each, Failed)]
        alike = Counter((each.error, each.next_at is None) for each in failed)
        for each in failed:
            # A batch fails as one: one line tells of all that have the same fate.
            if count := alike.pop((each.error, each.next_at is None), 0):
                log.warning(
                    "notification not delivered",
                    destination="/".join(key),
                    event_id=each.claimed.event_id,
                    attempt=each.claimed.attempt,
                    error=each.error,
                    dead=each.next_at is None,
                    count=count,
                )
        await self._insist(lambda: self._store.outbox.settle(key, delivered, failed, now_us()))

    async def _insist(self, call: Callable[[], Awaitable[T]]) -> T | None:
        """Call until it works, so that what was delivered is not delivered again."""
        while True:
            try:
                return await call()
            except ClicktrailError as error:
                log.warning("outbox cannot be written", error=error)
                if self._stopping:
                    return None
                await asyncio.sleep(_PAUSE_SECONDS)
