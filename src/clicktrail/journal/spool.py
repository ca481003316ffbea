"""A journal with a way out: what it does not take in time goes to a local spool.

The spool is drained into the journal later. A click that only *seemed* to fail may then be in the
journal twice, with the same event id.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import structlog

from clicktrail.batch import Batcher
from clicktrail.errors import JournalUnavailable
from clicktrail.journal import Entry, Journal
from clicktrail.journal.record import encode
from clicktrail.journal.spoolfile import SpoolReader, SpoolWriter, spool_files
from clicktrail.metrics import Metrics
from clicktrail.model import Click

log = structlog.get_logger(__name__)

_LATE = "the journal is too slow"


class SpooledJournal:
    """A `Journal` over another one, with a spool in ``folder``.

    A click goes to the spool when the journal fails, takes longer than ``timeout`` seconds, or has
    ``queue_limit`` clicks waiting. From then on all clicks do, at once, until the journal has taken
    what is in the spool. Only when the spool fails too does `append` raise `JournalUnavailable`.

    ``spooled``, ``drained`` and ``unlogged`` count clicks since the start; ``waiting`` is how many
    wait now.
    """

    FILE_SIZE = 64 << 20
    """A spool file that has grown to this size (in bytes) is followed by another."""

    CHUNK = 500
    FIRST_PAUSE, LONGEST_PAUSE = 0.25, 5.0

    def __init__(
        self,
        journal: Journal,
        folder: Path,
        timeout: float = 0.25,
        queue_limit: int = 20_000,
        metrics: Metrics | None = None,
    ) -> None:
        self._journal = journal
        self._folder = folder
        self._timeout = timeout
        self._queue_limit = queue_limit
        self._metrics = metrics or Metrics()
        self.spooled = 0
        self.drained = 0
        self.unlogged = 0
        self.waiting = 0
        self._down = False
        self._closed = False
        self._file: SpoolWriter | None = None
        self._batcher = Batcher(self._write)
        self._thread = ThreadPoolExecutor(1, "journal-spool")
        self._work = asyncio.Event()
        self._drainer: asyncio.Task[None] | None = None
        self._calm: asyncio.Event | None = None
        """When closing: no append is under way."""

    @property
    def spooling(self) -> bool:
        """Whether clicks go to the spool now."""
        return self._down

    def start(self) -> None:
        """Begin to drain what an earlier run has left. Needs a running event loop."""
        if self._drainer is None:
            self._work.set()
            self._drainer = asyncio.create_task(self._drain())

    async def append(self, *clicks: Click) -> None:
        """See `Journal.append`."""
        if self._closed:
            raise JournalUnavailable("the journal is closed")
        if self._drainer is None:
            self.start()
        self.waiting += len(clicks)
        try:
            if self._down or self.waiting > self._queue_limit or not await self._try(clicks):
                await self._spool(clicks)
        finally:
            self.waiting -= len(clicks)
            if not self.waiting and self._calm is not None:
                self._calm.set()

    async def read(self, limit: int, wait: float) -> list[Entry]:
        """See `Journal.read`."""
        return await self._journal.read(limit, wait)

    async def commit(self, entries: Sequence[Entry]) -> None:
        """See `Journal.commit`."""
        await self._journal.commit(entries)

    async def close(self) -> None:
        """See `Journal.close`. What is in the spool stays there for the next start."""
        if self._closed:
            return
        self._closed = True
        if self._drainer is not None:
            self._drainer.cancel()
            await asyncio.wait([self._drainer])
        if self.waiting:  # not for long: each is given up in time, and spooled
            self._calm = asyncio.Event()
            await self._calm.wait()
        await self._journal.close()
        await self._in_thread_close()
        self._thread.shutdown(wait=False)

    async def _try(self, clicks: Sequence[Click]) -> bool:
        """Append to the journal; ``False`` when it fails or is too slow."""
        try:
            async with asyncio.timeout(self._timeout):
                await self._journal.append(*clicks)
        except (JournalUnavailable, TimeoutError) as error:
            self._went_down(str(error) or _LATE)
            return False
        return True

    def _went_down(self, reason: str) -> None:
        self._work.set()  # with nothing in the spool too, somebody must see when it is up again
        if not self._down:
            self._down = True
            log.warning("clicks go to the spool", reason=reason, spool=str(self._folder))

    async def _spool(self, clicks: Sequence[Click]) -> None:
        try:
            await self._batcher.put([encode(click) for click in clicks])
        except OSError as error:
            self.unlogged += len(clicks)
            raise JournalUnavailable(f"the spool {self._folder} failed too: {error}") from error
        self.spooled += len(clicks)
        self._metrics.clicks_spooled.inc(len(clicks))
        self._work.set()

    async def _write(self, appends: list[list[bytes]]) -> None:
        records = [record for records in appends for record in records]
        await asyncio.get_running_loop().run_in_executor(self._thread, self._write_file, records)

    def _write_file(self, records: list[bytes]) -> None:
        if self._file is not None and self._file.size >= self.FILE_SIZE:
            self._close_file()
        if self._file is None:
            self._file = SpoolWriter(self._folder)
        try:
            self._file.write(records)
        except OSError:
            self._close_file()  # never write behind a torn frame
            raise

    def _close_file(self) -> None:
        if self._file is not None:
            file, self._file = self._file, None
            file.close()

    async def _in_thread_close(self) -> None:
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._close_file)
        except OSError as error:
            log.warning("spool file not closed cleanly", reason=str(error))

    async def _drain(self) -> None:
        pause = self.FIRST_PAUSE
        while True:
            await self._work.wait()
            self._work.clear()
            if self._down:
                await asyncio.sleep(pause)
            try:
                await self._drain_files()
            except Exception as error:
                self._went_down(str(error) or _LATE)
                if not isinstance(error, JournalUnavailable | TimeoutError):
                    log.exception("the spool cannot be drained", spool=str(self._folder))
                pause = min(pause * 2, self.LONGEST_PAUSE)
            else:
                pause = self.FIRST_PAUSE

    async def _drain_files(self) -> None:
        """Drain all files; then clicks go to the journal again. Raises when it is still down."""
        loop = asyncio.get_running_loop()
        files = await loop.run_in_executor(self._thread, self._closed_files)
        for path in files:
            await self._drain_file(path)
        if self._down:
            self._down = False
            log.info("clicks go to the journal again")
        if self._file is not None:  # written to in the meantime
            self._work.set()

    def _closed_files(self) -> list[Path]:
        """Return the files to drain: the one that is written to only where there is no other."""
        files = spool_files(self._folder)
        if self._file is None:
            return files
        closed = [path for path in files if path != self._file.path]
        if closed:
            return closed
        self._close_file()
        return files

    async def _drain_file(self, path: Path) -> None:
        loop = asyncio.get_running_loop()
        reader = await loop.run_in_executor(self._thread, SpoolReader.take, path)
        if reader is None:
            return
        try:
            while clicks := await loop.run_in_executor(self._thread, reader.read, self.CHUNK):
                async with asyncio.timeout(max(5.0, self._timeout)):
                    await self._journal.append(*clicks)
                self.drained += len(clicks)
                self._metrics.clicks_drained.inc(len(clicks))
            if reader.damage is not None:
                say = log.warning if reader.damage.only_tail else log.error
                say("a spool file was damaged", path=str(path), bytes=reader.damage.size)
            await loop.run_in_executor(self._thread, reader.finish)
        finally:
            reader.close()
