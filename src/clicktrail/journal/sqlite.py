"""The journal in a SQLite file of its own: durable on return, by group commit.

Writers and the reader may be different processes over the same file; several may write. It is in
WAL mode with ``synchronous=FULL``: a commit returns when the write-ahead log is on the disk.

A row is a commit, not a click: that is one write for SQLite, and one step of a statement, for which
Python gives up the interpreter lock and must get it back from a busy event loop.
"""

import asyncio
import queue
import sqlite3
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from clicktrail.base.complaints import database_complaint
from clicktrail.errors import JournalUnavailable
from clicktrail.journal import Entry
from clicktrail.journal.record import encode
from clicktrail.journal.sqlite_checkpoint import Checkpointer
from clicktrail.journal.sqlite_damage import Moved, identity, is_damage, set_aside
from clicktrail.journal.sqlite_file import INDEX_BITS, Connection, connect
from clicktrail.journal.sqlite_reader import Reader
from clicktrail.model import Click

BATCH = 2048
"""A commit takes no more appends once it has this many clicks."""

_INSERT = "INSERT INTO batch (records) VALUES (?)"
_TRY = "INSERT OR REPLACE INTO try VALUES (1, ?)"

_pack = msgspec.msgpack.Encoder().encode

_Batch = list[tuple[list[bytes], "asyncio.Future[None]"]]
"""Appends: the records of each, and what tells that they are durable."""


class SqliteJournal:
    """A `Journal` in the SQLite file ``path``, which is made on first use (mode 0600).

    One object may write, read or do both; it belongs to one event loop.
    """

    def __init__(self, path: Path) -> None:
        self._writer = _Writer(path)
        self._reader = Reader(path)

    async def append(self, *clicks: Click) -> None:
        """See `Journal.append`."""
        await self._writer.put([encode(click) for click in clicks])

    async def read(self, limit: int, wait: float) -> list[Entry]:
        """See `Journal.read`."""
        return await self._reader.read(limit, wait)

    async def commit(self, entries: Sequence[Entry]) -> None:
        """See `Journal.commit`."""
        self._reader.commit(entries)

    async def close(self) -> None:
        """See `Journal.close`."""
        await self._writer.close()
        await self._reader.close()


class _Writer:
    """Group commit: what arrives while one transaction runs goes into the next one.

    The transactions run in a thread with a connection of its own; the futures of a batch are
    resolved with one call into the event loop.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._waiting: _Batch = []
        self._busy = False
        self._closed = False
        self._work: queue.SimpleQueue[tuple[_Batch, bool] | None] = queue.SimpleQueue()
        """Batches, and whether the file that is open is another one by now."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._idle: asyncio.Future[None] | None = None

    def put(self, records: list[bytes]) -> "asyncio.Future[None]":
        """Queue records; the future is done when they are durable."""
        loop = self._loop or self._start()
        done = loop.create_future()
        if self._closed:
            done.set_exception(JournalUnavailable("the journal is closed"))
            return done
        self._waiting.append((records, done))
        if not self._busy:
            self._busy = True
            # Not at once: what else this turn of the loop brings goes with it.
            loop.call_soon(self._hand_over)
        return done

    async def close(self) -> None:
        """Return when all records are written (or have failed) and the thread has ended."""
        self._closed = True
        if self._loop is None or self._thread is None:
            return
        thread, self._thread = self._thread, None
        if self._busy:
            self._idle = self._loop.create_future()
            await self._idle
        self._work.put(None)
        await self._loop.run_in_executor(None, thread.join)

    def _start(self) -> asyncio.AbstractEventLoop:
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(
            target=self._run, args=(self._loop,), name="journal-writer", daemon=True
        )
        self._thread.start()
        return self._loop

    def _hand_over(self) -> None:
        size = count = 0
        for records, _ in self._waiting:
            size += len(records)
            count += 1
            if size >= BATCH:
                break
        batch, self._waiting = self._waiting[:count], self._waiting[count:]
        self._work.put((batch, False))

    def _finished(
        self,
        batch: _Batch,
        failure: JournalUnavailable | None,
        seen: tuple[int, int] | None,
        moved: bool,
    ) -> None:
        """Tell that a batch is in the file that is ``seen``, or why it is in none.

        Whether it is still the journal's is asked here: the thread would have to get the
        interpreter lock back for it once more, from this busy loop.
        """
        if failure is None and identity(self._path) != seen:
            if not moved:
                self._work.put((batch, True))
                return
            failure = self._unavailable(Moved("it was set aside"))
        for _, done in batch:
            if done.done():  # cancelled: nobody waits
                continue
            if failure is None:
                done.set_result(None)
            else:
                done.set_exception(failure)
        if self._waiting:
            self._hand_over()
            return
        self._busy = False
        if self._idle is not None:
            self._idle.set_result(None)

    def _unavailable(self, error: Exception) -> JournalUnavailable:
        why = database_complaint(error, self._path)
        return JournalUnavailable(f"{self._path} cannot be written: {why}")

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        connection: Connection | None = None
        checkpointer = Checkpointer(lambda: connect(self._path, durable=True))
        while (work := self._work.get()) is not None:
            batch, moved = work
            records = [record for records, _ in batch for record in records]
            failure: Exception | None = Moved() if moved else None
            size = 0
            for _ in range(2):
                if failure is not None:
                    seen = None if connection is None else connection.identity
                    if connection is not None:
                        connection.close()
                        connection = None
                    if not _begins_anew(self._path, seen, failure):
                        break
                    checkpointer.close()  # it has the old file open
                    checkpointer = Checkpointer(lambda: connect(self._path, durable=True))
                try:
                    if connection is None:
                        connection = connect(self._path, durable=True)
                    size = _write(connection, records)
                    failure = None
                    break
                except (sqlite3.Error, OSError) as error:
                    failure = error
            if failure is not None and connection is not None:
                connection.close()
                connection = None
            try:
                seen = None if connection is None else connection.identity
                told = None if failure is None else self._unavailable(failure)
                loop.call_soon_threadsafe(self._finished, batch, told, seen, moved)
            except RuntimeError:  # the loop was closed without closing the journal
                break
            if connection is not None:
                checkpointer.committed(connection, size)
        checkpointer.close()
        if connection is not None:
            connection.close()


def _begins_anew(path: Path, seen: tuple[int, int] | None, error: Exception) -> bool:
    """See to it that a new file can be begun where the old one is no good; return whether."""
    if isinstance(error, Moved):
        return True
    return is_damage(error) and set_aside(path, seen, error)


def _write(connection: sqlite3.Connection, records: list[bytes]) -> int:
    """Write records in one transaction; return how many bytes they are."""
    if not records:  # to see whether it could
        connection.execute(_TRY, (time.time_ns(),))
        return 0
    most = 1 << INDEX_BITS
    rows = [_pack(records[start : start + most]) for start in range(0, len(records), most)]
    if len(rows) == 1:
        connection.execute(_INSERT, rows)  # a transaction by itself
    else:
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(_INSERT, ((row,) for row in rows))
    return sum(map(len, rows))
