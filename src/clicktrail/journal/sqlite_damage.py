"""A journal's file that is damaged is set aside under a name of its own, and another begun.

Other processes may have it open. SQLite leaves a log alone whose database was moved (it asks before
it copies or deletes one), and writers look after each commit whether the file is still where it
was: what went into the old one after that is written again.
"""

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from clicktrail.base.files import is_orphaned, naming, size_of
from clicktrail.base.logs import get_logger

log = get_logger(__name__)

DAMAGED = ".damaged-"
"""Followed by the time in UTC, it is added to the name of a file that was set aside."""
LOG, INDEX = "-wal", "-shm"

_CODES = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class NotAJournal(sqlite3.DatabaseError):
    """The file is a database, but of something else."""


class Moved(sqlite3.DatabaseError):
    """The file is not where it was any more: another process has set it aside."""


def is_damage(error: Exception) -> bool:
    """Whether an error says that the file itself cannot be used, however often it is tried."""
    if isinstance(error, NotAJournal):
        return True
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in _CODES  # the rest tells more of it


def identity(path: Path) -> tuple[int, int] | None:
    """Return what tells files of the same name apart; ``None`` where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


@contextmanager
def opening(path: Path) -> Iterator[None]:
    """Keep the file where it is while it is being opened. Raises `OSError`.

    SQLite deletes a log beside a file that is empty or new: one with clicks is set aside before.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _locked(path, fcntl.LOCK_SH):
        if size_of(path):
            yield
            return
    # By one alone: who finds another one changing to WAL mode is told that the file is locked, and
    # does not wait.
    with _locked(path, fcntl.LOCK_EX):
        if is_orphaned(path):
            _move(path, "its log is there, and the file itself is empty or gone")
        yield


def set_aside(path: Path, seen: tuple[int, int] | None, error: Exception) -> bool:
    """Set a damaged file aside, unless another process has; return whether it is gone from there.

    ``seen`` is its `identity`.
    """
    try:
        with _locked(path, fcntl.LOCK_EX):
            now = identity(path)
            if now is None or (seen is not None and now != seen):
                return True
            _move(path, str(error))
    except OSError as failure:  # a folder in its place, a disk that is full
        log.error("a damaged journal cannot be set aside", path=str(path), reason=failure)
        return False
    return True


def _move(path: Path, why: str) -> None:
    kept = path.with_name(f"{path.name}{DAMAGED}{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}")
    for end in ("", LOG):  # first the new names: at no time is anything without one
        with suppress(FileNotFoundError):
            os.link(_named(path, end), _named(kept, end))
    for end in ("", LOG, INDEX):
        _named(path, end).unlink(missing_ok=True)
    log.error(
        "the journal was damaged and is set aside: run `clicktrail repair` to count what can be"
        " read of it; clicks go to a new one",
        path=str(kept),
        reason=why,
    )


def _named(path: Path, end: str) -> Path:
    return path.with_name(path.name + end)


@contextmanager
def _locked(path: Path, how: int) -> Iterator[None]:
    # Not the file's own lock: closing any descriptor of it takes away SQLite's locks (POSIX).
    lock = _named(path, ".lock")
    file = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        with naming(lock):
            fcntl.flock(file, how)
        yield
    finally:
        os.close(file)
