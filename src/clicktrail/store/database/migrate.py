"""Brings the database to the newest schema, whichever process comes first."""

import fcntl
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from clicktrail.base.complaints import database_complaint, named_complaint
from clicktrail.base.files import open_lock
from clicktrail.base.redact import reason_of
from clicktrail.errors import StoreUnavailable

if TYPE_CHECKING:
    from sqlalchemy import Connection

NEWEST = "0031"
"""The revision that this version of Clicktrail works with."""

_FOLDER = Path(__file__).parent / "migrations"


def migrate(path: Path) -> None:
    """Upgrade a SQLite file, made if it is missing. Blocks; several processes may do so at once.

    Raises `StoreUnavailable`.
    """
    try:
        if _revision(path) == NEWEST:
            return
        # Held by the process that migrates; the others wait here and then find nothing to do.
        with open_lock(lock_path(path)) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if _revision(path) != NEWEST:
                _use_wal(path)
                _upgrade(path)
    except OSError as error:
        raise StoreUnavailable(
            f"the database {path} cannot be used: {named_complaint(error)}"
        ) from error
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        advice = ""
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            advice = "; it is damaged: put a backup of it back (docs/operations.md), then start"
        why = f"{database_complaint(error, path)}{advice}"
        raise StoreUnavailable(f"the database {path} cannot be used: {why}") from error


def _revision(path: Path) -> str | None:
    with closing(sqlite3.connect(path, timeout=15)) as connection:
        found = connection.execute(
            "SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'"
        ).fetchone()
        if found is None:
            return None
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        return str(row[0]) if row else None


def _use_wal(path: Path) -> None:
    # The file remembers it. It is done here, because it fails at once where another is at work.
    with closing(sqlite3.connect(path, timeout=15)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")


def _upgrade(path: Path) -> None:
    from sqlalchemy import URL, create_engine, event  # noqa: PLC0415
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415

    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        hide_parameters=True,
        connect_args={"isolation_level": None, "timeout": 15},
    )
    # All of it happens, or nothing: SQLite's schema changes are transactional.
    event.listen(engine, "begin", lambda c: c.exec_driver_sql("BEGIN IMMEDIATE"))
    try:
        with engine.begin() as connection:
            upgrade(connection, str(path))
    except SQLAlchemyError as error:
        raise StoreUnavailable(
            f"the database {path} cannot be upgraded: {database_complaint(error, path)}"
        ) from error
    finally:
        engine.dispose()


def upgrade(connection: "Connection", name: str) -> None:
    """Bring the database of a connection to the newest schema, within its transaction.

    Raises `StoreUnavailable` where it is newer than this version of Clicktrail.
    """
    # Alembic is imported only when there is something to do: it takes longer than a command.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415
    from alembic.util.exc import CommandError  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise StoreUnavailable(
            f"the database {name} was made by a newer version of Clicktrail: {reason_of(error)}"
        ) from None


def lock_path(path: Path) -> Path:
    """Return the file whose lock a process holds while it writes or migrates."""
    return path.with_name(path.name + ".lock")
