"""The database's connections: reading, writing in one transaction, and its errors.

A unit of work is a plain function of a connection. It runs in a thread, from its first statement
to its commit, so that the event loop is left alone and a transaction costs one change of threads
and not one for each statement.

`sqlite` and `postgresql` tell how each database does it.
"""

import asyncio
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from clicktrail.base.redact import reason_of
from clicktrail.errors import StoreUnavailable

T = TypeVar("T")
Work = Callable[[Connection], T]
"""What is done with a connection, within one transaction. It may be done again from the start."""

WAIT_SECONDS = 30.0
"""How long a call waits in all, also for calls of this process that came before."""


class Database(ABC):
    """One database. ``name`` is how errors call it: no password is in it."""

    def __init__(self, name: str, reader: Engine, writer: Engine, readers: int, writers: int):
        self.name = name
        self._reader = reader
        self._writer = writer
        self._read_threads = ThreadPoolExecutor(readers, "store-read")
        self._write_threads = ThreadPoolExecutor(writers, "store-write")
        self._closed = False

    async def read(self, work: Work[T]) -> T:
        """Run ``work`` in a transaction in which all statements see one state.

        Raises `StoreUnavailable`, and what ``work`` raises.
        """
        return await self._run(self._read_threads, lambda: self._transact(self._reader, work))

    async def write(self, work: Work[T]) -> T:
        """Run ``work`` in a transaction that may write.

        What it wrote is durable on return, and undone where it raises. A call that is cancelled
        or that takes too long may have written all the same. Raises `StoreUnavailable`, and what
        ``work`` raises.
        """
        return await self._run(self._write_threads, lambda: self._write(work))

    @abstractmethod
    def prepare(self) -> None:
        """Make the database where it is missing, and bring it to the newest schema. Blocks.

        Several processes may do so at once. Raises `StoreUnavailable`.
        """

    @abstractmethod
    async def flush(self) -> bool:
        """Leave as little as can be of what was deleted; return whether that worked."""

    async def tidy(self) -> None:  # noqa: B027 - most databases need it not
        """Do the same where nobody has written since the last call, and at no one's cost.

        Raises `StoreUnavailable`.
        """

    async def rewrite(self) -> None:  # noqa: B027 - as above
        """Write the file anew, without what belongs to nothing. Raises `StoreUnavailable`."""

    async def close(self) -> None:
        """Finish what was begun, and close all connections."""
        self._closed = True
        for threads in (self._read_threads, self._write_threads):
            await asyncio.to_thread(threads.shutdown)
        for engine in (self._reader, self._writer):
            engine.dispose()

    def _write(self, work: Work[T]) -> T:
        return self._transact(self._writer, work)

    def _transact(self, engine: Engine, work: Work[T]) -> T:
        with engine.begin() as connection:
            return work(connection)

    async def _run(
        self,
        threads: ThreadPoolExecutor,
        run: Callable[[], T],
        *,
        endless: bool = False,
    ) -> T:
        if self._closed:
            raise StoreUnavailable(f"the database {self.name} was closed")
        # When this is cancelled while it waits for a thread, it is not run at all.
        running = asyncio.get_running_loop().run_in_executor(threads, run)
        try:
            async with asyncio.timeout(None if endless else WAIT_SECONDS):
                return await running
        except TimeoutError:
            raise StoreUnavailable(
                f"the database {self.name} is busy: no turn within {WAIT_SECONDS:g} seconds"
            ) from None
        except (SQLAlchemyError, sqlite3.Error, OSError) as error:
            raise StoreUnavailable(
                f"the database {self.name} failed: {self._why(error)}"
            ) from error

    def _why(self, error: Exception) -> str:
        """Say what is wrong."""
        return reason_of(error)


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
