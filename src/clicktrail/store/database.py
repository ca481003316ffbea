"""The database's connections: reading, writing in one transaction, and its errors.

A unit of work is a plain function of a connection. It runs in a thread, from its first statement
to its commit, so that the event loop is left alone and a transaction costs one change of threads
and not one for each statement.

Several processes share one SQLite file. It is in WAL mode, so readers and the one writer never
wait for one another, and ``synchronous=FULL``, so what is committed survives a power cut.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import SQLAlchemyError

from clicktrail.errors import InvalidInput, StoreUnavailable
from clicktrail.files import create_private

T = TypeVar("T")
Work = Callable[[Connection], T]
"""What is done with a connection, within one transaction."""

BUSY_SECONDS = 15.0
"""How long a write waits for the writes of other processes."""

_READERS = 4
_PRAGMAS = (
    f"busy_timeout = {int(BUSY_SECONDS * 1000)}",  # first: the next one may need to wait
    "journal_mode = WAL",
    "synchronous = FULL",
    "foreign_keys = ON",
    "wal_autocheckpoint = 4000",  # 16 MB: pages that change all the time are copied less often
    "cache_size = -65536",
    "temp_store = MEMORY",
)


class Database:
    """Opens the database of a URL such as ``sqlite:////path/clicktrail.db``.

    Raises `InvalidInput` for a URL of another kind.
    """

    def __init__(self, url: str) -> None:
        self.path = _path_of(url)
        self._reader = _engine(self.path, _READERS, "BEGIN")
        # A deferred transaction that reads first and then writes fails at once with SQLITE_BUSY
        # when another process wrote in between; one that locks first waits for its turn instead.
        self._writer = _engine(self.path, 1, "BEGIN IMMEDIATE")
        self._read_threads = ThreadPoolExecutor(_READERS, "store-read")
        # One thread: the writes of this process queue here, in order, and not at SQLite's lock,
        # which is waited for by sleeping.
        self._write_thread = ThreadPoolExecutor(1, "store-write")
        self._closed = False

    async def read(self, work: Work[T]) -> T:
        """Run ``work`` in a transaction in which all statements see one state.

        Raises `StoreUnavailable`, and what ``work`` raises.
        """
        return await self._run(self._read_threads, self._reader, work)

    async def write(self, work: Work[T]) -> T:
        """Run ``work`` in a transaction that holds the write lock from its start.

        What it wrote is durable on return, and undone where it raises. A call that is cancelled
        may have written all the same. Raises `StoreUnavailable`, and what ``work`` raises.
        """
        return await self._run(self._write_thread, self._writer, work)

    async def close(self) -> None:
        """Finish what was begun, and close all connections."""
        self._closed = True
        for threads in (self._read_threads, self._write_thread):
            await asyncio.to_thread(threads.shutdown)
        for engine in (self._reader, self._writer):
            engine.dispose()

    def create_file(self) -> None:
        """Make the file, readable for its owner only, unless it is there: it holds addresses."""
        try:
            create_private(self.path)
        except OSError as error:
            raise StoreUnavailable(f"the database {self.path} cannot be made: {error}") from None

    async def _run(self, threads: ThreadPoolExecutor, engine: Engine, work: Work[T]) -> T:
        def run() -> T:
            try:
                with engine.begin() as connection:
                    return work(connection)
            except (SQLAlchemyError, sqlite3.Error) as error:
                reason = getattr(error, "orig", None) or error
                raise StoreUnavailable(f"the database {self.path} failed: {reason}") from error

        if self._closed:
            raise StoreUnavailable(f"the database {self.path} was closed")
        return await asyncio.get_running_loop().run_in_executor(threads, run)


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


def _engine(path: Path, connections: int, begin: str) -> Engine:
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
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))
    return engine


def _prepare(connection: Any, _: object) -> None:
    cursor = connection.cursor()
    for pragma in _PRAGMAS:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
