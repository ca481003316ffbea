"""Files that only their owner may read (mode 0600), and who is at work in a data folder."""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def write_private(path: Path, data: bytes, *, replace: bool = True) -> None:
    """Write a file of mode 0600, durably and at once (never half of it).

    Without ``replace``, raises `FileExistsError` where there is one already.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            temporary.replace(path)
        else:
            os.link(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def create_private(path: Path) -> None:
    """Make an empty file, and its folder, unless they are there. Raises `OSError`.

    A file that is there is not opened: closing it would take away every lock that SQLite holds on
    it in this process (POSIX ``fcntl``: closing any descriptor of a file drops all its locks).
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not path.exists():
        with suppress(FileExistsError):
            write_private(path, b"", replace=False)


@contextmanager
def at_work(folder: Path, *, alone: bool = False) -> Iterator[bool]:
    """Be at work in a data folder, with others or ``alone``; give whether that is possible now.

    It ends with the context and all processes that were forked in it, however they end.
    """
    with folder.joinpath("at-work").open("a") as file:
        try:
            fcntl.flock(file, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
