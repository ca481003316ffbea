"""A journal with a way out: what it does not take in time goes to a local spool.

The spool is drained into the journal later. A click that only *seemed* to fail may then be in the
journal twice, with the same event id. Clicks that are larger than the journal takes are set aside,
each in a file with those that came with it, and hold up no other.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from clicktrail.base.batch import Batcher
from clicktrail.base.complaints import complaint
from clicktrail.base.faults import Faults
from clicktrail.base.logs import get_logger
from clicktrail.base.metrics import Metrics
from clicktrail.base.redact import reason_of
from clicktrail.base.tasks import end
from clicktrail.errors import JournalUnavailable
from clicktrail.journal import ClicksTooLarge, Entry, Journal
from clicktrail.journal.record import encode
from clicktrail.journal.spoolfile import (
    TOO_LARGE,
    SpoolReader,
    SpoolWriter,
    spool_files,
    try_folder,
)
from clicktrail.model import Click

log = get_logger(__name__)

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
    UNREADABLE_PAUSE = 5.0

    def __init__(
        self,
        journal: Journal,
        folder: Path,
        timeout: float = 0.25,
        queue_limit: int = 20_000,
        metrics: Metrics | None = None,
        faults: Faults | None = None,
    ) -> None:
        self._journal = journal
        self._folder = folder
        self._timeout = timeout
        self._queue_limit = queue_limit
        self._metrics = metrics or Metrics()
        self._faults = faults or Faults()
        self.spooled = 0
        self.drained = 0
        self.unlogged = 0
        self.waiting = 0
        self._down = False
        self._closed = False
        self._file: SpoolWriter | None = None
        self._left: dict[Path, str] = {}
        """Files that could not be drained, and why; "" for those that another process has."""
        self._batcher = Batcher(self._write)
        self._aside = Batcher(self._write_aside)
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

    async def try_journal(self) -> None:
        """See whether the journal takes clicks. Raises `JournalUnavailable`."""
        try:
            await self._journal.append()
        except JournalUnavailable as error:
            raise JournalUnavailable(f"{error}; clicks go to {self._folder}") from None

    async def try_spool(self) -> None:
        """See whether the spool would take clicks, were the journal to fail. Raises `OSError`."""
        await asyncio.to_thread(try_folder, self._folder)

    async def close(self) -> None:
        """See `Journal.close`. What is in the spool stays there for the next start."""
        if self._closed:
            return
        self._closed = True
        await end(self._drainer)
        if self.waiting:  # not for long: each is given up in time, and spooled
            self._calm = asyncio.Event()
            await self._calm.wait()
        await self._journal.close()
        await self._in_thread_close()
        self._thread.shutdown(wait=False)

    async def _try(self, clicks: Sequence[Click]) -> bool:
        """Append to the journal; ``False`` when it fails or is too slow.

        Raises `JournalUnavailable` for clicks that are to be set aside, and cannot be.
        """
        try:
            async with asyncio.timeout(self._timeout):
                await self._journal.append(*clicks)
        except ClicksTooLarge as error:
            try:
                await self._set_aside(error)
            except OSError as failed:
                raise self._lost(error.clicks, failed) from failed
        except (JournalUnavailable, TimeoutError) as error:
            self._went_down(error)
            return False
        return True

    def _went_down(self, error: Exception) -> None:
        self._work.set()  # with nothing in the spool too, somebody must see when it is up again
        if not self._down:
            self._down = True
            reason = _LATE if isinstance(error, TimeoutError) else reason_of(error)
            log.warning("clicks go to the spool", reason=reason, spool=str(self._folder))

    async def _spool(self, clicks: Sequence[Click]) -> None:
        try:
            await self._batcher.put([encode(click) for click in clicks])
        except OSError as error:
            raise self._lost(clicks, error) from error
        self.spooled += len(clicks)
        self._metrics.clicks_spooled.inc(len(clicks))
        self._work.set()

    def _lost(self, clicks: Sequence[Click], error: OSError) -> JournalUnavailable:
        """Return the error to raise for clicks that could not be kept anywhere."""
        self.unlogged += len(clicks)
        return JournalUnavailable(f"the spool {self._folder} failed too: {reason_of(error)}")

    async def _set_aside(self, refused: ClicksTooLarge) -> None:
        """Keep clicks that the journal does not take as it is now. Raises `OSError`."""
        await self._aside.put(refused)

    async def _write_aside(self, refused: list[ClicksTooLarge]) -> None:
        records = [encode(click) for each in refused for click in each.clicks]

        def write() -> Path:
            file = SpoolWriter(self._folder, TOO_LARGE)
            try:
                file.write(records)
            finally:
                file.close()
            return file.path

        path = await asyncio.get_running_loop().run_in_executor(self._thread, write)
        log.error(
            "clicks are too large for the journal: they are kept; raise its limit, then run"
            " `clicktrail repair`",
            path=str(path),
            clicks=len(records),
            reason=str(refused[0]),
        )

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
            log.warning("spool file not closed cleanly", reason=error)

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
                self._went_down(error)
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
            self._left.pop(path, None)
            try:
                if not await self._drain_file(path):
                    self._left[path] = ""
            except TimeoutError:  # of the journal; it is an OSError too
                raise
            except OSError as error:  # it costs the other files nothing
                self._left[path] = complaint(error, path)
        self._tell_unreadable()
        if self._down:
            async with asyncio.timeout(max(5.0, self._timeout)):
                await self._journal.append()  # sees whether it could
            self._down = False
            log.info("clicks go to the journal again")
        if self._file is not None:  # written to in the meantime
            self._work.set()

    def _closed_files(self) -> list[Path]:
        """Return the files to drain: the one that is written to only where there is no other."""
        files = spool_files(self._folder)
        for gone in self._left.keys() - set(files):
            del self._left[gone]
        if self._file is None:
            return files
        closed = [path for path in files if path != self._file.path and path not in self._left]
        if closed:
            return closed
        self._close_file()
        return files

    async def _drain_file(self, path: Path) -> bool:
        """Drain a file; return whether it could be had. Raises `OSError` where it is unreadable."""
        loop = asyncio.get_running_loop()
        reader = await loop.run_in_executor(self._thread, SpoolReader.take, path)
        if reader is None:
            return False
        try:
            while clicks := await loop.run_in_executor(self._thread, reader.read, self.CHUNK):
                taken = len(clicks)
                try:
                    async with asyncio.timeout(max(5.0, self._timeout)):
                        await self._journal.append(*clicks)
                except ClicksTooLarge as error:
                    taken -= len(error.clicks)
                    await self._set_aside(error)
                self.drained += taken
                self._metrics.clicks_drained.inc(taken)
            kept = await loop.run_in_executor(self._thread, reader.finish)
        finally:
            reader.close()
        if kept is not None and reader.damage is not None:
            log.error(
                "a spool file is damaged: what could be read is counted, and the file kept",
                path=str(kept),
                unreadable_bytes=reader.damage.size,
            )
        elif reader.damage is not None:  # nobody was told that it is durable
            log.warning("a spool file ends too early", path=str(path), bytes=reader.damage.size)
        return True

    def _tell_unreadable(self) -> None:
        """Say which files cannot be drained; they stay, and are tried again."""
        files = {path: why for path, why in self._left.items() if why}
        if not files:
            self._faults.mend("spool file")
            return
        [(path, why), *more] = files.items()
        others = f" (and {len(more)} more)" if more else ""
        self._faults.report("spool file", f"{path} cannot be drained: {why}{others}")
        asyncio.get_running_loop().call_later(self.UNREADABLE_PAUSE, self._work.set)
