"""Looks for damage in a SQLite file, which is only read."""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from clicktrail.base.complaints import database_complaint

_INDEX = ("message_index", "message_numbers", "damaged_index_", "former_index_")
"""How the names begin of what can be built anew (`clicktrail.store.finding.damage`)."""
_SINCE = "0015"
"""The revision from which on there is an index."""
_CODES = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_WORDS = "CREATE VIRTUAL TABLE temp.words USING fts5vocab(main, message_index, row)"
_TABLES = "SELECT name FROM sqlite_master WHERE type = 'table' AND rootpage > 0"


@dataclass(frozen=True, slots=True)
class Found:
    """What is wrong with a file; nothing where it is well."""

    said: tuple[str, ...] = ()
    is_damage: bool = False
    """Whether the file itself is the matter, and not, say, who may read it."""
    can_be_repaired: bool = False
    """Whether all that is damaged can be built anew."""


def look_at(path: Path) -> Found:
    """Return what SQLite finds wrong with a file that is there. It takes long where that is large.

    The service may run.
    """
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=15)) as database:
            said = _tried(database, "PRAGMA quick_check(3)")
            if said == ["ok"]:
                said = _index(database)
                return Found(tuple(said), bool(said), bool(said))
            tables = [name for (name,) in database.execute(_TABLES)]
            damaged = [
                name
                for name in tables
                if _tried(database, f"PRAGMA quick_check('{name}')") != ["ok"]
            ]
            return Found(tuple(said), True, all(name.startswith(_INDEX) for name in damaged))
    except sqlite3.Error as error:
        is_damage = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF in _CODES
        return Found((database_complaint(error, path),), is_damage)


def _tried(database: sqlite3.Connection, check: str) -> list[str]:
    try:
        return [str(row[0]) for row in database.execute(check)]
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_CORRUPT:
            raise
        return [str(error)]  # some damage ends the check itself


def _index(database: sqlite3.Connection) -> list[str]:
    """Look into the index of emails, which SQLite does by itself from 3.44 on."""
    names = {name for (name,) in database.execute(_TABLES)}
    if "alembic_version" not in names:
        return []
    row = database.execute("SELECT version_num FROM alembic_version").fetchone()
    if row is None or str(row[0]) < _SINCE:
        return []
    if any(name.startswith("damaged_index_") for name in names):
        return ["an index that was damaged was not removed"]
    try:
        # Of what cannot be written, the list of its words is all that can be read (SQLite, "FTS5",
        # § 7).
        database.execute(_WORDS)
        database.execute("SELECT count(*) FROM temp.words").fetchall()
        database.execute("SELECT max(number) FROM message_numbers").fetchall()
    except sqlite3.Error as error:
        return [f"the index by which emails are found: {error}"]
    return []
