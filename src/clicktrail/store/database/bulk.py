"""Many rows in few statements.

SQLAlchemy writes the statement; here its row of placeholders is repeated, and the values are
handed to the driver as they are. That is a third of the work of ``execute`` with a list of
dictionaries. And where a statement carries one row, Python's sqlite3 gives up the interpreter's
lock for each of them, which a busy event loop is slow to give back.
"""

import re
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from functools import partial
from importlib import import_module
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import ClauseElement, Connection, Dialect, Table, select, tuple_
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.dml import Insert

from clicktrail.errors import StoreUnavailable
from clicktrail.store.database.core import Database

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql

Row = tuple[Any, ...]
"""Values in the order of the columns, as the driver takes them."""

Finish = Callable[["sqlite.Insert | postgresql.Insert"], Insert]

_POSTGRESQL = "sqlalchemy.dialects.postgresql"
"""Loaded where it is used: it takes as long as the rest of the library."""

# Few sizes, so that the driver finds the statement prepared.
_SIZES = (256, 64, 16, 4, 1)
_POSTCOMPILE = re.compile(r"__\[POSTCOMPILE_\w+\]")
_COUNTS = (1, 4, 16, 64, 512)


class BulkInsert:
    """An ``INSERT`` of rows into a table; ``finish`` adds what comes after the values.

    ``columns`` are names in the table's order; all columns where none are given.
    """

    def __init__(
        self,
        table: Table,
        columns: Sequence[str] = (),
        finish: Finish = lambda inserting: inserting,
    ) -> None:
        self._table = table
        self._columns = list(columns) or [column.name for column in table.columns]
        self._finish = finish
        self._texts: dict[str, tuple[str, str, str]] = {}

    def run(self, connection: Connection, rows: Sequence[Row]) -> list[Row]:
        """Insert rows; return what the statement's ``RETURNING`` gives, in no order."""
        found: list[Row] = []
        if rows:
            head, group, tail = self._text(connection.dialect)
        for some in _portions(rows):
            text = head + ", ".join([group] * len(some)) + tail
            found += _execute(connection, text, tuple(chain.from_iterable(some)))
        return found

    def _text(self, dialect: Dialect) -> tuple[str, str, str]:
        """Return what stands before the values, a row of their placeholders, what comes after."""
        if dialect.name not in self._texts:
            inserting = self._finish(insert_or(dialect.name, self._table))
            by_place, mark = positional(dialect)
            compiled = inserting.compile(dialect=by_place, column_keys=self._columns)
            wanted = f"({', '.join([mark] * len(self._columns))})"
            head, group, tail = str(compiled).partition(wanted)
            if not group or compiled.positiontup != self._columns:
                raise ValueError(f"cannot be repeated for many rows: {compiled}")
            self._texts[dialect.name] = head, group, tail
        return self._texts[dialect.name]


class ByIds:
    """A statement about the rows of some ids: ``… IN :ids``, an expanding parameter."""

    def __init__(self, statement: ClauseElement) -> None:
        self._statement = statement
        self._texts: dict[str, _Parts] = {}

    def run(self, connection: Connection, ids: Sequence[Any], **given: Any) -> list[Row]:
        """Execute it for all ids, many at a time; return the rows as the driver has them.

        ``given`` are its other parameters that have no value yet.
        """
        found: list[Row] = []
        parts = self._parts(connection.dialect)
        before, after = ([given.get(*each) for each in some] for some in parts.others)
        for start in range(0, len(ids), _COUNTS[-1]):
            some = list(ids[start : start + _COUNTS[-1]])
            size = next(count for count in _COUNTS if count >= len(some))
            some += some[-1:] * (size - len(some))
            text = parts.head + ", ".join([parts.mark] * size) + parts.tail
            found += _execute(connection, text, (*before, *some, *after))
        return found

    def _parts(self, dialect: Dialect) -> "_Parts":
        if dialect.name not in self._texts:
            by_place, mark = positional(dialect)
            compiled = self._statement.compile(dialect=by_place)
            head, group, tail = str(compiled).partition("(__[POSTCOMPILE_ids])")
            # Of others it would write the value when it executes: to a driver all are alike.
            head, tail = (_POSTCOMPILE.sub(mark, each) for each in (head, tail))
            assert isinstance(compiled, SQLCompiler)
            names = list(compiled.positiontup or ())
            if not group or names.count("ids") != 1:
                raise ValueError(f"cannot be used with many ids: {compiled}")
            values = [(name, compiled.params[name]) for name in names]
            at = names.index("ids")
            others = (values[:at], values[at + 1 :])
            self._texts[dialect.name] = _Parts(f"{head}(", mark, f"){tail}", others)
        return self._texts[dialect.name]


class _Parts(NamedTuple):
    """The text of a statement around its ids, and its other parameters before and after them."""

    head: str
    mark: str
    tail: str
    others: tuple[list[tuple[str, Any]], list[tuple[str, Any]]]


def insert_or(dialect: str, table: Table) -> "sqlite.Insert | postgresql.Insert":
    """Return an ``INSERT`` that has ``on_conflict_do_…``: each database has its own."""
    if dialect != "postgresql":
        return sqlite.insert(table)
    made: postgresql.Insert = import_module(_POSTGRESQL).insert(table)
    return made


def positional(dialect: Dialect) -> tuple[Dialect, str]:
    """Return the dialect with placeholders by place, as its driver takes them, and what they are.

    On PostgreSQL they have no type: the server gives them that of their column.
    """
    if dialect.name == "postgresql":
        by_place: Dialect = import_module(_POSTGRESQL + ".base").PGDialect(paramstyle="format")
        return by_place, "%s"
    return dialect, "?"


def _execute(connection: Connection, text: str, values: Row) -> list[Row]:
    """Execute a statement; return its rows, if it has any.

    On SQLite by the driver itself: where a statement is short, SQLAlchemy's part of it is the
    longest. (On PostgreSQL it tells what is to be tried again by the errors that SQLAlchemy makes.)
    """
    if connection.dialect.name == "sqlite":
        driver = connection.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        return driver.execute(text, values).fetchall()
    result = connection.exec_driver_sql(text, values)
    return [tuple(row) for row in result.all()] if result.returns_rows else []


def _portions(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    start = 0
    for size in _SIZES:
        while len(rows) - start >= size:
            yield rows[start : start + size]
            start += size


async def rows_of(
    database: Database, table: Table, size: int, after: tuple[Any, ...] | None = None
) -> AsyncIterator[list[Any]]:
    """Yield all rows of a table in the order of its key, ``size`` in each short transaction.

    Raises `StoreUnavailable`, also for a key that is damaged: what comes after it is not found.
    """
    keys = list(table.primary_key.columns)
    query = select(*keys, *(c for c in table.columns if not c.primary_key))
    query = query.order_by(*keys).limit(size)

    def read(last: tuple[Any, ...] | None, connection: Connection) -> list[Any]:
        some = query if last is None else query.where(tuple_(*keys) > last)
        return list(connection.execute(some))

    last = after
    while rows := await database.read(partial(read, last)):
        yield rows
        before, last = last, tuple(rows[-1][: len(keys)])
        if last == before:
            raise StoreUnavailable(f"a key of the table {table.name} is damaged")
