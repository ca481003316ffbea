"""The database's connections: reading, writing in one transaction, and its errors.

Several processes share one SQLite file. It is in WAL mode, so readers and the one writer never
wait for one another, and ``synchronous=FULL``, so what is committed survives a power cut.
"""

import os
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Table, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from clicktrail.errors import InvalidInput, StoreUnavailable

BUSY_SECONDS = 15.0
"""How long a write waits for the writes of other processes."""

_READERS = 4
_PRAGMAS = (
    f"busy_timeout = {int(BUSY_SECONDS * 1000)}",  # first: the next one may need to wait
    "journal_mode = WAL",
    "synchronous = FULL",
    "foreign_keys = ON",
    "cache_size = -65536",
    "temp_store = MEMORY",
)


class Database:
    """Opens the database of a URL such as ``sqlite:////path/clicktrail.db``.

    Raises `InvalidInput` for a URL of another kind.
    """

    def __init__(self, url: str) -> None:
        self.path = _path_of(url)
        self._reader = self._engine(
            _READERS, isolation_level="AUTOCOMMIT", skip_autocommit_rollback=True
        )
        # One writer in this process: its batches queue here, in order, and not at SQLite's lock,
        # which is waited for by sleeping.
        self._writer = self._engine(1)
        event.listen(self._writer.sync_engine, "begin", _begin_immediate)

    @property
    def insert(self) -> Callable[[Table], sqlite.Insert | postgresql.Insert]:
        """``INSERT`` with ``on_conflict_do_…`` of the database in use."""
        return sqlite.insert

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """Lend a connection on which each statement sees the newest state.

        Raises `StoreUnavailable`, also for errors within the ``async with`` block.
        """
        with _Translated(self.path):
            async with self._reader.connect() as connection:
                yield connection

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[AsyncConnection]:
        """Lend a connection on which all statements see one state. Raises `StoreUnavailable`."""
        async with self.read() as connection:
            await connection.exec_driver_sql("BEGIN")
            try:
                yield connection
            finally:
                await connection.exec_driver_sql("ROLLBACK")

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """Lend a connection with a transaction that holds the write lock from its start.

        It is durable when the ``async with`` block has been left, and undone where that raises.
        Raises `StoreUnavailable`.
        """
        with _Translated(self.path):
            async with self._writer.begin() as connection:
                yield connection

    async def close(self) -> None:
        """Close all connections."""
        await self._reader.dispose()
        await self._writer.dispose()

    def create_file(self) -> None:
        """Make the file, readable for its owner only, unless it is there: it holds addresses."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
        except OSError as error:
            raise StoreUnavailable(f"the database {self.path} cannot be made: {error}") from None

    def _engine(self, connections: int, **options: Any) -> AsyncEngine:
        engine = create_async_engine(
            URL.create("sqlite+aiosqlite", database=str(self.path)),
            pool_size=connections,
            max_overflow=0,
            pool_timeout=BUSY_SECONDS * 2,
            # Transactions are begun by us, never by the driver.
            connect_args={"isolation_level": None, "timeout": BUSY_SECONDS},
            **options,
        )
        event.listen(engine.sync_engine, "connect", _prepare)
        return engine


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


class _Translated:
    """Turns the database's errors into `StoreUnavailable`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, SQLAlchemyError | sqlite3.Error):
            reason = getattr(error, "orig", None) or error
            raise StoreUnavailable(f"the database {self._path} failed: {reason}") from error


def _path_of(url: str) -> Path:
    path = url.removeprefix("sqlite:///")
    if path in ("", url):
        raise InvalidInput("the store's URL cannot be used: expected sqlite:////path/to/file.db")
    return Path(path)


def _prepare(connection: Any, _: object) -> None:
    cursor = connection.cursor()
    for pragma in _PRAGMAS:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_immediate(connection: Connection) -> None:
    # A deferred transaction that reads first and then writes fails at once with SQLITE_BUSY when
    # another process wrote in between; one that locks first waits for its turn instead.
    connection.exec_driver_sql("BEGIN IMMEDIATE")
