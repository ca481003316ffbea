"""The database's connections: reading, writing in one transaction, and its errors.

A unit of work is a plain function of a connection. It runs in a thread, from its first statement
to its commit, so that the event loop is left alone and a transaction costs one change of threads
and not one for each statement.

Several processes share one SQLite file. It is in WAL mode (`clicktrail.store.migrate`), so readers
and the one writer never wait for one another, and ``synchronous=FULL``, so what is committed
survives a power cut.
"""

import asyncio
import fcntl
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TextIO, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import SQLAlchemyError

from clicktrail.errors import InvalidInput, StoreUnavailable
from clicktrail.files import create_private

T = TypeVar("T")
Work = Callable[[Connection], T]
"""What is done with a connection, within one transaction."""

BUSY_SECONDS = 15.0
"""How long a write waits for the writes of other processes."""

WAIT_SECONDS = 30.0
"""How long a call waits in all, also for calls of this process that came before."""

FLUSH_TRIES, FLUSH_MILLISECONDS = 10, 200

_READERS = 4
_PRAGMAS = (
    f"busy_timeout = {int(BUSY_SECONDS * 1000)}",
    "synchronous = FULL",
    "foreign_keys = ON",
    "wal_autocheckpoint = 4000",  # 16 MB: pages that change all the time are copied less often
    "temp_store = MEMORY",
    # What is deleted is overwritten: an erased person shall not be found in the file. Some builds
    # of SQLite do so by themselves, others do not.
    "secure_delete = ON",
)
_WRITER_CACHE, _READER_CACHE = "cache_size = -8192", "cache_size = -1024"
"""Each connection has one, in KiB: what a transaction writes, or reads again and again. More is the
system's to remember, once for all processes."""


class Database:
    """Opens the database of a URL such as ``sqlite:////path/clicktrail.db``.

    Raises `InvalidInput` for a URL of another kind.
    """

    def __init__(self, url: str) -> None:
        self.path = _path_of(url)
        self._reader = _engine(self.path, _READERS, "BEGIN", _READER_CACHE)
        # A deferred transaction that reads first and then writes fails at once with SQLITE_BUSY
        # when another process wrote in between; one that locks first waits for its turn instead.
        self._writer = _engine(self.path, 1, "BEGIN IMMEDIATE", _WRITER_CACHE)
        self._read_threads = ThreadPoolExecutor(_READERS, "store-read")
        # One thread: the writes of this process queue here, in order, and not at SQLite's lock,
        # which is waited for by sleeping.
        self._write_thread = ThreadPoolExecutor(1, "store-write")
        self._turns = _Turns(lock_path(self.path))
        self._closed = False

    async def read(self, work: Work[T]) -> T:
        """Run ``work`` in a transaction in which all statements see one state.

        Raises `StoreUnavailable`, and what ``work`` raises.
        """
        return await self._run(self._read_threads, lambda: self._transact(self._reader, work))

    async def write(self, work: Work[T]) -> T:
        """Run ``work`` in a transaction that holds the write lock from its start.

        What it wrote is durable on return, and undone where it raises. A call that is cancelled
        or that takes too long may have written all the same. Raises `StoreUnavailable`, and what
        ``work`` raises.
        """

        def run() -> T:
            with self._turns:
                return self._transact(self._writer, work)

        return await self._run(self._write_thread, run)

    async def flush(self) -> bool:
        """Move what was written from the log into the file, and empty the log.

        The log holds earlier states of pages, and with them what was deleted since. Returns
        whether it worked: somebody who reads for long holds it up. Raises `StoreUnavailable`.
        """

        def run() -> bool:
            connection = self._writer.raw_connection()
            try:
                cursor = connection.cursor()
                # Others must not wait for long readers: then it is tried again.
                cursor.execute(f"PRAGMA busy_timeout = {FLUSH_MILLISECONDS}")
                with self._turns:
                    [busy, *_] = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                cursor.execute(f"PRAGMA busy_timeout = {int(BUSY_SECONDS * 1000)}")
            finally:
                connection.close()
            return not busy

        for _ in range(FLUSH_TRIES):
            if await self._run(self._write_thread, run):
                return True
            await asyncio.sleep(FLUSH_MILLISECONDS / 1000)
        return False

    async def close(self) -> None:
        """Finish what was begun, and close all connections."""
        self._closed = True
        for threads in (self._read_threads, self._write_thread):
            await asyncio.to_thread(threads.shutdown)
        for engine in (self._reader, self._writer):
            engine.dispose()
        self._turns.close()

    def create_file(self) -> None:
        """Make the file, readable for its owner only, unless it is there: it holds addresses."""
        try:
            create_private(self.path)
        except OSError as error:
            raise StoreUnavailable(f"the database {self.path} cannot be made: {error}") from None

    def _transact(self, engine: Engine, work: Work[T]) -> T:
        with engine.begin() as connection:
            return work(connection)

    async def _run(self, threads: ThreadPoolExecutor, run: Callable[[], T]) -> T:
        if self._closed:
            raise StoreUnavailable(f"the database {self.path} was closed")
        # When this is cancelled while it waits for a thread, it is not run at all.
        running = asyncio.get_running_loop().run_in_executor(threads, run)
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                return await running
        except TimeoutError:
            raise StoreUnavailable(
                f"the database {self.path} is busy: no turn within {WAIT_SECONDS:g} seconds"
            ) from None
        except (SQLAlchemyError, sqlite3.Error, OSError) as error:
            reason = getattr(error, "orig", None) or error
            raise StoreUnavailable(f"the database {self.path} failed: {reason}") from error


class _Turns:
    """Lets one process write at a time, those that wait as soon as the one before has ended.

    SQLite's own lock is waited for by sleeping and looking again, so that a process that writes
    without a pause leaves the others none. The system frees the lock of a process that dies.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: TextIO | None = None

    def __enter__(self) -> None:
        if self._file is None:
            self._file = self._path.open("a")
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


def lock_path(path: Path) -> Path:
    """Return the file whose lock a process holds while it writes or migrates."""
    return path.with_name(path.name + ".lock")


def storable(text: str) -> str:
    """Return a text as a database can hold it.

    Bytes that were smuggled in as surrogates (PEP 383) become the UTF-8 that they are; what is
    none, and NUL characters, become U+FFFD.
    """
    if text.isascii() and "\0" not in text:
        return text
    try:
        text = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    except UnicodeEncodeError:
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text.replace("\0", "\ufffd")


def _path_of(url: str) -> Path:
    path = url.removeprefix("sqlite:///")
    if path in ("", url):
        raise InvalidInput("the store's URL cannot be used: expected sqlite:////path/to/file.db")
    return Path(path)


def _engine(path: Path, connections: int, begin: str, cache: str) -> Engine:
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        pool_size=connections,
        max_overflow=0,
        # Transactions are begun by us, never by the driver. A connection is used by one thread at
        # a time, but not always by the same one.
        connect_args={
            "isolation_level": None,
            "timeout": BUSY_SECONDS,
            "check_same_thread": False,
        },
    )
    event.listen(engine, "connect", lambda connection, _: _prepare(connection, cache))
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))
    return engine


def _prepare(connection: Any, cache: str) -> None:
    cursor = connection.cursor()
    for pragma in (*_PRAGMAS, cache):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
