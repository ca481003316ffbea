"""A store as an older version of Clicktrail left it."""

import sqlite3
from contextlib import closing
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, create_engine, select, update

from clicktrail.store.database import migrate
from clicktrail.store.mail.kept.books import plain_of
from clicktrail.store.mail.tables import message_contents


def make_older(path: Path, revision: str) -> None:
    """Put a SQLite database of an earlier revision in the place of one of now, with its rows.

    Nobody may have it open. What the earlier one has no place for is gone.
    """
    older = path.with_name("older.db")
    config = Config()
    config.set_main_option("script_location", str(Path(migrate.__file__).parent / "migrations"))
    engine = create_engine(f"sqlite:///{older}")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    engine.dispose()
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        unpack_contents(connection)
    engine.dispose()
    with closing(sqlite3.connect(older)) as database:
        database.execute("ATTACH ? AS now", (str(path),))
        for table in _tables(database, "main") & _tables(database, "now"):
            both = _columns(database, "main", table) & _columns(database, "now", table)
            names = ", ".join(sorted(both))
            database.execute(f"DELETE FROM main.{table}")
            database.execute(f"INSERT INTO main.{table} ({names}) SELECT {names} FROM now.{table}")
        database.commit()
        database.execute("PRAGMA main.journal_mode = WAL")
    for each in path.parent.glob(f"{path.name}-*"):
        each.unlink()
    older.replace(path)


def unpack_contents(connection: Connection) -> None:
    """Keep contents of emails as they were before they were packed."""
    for row in connection.execute(select(message_contents)).all():
        mine = message_contents.c.message_id == row.message_id
        plain = plain_of(connection, row.content)
        connection.execute(update(message_contents).where(mine).values(content=plain))


def _tables(database: sqlite3.Connection, schema: str) -> set[str]:
    found = database.execute(
        f"SELECT name FROM {schema}.sqlite_master WHERE type = 'table'"
        " AND name NOT LIKE 'sqlite_%' AND name <> 'alembic_version'"
    )
    return {name for (name,) in found}


def _columns(database: sqlite3.Connection, schema: str, table: str) -> set[str]:
    return {row[1] for row in database.execute(f"PRAGMA {schema}.table_info({table})")}
