"""From the journal to the store: every click judged, counted and told, exactly once."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache, partial
from typing import TypeVar

from clicktrail.base.faults import Faults
from clicktrail.base.ids import now_us
from clicktrail.base.logs import get_logger
from clicktrail.base.metrics import Metrics
from clicktrail.errors import ClicktrailError
from clicktrail.journal import Entry, Journal
from clicktrail.model import OPEN_LINK, UNSUBSCRIBE_LINK, Click, EventType, Request
from clicktrail.publish.deliver import Deliverer
from clicktrail.publish.event import send_event
from clicktrail.publish.nameless import signs_that_count, told_of, without_email
from clicktrail.publish.others.opens import judged, logged_open
from clicktrail.publish.privacy import Privacy
from clicktrail.publish.routing import address, targets
from clicktrail.publish.subjects import Subject, Subjects
from clicktrail.publish.visitor_verdict import Judge
from clicktrail.publish.visitor_verdict.jury import Batch
from clicktrail.store import Store
from clicktrail.store.clicks.clicks import SendEvent, storable_click
from clicktrail.store.clicks.outbox import Notification
from clicktrail.store.configuration import Configuration

log = get_logger(__name__)

T = TypeVar("T")

BATCH = 500
"""The most clicks in one transaction, some 30 ms of work: others want to write too."""
READ_SECONDS = 1.0
ANNOUNCE_SECONDS = 0.25
INDEX_BATCH = 100
INDEX_SECONDS, INDEX_PAUSE = 0.5, 0.02
SPARE_SECONDS = 1.0
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0


class Publisher:
    """Moves clicks from the journal into the store, makes Send events, and runs the deliverer.

    A batch of clicks is one transaction of the store; only then the journal may forget them. A
    crash between the two brings them again, with the same event ids, and the store takes each
    only once. While the store or the journal fails, nothing is lost: the same clicks are tried
    again until it works.
    """

    def __init__(
        self,
        journal: Journal,
        store: Store,
        deliverer: Deliverer,
        privacy: Privacy | None = None,
        metrics: Metrics | None = None,
        judge: Judge | None = None,
        faults: Faults | None = None,
        *,
        suppressing: bool = False,
    ) -> None:
        """With ``suppressing``, who unsubscribes is put on the suppression list too."""
        self._suppressing = suppressing
        self._journal = journal
        self._store = store
        self._deliverer = deliverer
        self._subjects = Subjects(store)
        self._judge = judge or Judge()
        self._faults = faults or Faults()
        self._privacy = privacy or Privacy()
        self._metrics = metrics or Metrics()
        self._prepared: asyncio.Queue[tuple[list[Entry], Batch] | None] = asyncio.Queue(1)
        self._stopping = asyncio.Event()
        self._running: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to `run` in the background."""
        self._running = asyncio.create_task(self.run(), name="publisher")

    async def run(self) -> None:
        """Publish until `stop` is called."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._prepare_clicks(), name="prepare clicks")
            group.create_task(self._record_clicks(), name="record clicks")
            group.create_task(self._announce_emails(), name="announce emails")
            group.create_task(self._index_emails(), name="index emails")
            group.create_task(self._spare_people(), name="spare people")
            group.create_task(self._deliverer.run(), name="deliver notifications")

    async def stop(self) -> None:
        """Finish the batch at hand, and end. What was not committed is read again later."""
        self._stopping.set()
        await self._deliverer.stop()
        if self._running is not None:
            await self._running

    async def publish(self, entries: Sequence[Entry]) -> int:
        """Put clicks into the store; return how many were new. Raises `StoreUnavailable`."""
        return await self._record(await self._prepare(entries))

    async def announce(self) -> int:
        """Make the Send events that are due; return how many. Raises `StoreUnavailable`."""
        ids = await self._store.clicks.unannounced(BATCH)
        if not ids:
            return 0
        configuration = await self._store.configuration.current()
        subjects = await self._subjects.of(ids, configuration)
        at = now_us()
        events = [_announcement(id_, subjects[id_], configuration, at) for id_ in ids]
        await self._store.clicks.announce(events)
        if any(isinstance(o, Notification) for each in events for o in each.outgoing):
            self._deliverer.wake()
        return len(ids)

    async def _prepare_clicks(self) -> None:
        """Read and prepare batches while earlier ones are written."""
        with suppress(_Stopped):
            while not self._stopping.is_set():
                entries = await self._insist("read the journal", self._read)
                if entries:
                    batch = await self._insist("look emails up", partial(self._prepare, entries))
                    await self._prepared.put((entries, batch))
        await self._prepared.put(None)

    async def _record_clicks(self) -> None:
        """Write batches, one after the other, in the order in which they were read."""
        working = True
        while batch := await self._prepared.get():
            entries, prepared = batch
            # After one batch that cannot be written none is: they are read again in their order.
            if working:
                try:
                    await self._insist("record clicks", partial(self._record, prepared))
                    await self._insist("commit", partial(self._journal.commit, entries))
                except _Stopped:
                    working = False

    async def _announce_emails(self) -> None:
        with suppress(_Stopped):
            while not self._stopping.is_set():
                if not await self._insist("announce emails", self.announce):
                    await self._pause(ANNOUNCE_SECONDS)

    async def _index_emails(self) -> None:
        """Let emails be found that were sent: when there is time, for nobody waits for it."""
        with suppress(_Stopped):
            while not self._stopping.is_set():
                index = partial(self._store.search.index, INDEX_BATCH)
                done = await self._insist("index emails", index)
                await self._pause(INDEX_PAUSE if done else INDEX_SECONDS)

    async def _spare_people(self) -> None:
        """Find the emails of who is not tracked any more, so that redirects can be told."""
        with suppress(_Stopped):
            while not self._stopping.is_set():
                look = self._store.do_not_track.look_for_emails
                await self._insist("look for emails of who is not tracked", look)
                await self._pause(SPARE_SECONDS)

    async def _read(self) -> list[Entry]:
        """Read the journal; return at once when told to stop."""
        reading = asyncio.ensure_future(self._journal.read(BATCH, READ_SECONDS))
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait((reading, stopping), return_when=asyncio.FIRST_COMPLETED)
            return reading.result() if reading.done() else []
        finally:
            for task in (reading, stopping):
                task.cancel()
            await asyncio.wait((reading, stopping))

    async def _prepare(self, entries: Sequence[Entry]) -> Batch:
        """Return clicks ready to be recorded."""
        clicks = [storable_click(c) for c in {e.click.event_id: e.click for e in entries}.values()]
        configuration = await self._store.configuration.current()
        ids = [click.message_id for click in clicks]
        subjects = await self._subjects.of(ids, configuration)
        if configuration.spares:  # what came before redirects were told
            readers = {id_: subjects[id_].readers for id_ in ids}
            spared = await self._store.do_not_track.among(readers)
            # To unsubscribe is their will as well.
            clicks = [c for c in clicks if c.message_id not in spared or c.link == UNSUBSCRIBE_LINK]
        batch = _batch(subjects, configuration)
        for click in clicks:
            if click.link == UNSUBSCRIBE_LINK:
                batch.unsubscribe(click)
                continue
            kept = self._privacy.of(without_email(click, subjects, configuration))
            if click.link == OPEN_LINK:
                self._add_open(batch, click, kept)
                continue
            too_fast = batch.limits_of(click.message_id).too_fast
            signs = self._judge.signs(click, subjects[click.message_id].accepted_at, too_fast)
            batch.add(kept, signs_that_count(click, signs))
        return batch

    def _add_open(self, batch: Batch, click: Click, kept: Click) -> None:
        if click.request & Request.HEAD:
            return
        limits = batch.limits_of(click.message_id)
        found = judged(self._judge, click, batch.subjects[click.message_id].accepted_at, limits)
        subject = batch.subjects[kept.message_id]
        to = batch.opens(subject.configuration_set)
        batch.opened.append(logged_open(kept, found, subject, to, batch.at))

    async def _record(self, batch: Batch) -> int:
        opened = await self._store.opens.record(batch.opened) if batch.opened else []
        for each in opened:
            self._metrics.opens_recorded.labels(each.verdict.value).inc()
        record = partial(self._store.unsubscribes.record, suppressing=self._suppressing)
        left = await record(batch.left) if batch.left else 0
        self._metrics.unsubscribes_recorded.inc(left)
        others = len(opened) + left
        if any(isinstance(o, Notification) for o in batch.told_otherwise()):
            self._deliverer.wake()
        if not (batch.logged or batch.visits):
            return others
        new = await self._store.clicks.record(batch.logged, batch)
        # What is read again, after a crash or by way of the spool, has been counted.
        for verdict, count in Counter(new.values()).items():
            self._metrics.clicks_recorded.labels(verdict.value).inc(count)
        if any(isinstance(o, Notification) for each in batch.logged for o in each.outgoing):
            self._deliverer.wake()
        # Also what somebody left who was killed: these clicks were theirs.
        if batch.is_unsettled or len(new) < len(batch.logged):
            await self._settle()
        return len(new) + others

    async def _settle(self) -> None:
        """Put earlier clicks right of which those from their network say something else now."""
        while ids := await self._store.clicks.unsettled():
            configuration = await self._store.configuration.current()
            subjects = await self._subjects.of(ids, configuration)
            await self._store.clicks.settle(sorted(set(ids)), _batch(subjects, configuration))
            self._deliverer.wake()

    async def _insist(self, what: str, call: Callable[[], Awaitable[T]]) -> T:
        """Call until it works. Raises `_Stopped` where it does not and the publisher stops."""
        pause = FIRST_PAUSE
        while True:
            try:
                done = await call()
            except ClicktrailError as error:
                log.warning("publisher must wait", what=what, error=error)
                self._faults.report(f"publisher: {what}", str(error))
            except Exception as error:  # a fault of ours loses no click either
                log.exception("publisher failed", what=what)
                self._faults.report(f"publisher: {what}", f"{type(error).__name__}: see the log")
            else:
                self._faults.mend(f"publisher: {what}")
                return done
            if self._stopping.is_set():
                raise _Stopped
            await self._pause(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()


class _Stopped(Exception):
    """The publisher was told to stop while something did not work."""


def _batch(subjects: Mapping[str, Subject], configuration: Configuration) -> Batch:
    told = cache(partial(targets, configuration, event_type=EventType.CLICK))
    opens = cache(partial(targets, configuration, event_type=EventType.OPEN))
    unsubscribes = cache(partial(targets, configuration, event_type=EventType.SUBSCRIPTION))
    changes = cache(partial(targets, configuration, event_type=EventType.VERDICT_CHANGED))
    return Batch(subjects, told, opens, unsubscribes, changes, configuration, now_us())


def _announcement(
    message_id: str, subject: Subject, configuration: Configuration, at: int
) -> SendEvent:
    set_name = subject.configuration_set or ""
    to = targets(configuration, set_name, EventType.SEND)
    # An email's own id: its Send event can be found by it.
    mail = told_of(subject.mail, set_name, configuration)
    outgoing = address(message_id, to, lambda id_: send_event(mail, id_), at)
    return SendEvent(message_id, outgoing)
