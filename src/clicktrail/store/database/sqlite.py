"""The store in one SQLite file, which several processes share.

It is in WAL mode (`migrate`), so readers and the one writer never wait for one
another, and ``synchronous=FULL``, so what is committed survives a power cut.
"""

import asyncio
import fcntl
import sqlite3
from functools import lru_cache, partial
from importlib import import_module
from pathlib import Path
from typing import Any, TextIO

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import OperationalError

from clicktrail.base.complaints import UNDECODED, database_complaint, named_complaint
from clicktrail.base.files import create_private, is_orphaned, open_lock
from clicktrail.base.redact import reason_of
from clicktrail.errors import InvalidInput, StoreUnavailable
from clicktrail.store.database.core import Database, T, Work
from clicktrail.store.database.migrate import lock_path, migrate

BUSY_SECONDS = 15.0
"""How long a write waits for the writes of other processes."""

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


class SqliteDatabase(Database):
    """Opens the database of a URL such as ``sqlite:////path/clicktrail.db``.

    Raises `InvalidInput` for a URL of another kind.
    """

    def __init__(self, url: str) -> None:
        self.path = _path_of(url)
        super().__init__(
            str(self.path),
            _engine(self.path, _READERS, "BEGIN", _READER_CACHE),
            # A deferred transaction that reads first and then writes fails at once with
            # SQLITE_BUSY when another process wrote in between; one that locks first waits for
            # its turn instead.
            _engine(self.path, 1, "BEGIN IMMEDIATE", _WRITER_CACHE),
            _READERS,
            # One thread: the writes of this process queue here, in order, and not at SQLite's
            # lock, which is waited for by sleeping.
            1,
        )
        self._turns = _Turns(lock_path(self.path))
        self._log = (0, 0)
        """Size and time of the log when `tidy` looked last."""

    def prepare(self) -> None:
        """Make the file, readable for its owner only, and bring it to the newest schema.

        It holds addresses. Blocks. Raises `StoreUnavailable`.
        """
        try:
            if is_orphaned(self.path):
                raise StoreUnavailable(
                    f"the database {self.path} is empty or gone, and its log is there: put a backup"
                    " of the database back (docs/operations.md), and move the log away"
                )
            create_private(self.path)
        except OSError as error:
            raise StoreUnavailable(
                f"the database {self.path} cannot be made: {named_complaint(error)}"
            ) from None
        migrate(self.path)

    async def flush(self) -> bool:
        """Move what was written from the log into the file, and empty the log.

        The log holds earlier states of pages, and with them what was deleted since. Returns
        whether it worked: somebody who reads for long holds it up. Raises `StoreUnavailable`.
        """
        # Others must not wait for long readers: then it is tried again.
        flush = partial(self._empty_log, FLUSH_MILLISECONDS)
        for _ in range(FLUSH_TRIES):
            if await self._run(self._write_threads, flush):
                return True
            await asyncio.sleep(FLUSH_MILLISECONDS / 1000)
        return False

    async def tidy(self) -> None:
        """See `Database.tidy`."""
        try:
            found = self.path.with_name(self.path.name + "-wal").stat()
        except OSError:
            return
        before, self._log = self._log, (found.st_size, found.st_mtime_ns)
        if found.st_size and self._log == before:
            await self._run(self._write_threads, partial(self._empty_log, 0))

    async def rewrite(self) -> None:
        """See `Database.rewrite`: it takes as much room again, and others wait to write."""
        await self._run(self._write_threads, self._vacuum, endless=True)

    def _vacuum(self) -> None:
        connection = self._writer.raw_connection()
        try:
            with self._turns:
                connection.cursor().execute("VACUUM")
        finally:
            connection.close()

    def _empty_log(self, milliseconds: int) -> bool:
        """Empty the log, or return ``False`` where readers hold it up for that long."""
        connection = self._writer.raw_connection()
        try:
            cursor = connection.cursor()
            cursor.execute(f"PRAGMA busy_timeout = {milliseconds}")
            try:
                with self._turns:
                    [busy, *_] = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            finally:
                cursor.execute(f"PRAGMA busy_timeout = {int(BUSY_SECONDS * 1000)}")
        finally:
            connection.close()
        return not busy

    async def close(self) -> None:
        """Finish what was begun, and close all connections."""
        await super().close()
        self._turns.close()

    def _why(self, error: Exception) -> str:
        return database_complaint(error, self.path)

    def _write(self, work: Work[T]) -> T:
        with self._turns:
            return super()._write(work)

    def _transact(self, engine: Engine, work: Work[T]) -> T:
        """See `Database._transact`. Text that is damaged is read as far as it can be.

        One byte of a row must not hold up all others for good.
        """
        try:
            return super()._transact(engine, work)
        except (OperationalError, sqlite3.OperationalError) as error:
            if not str(getattr(error, "orig", error)).startswith(UNDECODED):
                raise
            _tell_damage(reason_of(error))
        with engine.begin() as connection:
            driver = _driver(connection)
            driver.text_factory = _as_far_as_it_can_be
            try:
                return work(connection)
            finally:
                driver.text_factory = str


@lru_cache(100)
def _tell_damage(reason: str) -> None:
    # Loaded here: each command on the store comes by, has nothing to tell, and starts sooner.
    log = import_module("clicktrail.base.logs").get_logger(__name__)
    log.error("text in the database is damaged", reason=reason)


_as_far_as_it_can_be = partial(str, encoding="utf-8", errors="replace")


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
            self._file = open_lock(self._path)
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _path_of(url: str) -> Path:
    path = url.removeprefix("sqlite:///")
    if path in ("", url):
        raise InvalidInput(
            "the store's URL cannot be used: expected sqlite:////path/to/file.db"
            " or postgresql://user:password@host/database"
        )
    return Path(path)


def _engine(path: Path, connections: int, begin: str, cache: str) -> Engine:
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        hide_parameters=True,
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
    event.listen(engine, "begin", lambda connection: _driver(connection).execute(begin))
    return engine


def _driver(connection: Connection) -> sqlite3.Connection:
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    return driver


def _prepare(connection: Any, cache: str) -> None:
    cursor = connection.cursor()
    for pragma in (*_PRAGMAS, cache):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
