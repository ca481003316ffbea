"""What can become of SQLite's index of emails."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path


def _run(*statements: str) -> Callable[[Path], None]:
    def harm(file: Path) -> None:
        with closing(sqlite3.connect(file, isolation_level=None)) as connection:
            for statement in statements:
                connection.execute(statement)

    return harm


def _overwrite_pages(file: Path) -> None:
    """Leave nothing of some pages that hold what emails are found by, as a failing disk does."""
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        [(busy, *_)] = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        assert not busy
        [(size,)] = connection.execute("PRAGMA page_size")
        [(root,)] = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'message_index_data'"
        )
    with file.open("r+b") as raw:
        raw.seek((root - 1) * size)
        raw.write(b"\xde\xad" * (size // 2))


HARMS = {
    "no settings": _run("DROP TABLE message_index_config"),
    "empty settings": _run("DELETE FROM message_index_config"),
    "no blocks": _run("DROP TABLE message_index_data"),
    "no list of segments": _run("DELETE FROM message_index_data WHERE id = 10"),
    "odd list of segments": _run("UPDATE message_index_data SET block = x'ff' WHERE id = 10"),
    "odd blocks": _run("UPDATE message_index_data SET block = x'ff00ff00ff' WHERE id > 10"),
    "lost blocks": _run("DELETE FROM message_index_data WHERE id > 10"),
    "no places": _run("DROP TABLE message_index_idx"),
    "none": _run("DROP TABLE message_index"),
    "no numbers": _run("DROP TABLE message_numbers"),
    "no more numbers": _run(
        "CREATE TRIGGER no_more BEFORE INSERT ON message_numbers"
        " BEGIN SELECT RAISE(ABORT, 'as where its pages contradict one another'); END"
    ),
    "nothing": _run("DROP TABLE message_index", "DROP TABLE message_numbers"),
    "pages": _overwrite_pages,
}
"""By what is damaged or not there."""
