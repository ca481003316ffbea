"""Checkpoints of the journal's write-ahead log, beside its writer.

SQLite copies the log into the file within a commit ("Checkpointing", sqlite.org/wal.html): some
tens of milliseconds, now and then, for which everybody waits who clicks then. Here a thread copies
most of it while commits go on; what was written meanwhile is little, and the writer copies that
between two commits. Then the log is all in the file, and begins anew.
"""

import queue
import sqlite3
import threading
from collections.abc import Callable

from clicktrail.base.logs import get_logger

log = get_logger(__name__)

PAGES = 500
"""How long the log grows (2 MB) before it is copied."""

PAGE_SIZE = 4096

_NOT_COPIED = "the journal's log was not copied"  # SQLite will, within a commit, later


class Checkpointer:
    """Copies the log; ``connect`` opens a connection for the thread, which starts when needed.

    All methods are called by the writer's thread.
    """

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        self._connect = connect
        self._pages = 0
        """Written since the log began, at a guess."""
        self._asked: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._copying = False
        self._copied = False
        """Whether the thread has copied, and the rest is the writer's to copy."""

    def committed(self, connection: sqlite3.Connection, size: int) -> None:
        """Take note of a commit of ``size`` bytes, made with that connection."""
        self._pages += size // PAGE_SIZE + 2  # a page of the table's tree, and one begun
        if self._copied:
            self._copied = self._copying = False
            self._pages = 0
            _copy(connection)
        elif self._pages >= PAGES and not self._copying:
            self._copying = True
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="journal-checkpoint", daemon=True
                )
                self._thread.start()
            self._asked.put(True)

    def close(self) -> None:
        """End the thread."""
        if self._thread is not None:
            self._asked.put(False)
            self._thread.join()

    def _run(self) -> None:
        connection: sqlite3.Connection | None = None
        while self._asked.get():
            try:
                connection = connection or self._connect()
            except (sqlite3.Error, OSError) as error:
                log.warning(_NOT_COPIED, reason=error)
            else:
                _copy(connection)
            self._copied = True
        if connection is not None:
            connection.close()


def empty(connection: sqlite3.Connection) -> bool:
    """Copy all of the log into the file, and cut it to no bytes.

    The log holds earlier states of pages, and with them what was deleted since. Returns whether it
    worked: who reads or writes just now holds it up, and is not kept waiting. Raises
    `sqlite3.Error`.
    """
    [milliseconds] = connection.execute("PRAGMA busy_timeout").fetchone()
    connection.execute("PRAGMA busy_timeout = 0")
    try:
        # Most of it beside the writers; what is left is done in no time while they are held up.
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        [busy, *_] = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    finally:
        connection.execute(f"PRAGMA busy_timeout = {milliseconds}")
    return not busy


def _copy(connection: sqlite3.Connection) -> None:
    try:
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()  # makes no writer wait
    except sqlite3.Error as error:
        log.warning(_NOT_COPIED, reason=error)
