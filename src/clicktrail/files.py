"""Files that only their owner may read (mode 0600)."""

import os
import secrets
from contextlib import suppress
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
