"""Reads the journal's SQLite file in the order of its rows, and deletes what is committed."""

import asyncio
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from clicktrail.base.complaints import database_complaint
from clicktrail.base.logs import get_logger
from clicktrail.errors import JournalUnavailable
from clicktrail.journal import Entry
from clicktrail.journal.record import decode
from clicktrail.journal.sqlite_checkpoint import empty
from clicktrail.journal.sqlite_damage import identity, is_damage, set_aside
from clicktrail.journal.sqlite_file import INDEX_BITS, Connection, connect
from clicktrail.journal.undecodable import FOLDER, keep
from clicktrail.model import Click

log = get_logger(__name__)

_unpack = msgspec.msgpack.Decoder(list[bytes]).decode

_Rows = list[tuple[int, list[Click]]]


class Reader:
    """Reads in the order of rows, in a thread; deletes what is committed, now and then.

    Rows become visible in the order of their numbers, because SQLite has one writer at a time.
    """

    PRUNE_SECONDS, PRUNE_ROWS = 1.0, 500
    """Rows are deleted when that much time has passed, or there are so many."""
    CHUNK = 100
    """The most rows that one transaction deletes."""
    SHORT_PAUSE, LONG_PAUSE, ACTIVE_SECONDS = 0.005, 0.025, 1.0
    """How often to look for new rows: soon after there were some, and later."""
    IDLE_SECONDS = 1.0
    """Without a click for so long, the write-ahead log is emptied: it holds what was deleted."""

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
        self._connection: Connection | None = None
        self._before = 0
        """The last row of files that were there before this one: its own are counted from there."""
        self._opened: tuple[int, int] | None = None
        """Which file that is."""
        self._version = -1
        self._active_at = 0.0
        self._empty = False
        """Nothing was written since the log was emptied."""
        self._emptied_at = 0.0
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
            return (next(iter(self._outstanding)) >> INDEX_BITS) - 1
        if self._ahead:
            return (self._ahead[0].position >> INDEX_BITS) - 1
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
            why = database_complaint(error, self._path)
            raise JournalUnavailable(f"{self._path} cannot be read: {why}") from error
        finally:
            stop.set()  # when this call is cancelled, the thread does not go on waiting
        for number, clicks in rows:
            self._read_to = number
            for index, click in enumerate(clicks):
                self._ahead.append(Entry(number << INDEX_BITS | index, click))

    def _poll(
        self, read_to: int, done_to: int, limit: int, wait: float, stop: threading.Event
    ) -> _Rows:
        """Return the next rows: ``limit`` entries, or a few more, if there are so many.

        Waits for the first one, until told to stop.
        """
        deadline = time.monotonic() + wait
        connection = self._connection or self._open(read_to)
        try:
            while True:
                if identity(self._path) != connection.identity:
                    self._drop()
                    connection = self._open(read_to)
                self._prune(connection, done_to)
                changed = self._changed(connection)
                rows = self._rows_after(connection, read_to, limit) if changed else []
                now = time.monotonic()
                if rows:
                    self._active_at = now
                    self._empty = False
                    self._version = -1  # there may be more
                if rows or now >= deadline:
                    return rows
                if not self._empty and read_to <= done_to <= self._pruned_to:
                    self._empty_log(connection, now)
                active = now - self._active_at < self.ACTIVE_SECONDS
                pause = self.SHORT_PAUSE if active else self.LONG_PAUSE
                if stop.wait(min(pause, deadline - now)):
                    return []
        except sqlite3.Error as error:
            self._drop()
            if is_damage(error):
                set_aside(self._path, connection.identity, error)
            raise
        except OSError:  # what is no click could not be kept: the rows are read again
            self._version = -1
            raise

    def _rows_after(self, connection: sqlite3.Connection, number: int, limit: int) -> _Rows:
        rows: _Rows = []
        found = 0
        cursor = connection.execute(
            "SELECT number, records FROM batch WHERE number > ? AND records <> x'' ORDER BY number",
            (number - self._before,),
        )
        for row_number, packed in cursor:
            clicks = self._clicks_of(packed)
            rows.append((self._before + row_number, clicks))
            found += len(clicks)
            if found >= limit:
                break
        cursor.close()  # ends the read transaction, which would hold up the write-ahead log
        return rows

    def _clicks_of(self, packed: Any) -> list[Click]:
        """Return the clicks of a row; what is none is kept, durably, before the row may go."""
        folder = self._path.parent / FOLDER
        try:
            records = _unpack(packed)
        except (msgspec.MsgspecError, TypeError) as error:
            raw = packed if isinstance(packed, bytes) else str(packed).encode("utf-8", "replace")
            keep(folder, raw, str(error))
            return []
        clicks = []
        for record in records:
            try:
                clicks.append(decode(record))
            except ValueError as error:
                keep(folder, record, str(error))
        return clicks

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
                    (upto - self._before,),
                )
                self._pruned_to = upto
            connection.execute(
                "UPDATE batch SET records = x'' WHERE number = ?", (done_to - self._before,)
            )
            self._empty = False
        except sqlite3.Error as error:  # nothing is lost: they are deleted later
            log.warning("journal not pruned", path=str(self._path), reason=error)

    def _empty_log(self, connection: sqlite3.Connection, now: float) -> None:
        """Empty the log when nobody has clicked for a while; else it is tried again."""
        if now - max(self._active_at, self._emptied_at) < self.IDLE_SECONDS:
            return
        self._emptied_at = now
        try:
            self._empty = empty(connection)
        except sqlite3.Error as error:
            log.warning("the journal's log was not emptied", reason=error)

    def _open(self, read_to: int) -> Connection:
        seen = identity(self._path)
        try:
            # Deletions need not be durable: what comes back is read again.
            connection = connect(self._path, durable=False)
        except sqlite3.Error as error:
            if is_damage(error):
                set_aside(self._path, seen, error)
            raise
        if connection.identity != self._opened:  # another file, whose rows begin anew
            self._opened = connection.identity
            self._before = self._pruned_to = read_to
            self._empty = False
        try:
            oldest = connection.execute("SELECT min(number) FROM batch").fetchone()[0]
        except sqlite3.Error as error:
            connection.close()
            if is_damage(error):
                set_aside(self._path, connection.identity, error)
            raise
        self._pruned_to = max(self._pruned_to, self._before + (oldest or 1) - 1)
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


def forget_read(path: Path, seconds: float) -> bool:
    """Leave nothing in the journal of clicks that are counted by now. Blocks.

    Waits up to so many seconds for a reader to count and delete what is there. Returns whether
    that, and emptying the log, has worked. Raises `JournalUnavailable`.
    """
    if not path.exists():
        return True
    deadline = time.monotonic() + seconds
    try:
        with closing(connect(path, durable=False)) as connection:
            last = connection.execute("SELECT max(number) FROM batch").fetchone()[0] or 0
            while True:
                waiting = connection.execute(
                    "SELECT count(*) FROM batch WHERE number <= ? AND records <> x''", (last,)
                ).fetchone()[0]
                if empty(connection) and not waiting:
                    return True
                if time.monotonic() >= deadline:
                    return False
                time.sleep(0.05)
    except (sqlite3.Error, OSError) as error:
        why = database_complaint(error, path)
        raise JournalUnavailable(f"{path} cannot be read: {why}") from error


def oldest_waiting(path: Path) -> int | None:
    """Return when the oldest click was made that is not counted yet, in microseconds since 1970.

    ``None`` where none waits, or nothing can be read: whoever needs it says so. A click stays here
    for a second after it was counted. Blocks.
    """
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as journal:
            row = journal.execute(_OLDEST).fetchone()
        return decode(_unpack(row[0])[0]).clicked_at if row else None
    except (sqlite3.Error, msgspec.MsgspecError, ValueError, IndexError):
        return None


_OLDEST = "SELECT records FROM batch WHERE records <> x'' ORDER BY number LIMIT 1"
