"""What is damaged of the indexes by which emails are found, and how it is built anew.

The indexes hold nothing that is not kept elsewhere: emails, clicks and erasing go on without. Who
writes to one and finds it damaged builds it anew; who reads it says what to run.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from clicktrail.base.logs import get_logger
from clicktrail.errors import StoreUnavailable
from clicktrail.store.database.core import Database, Work
from clicktrail.store.database.partitions import PENDING_KILOBYTES
from clicktrail.store.database.turns import ERASING, INDEXING, take_turn
from clicktrail.store.mail.tables import message_numbers

log = get_logger(__name__)

T = TypeVar("T")

MADE_BY = (
    "CREATE VIRTUAL TABLE message_index USING fts5(text, content = '', columnsize = 0,"
    " detail = none, tokenize = 'trigram case_sensitive 1')"
)
"""SQLite's index."""
REMOVED_AT_ONCE = 500
"""Rows of a damaged index that one transaction removes: blocks of up to 4 KB, most of them."""

# sqlite.org/rescode.html. FTS5 has more than CORRUPT for what it cannot read: ERROR where its
# tables are not there or say nothing (as where it is not there itself), CONSTRAINT where they
# contradict one another.
_SQLITE = {1, 11, 19}
# PostgreSQL, appendix A: data_corrupted, index_corrupted.
_POSTGRESQL = {"XX001", "XX002"}

_TABLES = {"data": "id", "idx": "", "config": ""}
"""FTS5's own tables (SQLite, "FTS5", § 9), with the key of those that are removed in portions."""
DAMAGED, FORMER = "damaged_index_", "former_index_"
"""How the names begin of what is put aside: damaged, or of an earlier version."""
_LEFT = (
    "SELECT name FROM sqlite_master WHERE type = 'table'"  # noqa: S608 - our own names
    f" AND (name GLOB '{DAMAGED}*' OR name GLOB '{FORMER}*') ORDER BY name"
)


class IndexDamaged(StoreUnavailable):
    """The index by which emails are found cannot be used; all else can."""


@contextmanager
def on_index() -> Iterator[None]:
    """Tell damage of the index from all else that statements on it alone fail with.

    Raises `IndexDamaged`.
    """
    try:
        yield
    except (DBAPIError, sqlite3.Error) as error:  # the driver's own, from `BulkInsert`
        if not _is_damage(error):
            raise
        raise IndexDamaged(
            "the index by which emails are found is damaged: run `clicktrail repair`, which builds"
            " it anew"
        ) from error


def _is_damage(error: DBAPIError | sqlite3.Error) -> bool:
    own = error.orig if isinstance(error, DBAPIError) else error
    code = getattr(own, "sqlite_errorcode", None)
    if code is not None:
        return code & 0xFF in _SQLITE  # the rest tells more of it
    return getattr(own, "sqlstate", None) in _POSTGRESQL


async def write_with_index(database: Database, work: Work[T]) -> T:
    """Do as `Database.write`; where the index is in the way of it, that is built anew first."""
    try:
        return await database.write(partial(_flushed, work))
    except IndexDamaged as error:
        log.error(
            "the index by which emails are found is damaged, and is built anew: they are found"
            " again when the publisher is done with them",
            reason=error.__cause__,
        )
    with suppress(IndexDamaged):  # what is left of the old one is in nobody's way
        await build_anew(database)
    return await database.write(partial(_flushed, work))


def _flushed(work: Work[T], connection: Connection) -> T:
    """Work; what FTS5 would write at the commit, which may fail for other reasons, is written."""
    done = work(connection)
    if connection.dialect.name != "postgresql":
        with on_index():
            connection.exec_driver_sql("SAVEPOINT of_index")
            connection.exec_driver_sql("RELEASE of_index")
    return done


async def build_anew(database: Database) -> None:
    """Begin a new index, which the publisher fills, and remove the old one, whatever is in there.

    Raises `IndexDamaged` where something of it stays (`remove_damaged`), and `StoreUnavailable`.
    """
    await database.write(begin_anew)
    await remove_damaged(database)


def never() -> bool:
    """Say that nobody ends what is at work."""
    return False


async def remove_damaged(
    database: Database, pause: float = 0.0, ended: Callable[[], bool] = never
) -> None:
    """Remove what is left of indexes that were put aside, in short transactions, until ``ended``.

    Raises `IndexDamaged` where the file itself is damaged in their place.
    """
    for name in await database.read(_left):
        while not ended() and await database.write(partial(_remove_some, name)):  # noqa: ASYNC110
            await asyncio.sleep(pause)


async def remove_some(database: Database) -> bool:
    """Do a little of `remove_damaged`; return whether there may be more. Raises the same."""
    names = await database.read(_left)
    if names:
        await database.write(partial(_remove_some, names[0]))
    return bool(names)


async def repair(database: Database) -> None:
    """Build a new index, also where the file is damaged in the place of the old one.

    Then its pages belong to nothing until `Database.rewrite`. Raises `StoreUnavailable`.
    """
    try:
        await build_anew(database)
    except IndexDamaged:
        await database.write(_cut_off)


def begin_anew(connection: Connection, aside: str = DAMAGED) -> None:
    """Make an empty index, which the publisher fills, and put the old one ``aside``, unread."""
    take_turn(connection, INDEXING)
    take_turn(connection, ERASING)
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("TRUNCATE message_texts")  # and with it its indexes
        with suppress(DBAPIError), connection.begin_nested():  # as far as the server has it
            connection.exec_driver_sql("CREATE EXTENSION IF NOT EXISTS pg_trgm")
            connection.exec_driver_sql(
                "CREATE INDEX IF NOT EXISTS message_texts_words"
                " ON message_texts USING gin (text gin_trgm_ops)"
                f" WITH (gin_pending_list_limit = {PENDING_KILOBYTES})"
            )
    else:
        _put_aside(connection, aside)
        message_numbers.create(connection)
        connection.exec_driver_sql(MADE_BY)
        # By age, so that search has the newest first.
        connection.exec_driver_sql(
            "INSERT INTO message_numbers (message_id) SELECT message_id FROM message_contents"
            " ORDER BY message_id"
        )
    connection.exec_driver_sql(
        "INSERT INTO unindexed (message_id, grouped) SELECT message_contents.message_id, 1"
        " FROM message_contents JOIN messages ON messages.id = message_contents.message_id"
        " WHERE messages.state <> 0 ON CONFLICT (message_id) DO NOTHING"
    )


def _put_aside(connection: Connection, aside: str) -> None:
    """Give SQLite's tables of the index other names, at no cost.

    FTS5 drops no table that it cannot read: it is taken out of the schema, and its own tables are
    tables as all others from then on (SQLite, "PRAGMA writable_schema").
    """
    names = set(connection.exec_driver_sql("SELECT name FROM sqlite_master").scalars())
    _take_out(connection, "name = 'message_index'")
    number = 1 + max((int(n.split("_")[2]) for n in names if n.startswith(aside)), default=0)
    for name in names & {"message_numbers", *(f"message_index_{each}" for each in _TABLES)}:
        old = f"{aside}{number}_{name.rpartition('_')[2]}"
        connection.exec_driver_sql(f"ALTER TABLE {name} RENAME TO {old}")


def remove_empty(connection: Connection) -> None:
    """Remove at once what `begin_anew` put aside, where no email is in it: in a new store."""
    if connection.exec_driver_sql("SELECT 1 FROM message_contents LIMIT 1").first() is None:
        with suppress(IndexDamaged):
            for name in _left(connection):
                while _remove_some(name, connection):
                    pass


def _cut_off(connection: Connection) -> None:
    """Leave what cannot be removed to no table: its pages go when the file is written anew."""
    for aside in (DAMAGED, FORMER):
        _take_out(connection, f"tbl_name GLOB '{aside}*'")


def _take_out(connection: Connection, which: str) -> None:
    connection.exec_driver_sql("PRAGMA writable_schema = ON")
    try:
        connection.exec_driver_sql(f"DELETE FROM sqlite_master WHERE {which}")  # noqa: S608 - ours
    finally:
        connection.exec_driver_sql("PRAGMA writable_schema = RESET")  # and read it again


def _left(connection: Connection) -> list[str]:
    if connection.dialect.name == "postgresql":
        return []
    return list(connection.exec_driver_sql(_LEFT).scalars())


def _remove_some(name: str, connection: Connection) -> bool:
    """Remove some rows of a table, or the table; return whether there is more."""
    key = {**_TABLES, "numbers": "number"}.get(name.rpartition("_")[2])
    with on_index():
        if key:
            some = f"SELECT {key} FROM {name} LIMIT {REMOVED_AT_ONCE}"  # noqa: S608 - ours
            gone = connection.exec_driver_sql(f"DELETE FROM {name} WHERE {key} IN ({some})")  # noqa: S608
            if gone.rowcount:
                return True
        connection.exec_driver_sql(f"DROP TABLE IF EXISTS {name}")
    return False
