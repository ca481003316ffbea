"""Opens the journal's SQLite file, and makes it where there is none."""

import sqlite3
from pathlib import Path

from clicktrail.base.files import create_private
from clicktrail.journal.sqlite_checkpoint import PAGES
from clicktrail.journal.sqlite_damage import NotAJournal, identity, opening

BUSY_SECONDS = 5.0
"""How long a connection waits for another one's transaction."""

INDEX_BITS = 16
"""A position is the row's number, and in the low bits the place in the row."""

# Without AUTOINCREMENT, which is one more page to write with each commit: the newest row is never
# deleted, only emptied, so that numbers are not used again.
_SCHEMA = "CREATE TABLE IF NOT EXISTS batch (number INTEGER PRIMARY KEY, records BLOB NOT NULL)"
_TRY_SCHEMA = "CREATE TABLE IF NOT EXISTS try (id INTEGER PRIMARY KEY, at INTEGER)"
"""One row, written to see whether the journal can be."""


class Connection(sqlite3.Connection):
    """A connection to a journal's file."""

    identity: tuple[int, int] | None = None
    """Of the file that it has open."""


def connect(path: Path, *, durable: bool) -> Connection:
    """Open the file, and make it (mode 0600, its folder 0700) where there is none."""
    with opening(path):
        create_private(path)
        connection = sqlite3.connect(
            path,
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
            factory=Connection,
        )
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            # For what no checkpointer has copied.
            connection.execute(f"PRAGMA wal_autocheckpoint = {4 * PAGES}")
            connection.execute("PRAGMA secure_delete = ON")  # no addresses stay in unused pages
            connection.execute(_SCHEMA)
            connection.execute(_TRY_SCHEMA)
            columns = [row[1] for row in connection.execute("PRAGMA table_info(batch)")]
            if columns != ["number", "records"]:
                raise NotAJournal("it is a database of something else")
        except sqlite3.Error:
            connection.close()
            raise
        connection.identity = identity(path)
    return connection
