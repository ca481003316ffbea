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
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import structlog

from clicktrail.errors import JournalUnavailable
from clicktrail.files import create_private
from clicktrail.journal import Entry
from clicktrail.journal.record import decode, encode
from clicktrail.journal.sqlite_checkpoint import PAGES, Checkpointer
from clicktrail.model import Click

log = structlog.get_logger(__name__)

BATCH = 2048
"""A commit takes no more appends once it has this many clicks."""

BUSY_SECONDS = 5.0
"""How long a connection waits for another one's transaction."""

# Without AUTOINCREMENT, which is one more page to write with each commit: the newest row is never
# deleted, only emptied, so that numbers are not used again.
_SCHEMA = "CREATE TABLE IF NOT EXISTS batch (number INTEGER PRIMARY KEY, records BLOB NOT NULL)"
_INSERT = "INSERT INTO batch (records) VALUES (?)"
_INDEX_BITS = 16
"""A position is the row's number, and in the low bits the place in the row."""

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(list[bytes]).decode

_Batch = list[tuple[list[bytes], "asyncio.Future[None]"]]
"""Appends: the records of each, and what tells that they are durable."""

_Rows = list[tuple[int, list[bytes]]]


class SqliteJournal:
    """A `Journal` in the SQLite file ``path``, which is made on first use (mode 0600).

    One object may write, read or do both; it belongs to one event loop.
    """

    def __init__(self, path: Path) -> None:
        self._writer = _Writer(path)
        self._reader = _Reader(path)

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
        self._work: queue.SimpleQueue[_Batch | None] = queue.SimpleQueue()
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
        self._work.put(batch)

    def _finished(self, batch: _Batch, error: Exception | None) -> None:
        failure = error and JournalUnavailable(f"{self._path} cannot be written: {error}")
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

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        connection: sqlite3.Connection | None = None
        checkpointer = Checkpointer(lambda: _connect(self._path, durable=True))
        while (batch := self._work.get()) is not None:
            failure: Exception | None = None
            size = 0
            try:
                if connection is None:
                    connection = _connect(self._path, durable=True)
                size = _write(connection, [record for records, _ in batch for record in records])
            except (sqlite3.Error, OSError) as error:
                failure = error
                if connection is not None:
                    connection.close()
                    connection = None
            try:
                loop.call_soon_threadsafe(self._finished, batch, failure)
            except RuntimeError:  # the loop was closed without closing the journal
                break
            if connection is not None:
                checkpointer.committed(connection, size)
        checkpointer.close()
        if connection is not None:
            connection.close()


class _Reader:
    """Reads in the order of rows, in a thread; deletes what is committed, now and then.

    Rows become visible in the order of their numbers, because SQLite has one writer at a time.
    """

    PRUNE_SECONDS, PRUNE_ROWS = 1.0, 500
    """Rows are deleted when that much time has passed, or there are so many."""
    CHUNK = 100
    """The most rows that one transaction deletes."""
    SHORT_PAUSE, LONG_PAUSE, ACTIVE_SECONDS = 0.005, 0.025, 1.0
    """How often to look for new rows: soon after there were some, and later."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read_to = 0
        """The last row that was read."""
        self._ahead: deque[Entry] = deque()
        """Entries of such rows that are still to be handed out."""
        self._outstanding: dict[int, None] = {}
        """Positions handed out and not committed, in order."""
        self._closed = False
        self._stop = threading.Event()
        self._thread: ThreadPoolExecutor | None = None
        # Of the thread:
        self._connection: sqlite3.Connection | None = None
        self._version = -1
        self._active_at = 0.0
        self._pruned_to = 0
        self._pruned_at = 0.0

    async def read(self, limit: int, wait: float) -> list[Entry]:
        """See `Journal.read`."""
        if self._closed:
            raise JournalUnavailable("the journal is closed")
        if not self._ahead:
            await self._read_rows(limit, wait)
        entries = [self._ahead.popleft() for _ in range(min(limit, len(self._ahead)))]
        self._outstanding.update((entry.position, None) for entry in entries)
        return entries

    def commit(self, entries: Sequence[Entry]) -> None:
        """See `Journal.commit`."""
        for entry in entries:
            self._outstanding.pop(entry.position, None)

    async def close(self) -> None:
        """Forget what is committed, and close the connection."""
        self._closed = True
        self._stop.set()
        if self._thread is None:
            return
        thread, self._thread = self._thread, None
        await asyncio.get_running_loop().run_in_executor(thread, self._let_go, self._done_to)
        thread.shutdown(wait=False)

    @property
    def _done_to(self) -> int:
        """All entries of the rows up to this one are committed."""
        if self._outstanding:
            return (next(iter(self._outstanding)) >> _INDEX_BITS) - 1
        if self._ahead:
            return (self._ahead[0].position >> _INDEX_BITS) - 1
        return self._read_to

    async def _read_rows(self, limit: int, wait: float) -> None:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "journal-reader")
        self._stop = stop = threading.Event()
        try:
            rows = await asyncio.get_running_loop().run_in_executor(
                self._thread, self._poll, self._read_to, self._done_to, limit, wait, stop
            )
        except (sqlite3.Error, OSError) as error:
            raise JournalUnavailable(f"{self._path} cannot be read: {error}") from error
        finally:
            stop.set()  # when this call is cancelled, the thread does not go on waiting
        for number, records in rows:
            self._read_to = number
            for index, record in enumerate(records):
                position = number << _INDEX_BITS | index
                try:
                    self._ahead.append(Entry(position, decode(record)))
                except ValueError as error:
                    log.error("journal entry skipped", position=position, reason=str(error))

    def _poll(
        self, read_to: int, done_to: int, limit: int, wait: float, stop: threading.Event
    ) -> _Rows:
        """Return the next rows: ``limit`` entries, or a few more, if there are so many.

        Waits for the first one, until told to stop.
        """
        deadline = time.monotonic() + wait
        connection = self._connection or self._open()
        try:
            while True:
                self._prune(connection, done_to)
                rows = _rows_after(connection, read_to, limit) if self._changed(connection) else []
                now = time.monotonic()
                if rows:
                    self._active_at = now
                    self._version = -1  # there may be more
                if rows or now >= deadline:
                    return rows
                active = now - self._active_at < self.ACTIVE_SECONDS
                pause = self.SHORT_PAUSE if active else self.LONG_PAUSE
                if stop.wait(min(pause, deadline - now)):
                    return []
        except sqlite3.Error:
            self._drop()
            raise

    def _changed(self, connection: sqlite3.Connection) -> bool:
        """Whether another connection has committed since the last time: cheaper than to look."""
        version = connection.execute("PRAGMA data_version").fetchone()[0]
        changed = version != self._version
        self._version = version
        return bool(changed)

    def _prune(self, connection: sqlite3.Connection, done_to: int, *, now: bool = False) -> None:
        waiting = done_to - self._pruned_to
        since = time.monotonic() - self._pruned_at
        due = now or since >= self.PRUNE_SECONDS or waiting >= self.PRUNE_ROWS
        if waiting <= 0 or not due:
            return
        self._pruned_at = time.monotonic()
        try:
            while self._pruned_to < done_to:
                # In small transactions, so that writers need not wait long.
                upto = min(done_to, self._pruned_to + self.CHUNK)
                connection.execute(
                    "DELETE FROM batch"
                    " WHERE number <= ? AND number < (SELECT max(number) FROM batch)",
                    (upto,),
                )
                self._pruned_to = upto
            connection.execute("UPDATE batch SET records = x'' WHERE number = ?", (done_to,))
        except sqlite3.Error as error:  # nothing is lost: they are deleted later
            log.warning("journal not pruned", path=str(self._path), reason=str(error))

    def _open(self) -> sqlite3.Connection:
        # Deletions need not be durable: what comes back is read again.
        connection = _connect(self._path, durable=False)
        try:
            oldest = connection.execute("SELECT min(number) FROM batch").fetchone()[0]
        except sqlite3.Error:
            connection.close()
            raise
        self._pruned_to = max(self._pruned_to, (oldest or 1) - 1)
        self._version = -1
        self._connection = connection
        return connection

    def _let_go(self, done_to: int) -> None:
        if self._connection is not None:
            self._prune(self._connection, done_to, now=True)
            self._drop()

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _write(connection: sqlite3.Connection, records: list[bytes]) -> int:
    """Write records in one transaction; return how many bytes they are."""
    most = 1 << _INDEX_BITS
    rows = [_pack(records[start : start + most]) for start in range(0, len(records), most)]
    if len(rows) == 1:
        connection.execute(_INSERT, rows)  # a transaction by itself
    else:
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(_INSERT, ((row,) for row in rows))
    return sum(map(len, rows))


def _rows_after(connection: sqlite3.Connection, number: int, limit: int) -> _Rows:
    rows: _Rows = []
    found = 0
    cursor = connection.execute(
        "SELECT number, records FROM batch WHERE number > ? AND records <> x'' ORDER BY number",
        (number,),
    )
    for row_number, packed in cursor:
        try:
            records = _unpack(packed)
        except msgspec.MsgspecError as error:
            log.error("journal row skipped", number=row_number, reason=str(error))
            records = []
        rows.append((row_number, records))
        found += len(records)
        if found >= limit:
            break
    cursor.close()  # ends the read transaction, which would hold up the write-ahead log
    return rows


def _connect(path: Path, *, durable: bool) -> sqlite3.Connection:
    """Open the file, and make it (mode 0600, its folder 0700) where there is none."""
    create_private(path)
    connection = sqlite3.connect(
        path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
        # For what no checkpointer has copied.
        connection.execute(f"PRAGMA wal_autocheckpoint = {4 * PAGES}")
        connection.execute("PRAGMA secure_delete = ON")  # addresses do not stay in unused pages
        connection.execute(_SCHEMA)
    except sqlite3.Error:
        connection.close()
        raise
    return connection
