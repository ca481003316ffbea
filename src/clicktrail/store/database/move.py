"""Moves a store from its SQLite file to PostgreSQL, table by table, in the order of their keys.

Each batch is a transaction, so that a move that was interrupted goes on behind the last row that
arrived. A table of the move's own (`moving`) says in the target whose rows are there, and keeps
others away from it; it goes with the last step, when the numbers have been compared.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Column, Connection, Table, func, select, tuple_

from clicktrail.base.ids import first_id, made_at
from clicktrail.errors import ClicktrailError, InvalidInput
from clicktrail.store.clicks.statistics import NAMES
from clicktrail.store.database.connect import open_database
from clicktrail.store.database.core import Database, storable
from clicktrail.store.database.moving import MARK, SOURCE, keep_others_out
from clicktrail.store.database.partitions import BY_DAY, DAY, make_days
from clicktrail.store.schema import metadata

BATCH = 5000
"""Rows of one transaction."""

Progress = Callable[[str, int], None]
"""Is told a table's name and how many more rows of it have arrived."""


@dataclass(frozen=True, slots=True)
class Moved:
    """A table with its rows, as they are in both databases."""

    table: str
    rows: int
    counted: dict[str, int]
    """Sums of its numbers, where it counts."""


class Move:
    """Moves the store in a SQLite file to the database of a URL. The service must not run.

    Use as an asynchronous context manager. Raises `InvalidInput` where the URL is not PostgreSQL's
    or that database holds something else or is in use, and `StoreUnavailable`.
    """

    def __init__(self, file: Path, url: str) -> None:
        if not url.startswith("postgresql://"):
            raise InvalidInput(
                "a store is moved to PostgreSQL: give --to postgresql://user:password@host/database"
            )
        if not file.exists():
            raise InvalidInput(f"there is no store to move: {file} does not exist")
        self._name = str(file.absolute())
        self._source = open_database(f"sqlite:///{self._name}")
        self._target = open_database(url, moving=True)

    async def __aenter__(self) -> "Move":
        """Bring both databases to the newest schema, and see that the target may be filled."""
        try:
            self._source.prepare()
            self._target.prepare()
            await self._target.write(self._begin)
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close both."""
        await self._target.close()
        await self._source.close()

    @property
    def target(self) -> str:
        """The target's name, without a password."""
        return self._target.name

    async def rows(self) -> dict[str, int]:
        """Return how many rows of each table are still to be moved, in the order of the move."""
        left = {}
        for table in metadata.sorted_tables:
            there, here = [await _rows(d, table) for d in (self._target, self._source)]
            left[table.name] = here - there
        return left

    async def run(self, progress: Progress = lambda table, rows: None) -> list[Moved]:
        """Move what is not there yet, and compare; return what is there now.

        Raises `ClicktrailError` where the numbers differ: then the target is not to be used.
        """
        await self._make_days()
        for table in metadata.sorted_tables:
            await self._copy(table, partial(progress, table.name))
        moved = [await self._compare(table) for table in metadata.sorted_tables]
        sequences = await self._source.read(_sequences)
        await self._target.write(partial(_finish, sequences))
        return moved

    def _begin(self, connection: Connection) -> None:
        run = connection.exec_driver_sql
        keep_others_out(connection, self.target)
        if run("SELECT to_regclass(%s)", (MARK,)).scalar() is not None:
            found = run(SOURCE).scalar()
            if found != self._name:
                raise InvalidInput(
                    f"{self.target} holds a part of another store, {found}: finish that move,"
                    " or give an empty database"
                )
            return
        for table in metadata.sorted_tables:
            made_by_migrations = table.name == "configuration_version"
            if connection.execute(select(table).limit(1)).first() and not made_by_migrations:
                raise InvalidInput(
                    f"{self.target} is not empty ({table.name} has rows): give an empty database"
                )
        run("DELETE FROM configuration_version")
        run(f"CREATE TABLE {MARK} (source text NOT NULL)")
        run(f"INSERT INTO {MARK} VALUES (%s)", (self._name,))  # noqa: S608 - a name of ours

    async def _make_days(self) -> None:
        """Make the days of the rows to come, each in a transaction: they take many locks."""
        for day in sorted(await self._source.read(_days)):
            await self._target.write(partial(_make_day, day))

    async def _copy(self, table: Table, progress: Callable[[int], None]) -> None:
        keys = list(table.primary_key.columns)
        last = await self._target.read(partial(_last, keys))
        while rows := await self._source.read(partial(_after, table, keys, last)):
            await self._target.write(partial(_insert, table, rows))
            progress(len(rows))
            last = _key_of(table, keys, rows[-1])

    async def _compare(self, table: Table) -> Moved:
        read = partial(_sums, table)
        here, there = await self._source.read(read), await self._target.read(read)
        if here != there:
            raise ClicktrailError(
                f"{table.name} differs after the move: {here} in the file, {there} in"
                f" {self.target}. Do not use that database: make it anew, and move again"
            )
        rows, *counted = here
        return Moved(table.name, rows, dict(zip(_numbers(table), counted, strict=True)))


async def _rows(database: Database, table: Table) -> int:
    query = select(func.count()).select_from(table)
    return await database.read(lambda c: c.scalar(query) or 0)


def _days(connection: Connection) -> set[int]:
    """Return the days, as numbers since 1970, of which there is an email or a click."""
    found: set[int] = set()
    for id_ in (column for columns in BY_DAY.values() for column in columns):
        if id_.table.name not in ("messages", "clicks"):
            continue
        after = ""
        query = select(func.min(id_))
        while first := connection.scalar(query.where(id_ > after)):
            found.add(made_at(first) // DAY)
            after = first_id((made_at(first) // DAY + 1) * DAY)
    return found


def _make_day(day: int, connection: Connection) -> None:
    make_days(connection, day * DAY, day * DAY)


def _last(keys: Sequence[Column[Any]], connection: Connection) -> tuple[Any, ...] | None:
    query = select(*keys).order_by(*(key.desc() for key in keys)).limit(1)
    row = connection.execute(query).first()
    return None if row is None else tuple(row)


def _after(
    table: Table, keys: Sequence[Column[Any]], last: tuple[Any, ...] | None, connection: Connection
) -> list[tuple[Any, ...]]:
    query = select(table).order_by(*keys).limit(BATCH)
    if last is not None:
        query = query.where(tuple_(*keys) > last)
    return [tuple(row) for row in connection.execute(query)]


def _key_of(table: Table, keys: Sequence[Column[Any]], row: tuple[Any, ...]) -> tuple[Any, ...]:
    places = {column.name: place for place, column in enumerate(table.columns)}
    return tuple(row[places[key.name]] for key in keys)


def _insert(table: Table, rows: Sequence[tuple[Any, ...]], connection: Connection) -> None:
    names = ", ".join(f'"{column.name}"' for column in table.columns)
    # COPY is several times as fast as INSERT (PostgreSQL § 14.4.2).
    driver = connection.connection.driver_connection
    assert driver is not None
    with driver.cursor() as cursor, cursor.copy(f'COPY "{table.name}" ({names}) FROM STDIN') as to:
        for row in rows:
            to.write_row([storable(v) if isinstance(v, str) else v for v in row])


def _numbers(table: Table) -> list[str]:
    return [name for name in NAMES if name in table.c]


def _sums(table: Table, connection: Connection) -> list[int]:
    sums = [func.coalesce(func.sum(table.c[name]), 0) for name in _numbers(table)]
    row = connection.execute(select(func.count(), *sums).select_from(table)).one()
    return [int(value) for value in row]


def _sequences(connection: Connection) -> dict[str, int]:
    """Return the highest number that tables ever gave: readers of a stream know it."""
    return {
        str(row.name): int(row.seq)
        for row in connection.exec_driver_sql("SELECT name, seq FROM sqlite_sequence")
    }


def _finish(sequences: dict[str, int], connection: Connection) -> None:
    for name, number in sequences.items():
        [key] = metadata.tables[name].primary_key.columns
        connection.exec_driver_sql(
            "SELECT setval(pg_get_serial_sequence(%s, %s), %s)", (name, key.name, number)
        )
    # What emails are found by is another database's there, and made anew.
    connection.exec_driver_sql(
        "INSERT INTO unindexed (message_id, grouped) SELECT message_contents.message_id, 1"
        " FROM message_contents JOIN messages ON messages.id = message_contents.message_id"
        " WHERE messages.state <> 0 ON CONFLICT (message_id) DO NOTHING"
    )
    connection.exec_driver_sql(f"DROP TABLE {MARK}")
