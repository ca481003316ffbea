"""New SQLite stores as copies of one that was migrated.

To migrate takes a tenth of a second of the processor, a copy a hundredth of that, and tests make
thousands of stores. What is there already is migrated as ever, and so is what cannot be written.
"""

import sqlite3
from contextlib import closing, suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock

from clicktrail.store.database import migrate

_really = migrate._upgrade
_lock = Lock()


def copy_new_stores() -> None:
    """From now on, in this process and in its forks, a new store is a copy."""
    migrate._upgrade = _copy


def _copy(path: Path) -> None:
    with suppress(sqlite3.Error), closing(sqlite3.connect(path, timeout=15)) as new:
        [number] = new.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if number == 0:
            with closing(sqlite3.connect(":memory:")) as made:
                made.deserialize(migrated())
                made.backup(new)
            return
    _really(path)


def migrated() -> bytes:
    """Return a new store as a file, made as every first start makes it."""
    with _lock:
        return _made()


@cache
def _made() -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "store.db"
        _really(path)
        with closing(sqlite3.connect(path)) as connection:
            return connection.serialize()
