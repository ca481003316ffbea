"""The journal in a SQLite file of its own: durable on return, by group commit.

Writers and the reader may be different processes over the same file; several may write. It is in
WAL mode with ``synchronous=FULL``: a commit returns when the write-ahead log is on the disk.
"""

import asyncio
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import structlog

from clicktrail.errors import JournalUnavailable
from clicktrail.journal import Entry
from clicktrail.journal.record import decode, encode
from clicktrail.model import Click

log = structlog.get_logger(__name__)

BATCH = 2048
"""A commit takes no more appends once it has this many clicks."""

CHECKPOINT_PAGES = 4000
"""How long the write-ahead log grows (16 MB) before it is copied into the file."""

BUSY_SECONDS = 5.0
"""How long a connection waits for another one's transaction."""

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS click"
    " (position INTEGER PRIMARY KEY AUTOINCREMENT, record BLOB NOT NULL)"
)


def _insert(rows: int) -> str:
    values = ",".join(["(?)"] * rows)
    source = f"(VALUES {values}) WHERE column1 IS NOT NULL"
    return f"INSERT INTO click (record) SELECT column1 FROM {source}"  # noqa: S608  # only "?"s


# One statement inserts many rows, because Python's sqlite3 gives up the interpreter lock for each
# step of a statement, and a busy event loop is slow to give it back. NULL fills what is not used.
_INSERTS = tuple((rows, _insert(rows)) for rows in (1, 8, 64, 512))
_MOST_ROWS = _INSERTS[-1][0]

_Batch = list[tuple[list[bytes], "asyncio.Future[None]"]]
"""Appends: the records of each, and what tells that they are durable."""


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
        if self._busy:
            self._idle = self._loop.create_future()
            await self._idle
        self._work.put(None)
        await self._loop.run_in_executor(None, self._thread.join)
        self._thread = None

    def _start(self) -> asyncio.AbstractEventLoop:
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="journal-writer", daemon=True)
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
        if error is None:
            for _, done in batch:
                if not done.done():
                    done.set_result(None)
        else:
            failure = JournalUnavailable(f"{self._path} cannot be written: {error}")
            for _, done in batch:
                if not done.done():
                    done.set_exception(failure)
        if self._waiting:
            self._hand_over()
            return
        self._busy = False
        if self._idle is not None:
            self._idle.set_result(None)

    def _run(self) -> None:
        assert self._loop is not None  # noqa: S101  # set by _start
        connection: sqlite3.Connection | None = None
        while (batch := self._work.get()) is not None:
            failure: Exception | None = None
            try:
                if connection is None:
                    connection = _connect(self._path, durable=True)
                _write(connection, [record for records, _ in batch for record in records])
            except (sqlite3.Error, OSError) as error:
                failure = error
                if connection is not None:
                    connection.close()
                    connection = None
            try:
                self._loop.call_soon_threadsafe(self._finished, batch, failure)
            except RuntimeError:  # the loop was closed without closing the journal
                break
        if connection is not None:
            connection.close()


class _Reader:
    """Reads in the order of positions, in a thread; deletes what is committed, now and then.

    Positions become visible in their order, because SQLite has one writer at a time.
    """

    CHUNK = 1000
    PRUNE_SECONDS = 1.0
    PRUNE_ENTRIES = 5000
    SHORTEST_PAUSE, LONGEST_PAUSE = 0.005, 0.025
    ACTIVE_SECONDS = 1.0

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read_to = 0
        self._outstanding: dict[int, None] = {}
        """Positions read and not committed, in order."""
        self._closed = False
        self._stop = threading.Event()
        self._thread: ThreadPoolExecutor | None = None
        # Below: of the thread.
        self._connection: sqlite3.Connection | None = None
        self._version = -1
        self._pruned_to = 0
        self._pruned_at = 0.0

    async def read(self, limit: int, wait: float) -> list[Entry]:
        """See `Journal.read`."""
        if self._closed:
            raise JournalUnavailable("the journal is closed")
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
        return self._entries(rows)

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
        """Everything up to this position is committed."""
        return next(iter(self._outstanding), self._read_to + 1) - 1

    def _entries(self, rows: Sequence[tuple[int, bytes]]) -> list[Entry]:
        entries = []
        for position, record in rows:
            self._read_to = position
            try:
                entries.append(Entry(position, decode(record)))
            except ValueError as error:
                log.error("journal entry skipped", position=position, reason=str(error))
            else:
                self._outstanding[position] = None
        return entries

    def _poll(
        self, read_to: int, done_to: int, limit: int, wait: float, stop: threading.Event
    ) -> list[tuple[int, bytes]]:
        """Return the next rows; wait for the first one until then, or until told to stop."""
        started = time.monotonic()
        connection = self._connection or self._open()
        try:
            self._prune(connection, done_to)
            while True:
                rows = (
                    self._changed(connection)
                    and connection.execute(
                        "SELECT position, record FROM click WHERE position > ?"
                        " ORDER BY position LIMIT ?",
                        (read_to, limit),
                    ).fetchall()
                )
                waited = time.monotonic() - started
                if rows or waited >= wait:
                    if rows:
                        self._version = -1  # there may be more
                    return rows or []
                pause = self.SHORTEST_PAUSE if waited < self.ACTIVE_SECONDS else self.LONGEST_PAUSE
                if stop.wait(min(pause, wait - waited)):
                    return []
                self._prune(connection, done_to)
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
        if waiting <= 0 or not (
            now or since >= self.PRUNE_SECONDS or waiting >= self.PRUNE_ENTRIES
        ):
            return
        try:
            while self._pruned_to < done_to:
                # In small transactions, so that writers need not wait long.
                upto = min(done_to, self._pruned_to + self.CHUNK)
                connection.execute("DELETE FROM click WHERE position <= ?", (upto,))
                self._pruned_to = upto
        except sqlite3.Error as error:  # nothing is lost: they are deleted later
            log.warning("journal not pruned", path=str(self._path), reason=str(error))
        self._pruned_at = time.monotonic()

    def _open(self) -> sqlite3.Connection:
        # Deletions need not be durable: what comes back is read again.
        connection = _connect(self._path, durable=False)
        oldest = connection.execute("SELECT min(position) FROM click").fetchone()[0]
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


def _write(connection: sqlite3.Connection, records: list[bytes]) -> None:
    """Write records in one transaction."""
    if len(records) <= _MOST_ROWS:
        _insert_rows(connection, records)  # one statement is a transaction by itself
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        for start in range(0, len(records), _MOST_ROWS):
            _insert_rows(connection, records[start : start + _MOST_ROWS])
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _insert_rows(connection: sqlite3.Connection, records: list[bytes]) -> None:
    count = len(records)
    rows, statement = next(insert for insert in _INSERTS if count <= insert[0])
    connection.execute(statement, [*records, *(None,) * (rows - count)])


def _connect(path: Path, *, durable: bool) -> sqlite3.Connection:
    """Open the file, and make it (mode 0600, its folder 0700) where there is none."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    connection = sqlite3.connect(
        path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        connection.execute(_SCHEMA)
    except sqlite3.Error:
        connection.close()
        raise
    return connection
