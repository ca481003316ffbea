"""Files that only their owner may read (mode 0600), and who is at work in a data folder."""

import errno
import fcntl
import glob
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TextIO


def is_full(error: OSError) -> bool:
    """Whether a disk, or what one user may have of it, is full: with room it goes on."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let the errors of the system name that file: those of a descriptor name none."""
    try:
        yield
    except OSError as error:
        error.filename = str(path)
        raise


def write_private(path: Path, data: bytes, *, replace: bool = True) -> None:
    """Write a file of mode 0600, durably and at once (never half of it).

    Raises `OSError`; without ``replace`` `FileExistsError` where there is one already.
    """
    with naming(path):  # the other name tells nobody anything
        _write_private(path, data, replace)


def _write_private(path: Path, data: bytes, replace: bool) -> None:
    _remove_left_behind(path)
    temporary, handle = _open_temporary(path)
    try:
        with os.fdopen(handle, "wb") as file:
            _give_to_owner(handle, path.parent)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            if replace:  # while it is locked
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


def _open_temporary(path: Path) -> tuple[Path, int]:
    """Make a file beside another one, locked as long as it is open. Raises `OSError`."""
    while True:
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            # Between the two calls another process may have taken it for left behind.
            is_ours = _lock(handle) and os.fstat(handle).st_nlink
        except OSError:  # a disk without locks: nothing is taken for left behind there
            is_ours = True
        if is_ours:
            return temporary, handle
        os.close(handle)


def _remove_left_behind(path: Path) -> None:
    """Delete what processes that were killed while they wrote a file have left of it: secrets."""
    for old in path.parent.glob(f".{glob.escape(path.name)}.{'[0-9a-f]' * 16}"):
        with suppress(OSError):  # it may be another user's
            if old.lstat().st_nlink > 1:  # it has its name, and may be open: see `create_private`
                old.unlink()
                continue
            handle = os.open(old, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                if _lock(handle):
                    old.unlink()
            finally:
                os.close(handle)


def _lock(handle: int) -> bool:
    """Lock a file; return whether nobody else has. Raises `OSError` where that cannot be done."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def create_private(path: Path) -> None:
    """Make an empty file, and its folder, unless they are there. Raises `OSError`.

    A file that is there is not opened: closing it would take away every lock that SQLite holds on
    it in this process (POSIX ``fcntl``: closing any descriptor of a file drops all its locks).
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not path.exists():
        with suppress(FileExistsError):
            write_private(path, b"", replace=False)


def is_orphaned(path: Path) -> bool:
    """Whether SQLite's log of a database has something in it, and the file is empty or gone.

    SQLite would delete the log, and begin a new database. Raises `OSError`.
    """
    return size_of(path.with_name(path.name + "-wal")) > 0 and size_of(path) == 0


def size_of(path: Path) -> int:
    """Return the bytes in a file, 0 where there is none. Raises `OSError`.

    SQLite deletes the log of a database when the last one who has it open closes it: at any time.
    """
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def open_lock(path: Path) -> TextIO:
    """Open a file that is there to be locked; it is made where there is none. Raises `OSError`.

    Nobody else can open it: who can read a file can lock it, for ever (flock(2)).
    """
    with naming(path):
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        file = os.fdopen(os.open(path, flags, 0o600), "a")
        _give_to_owner(file.fileno(), path.parent)
    return file


def is_locked(path: Path) -> bool:
    """Whether another process has locked a file; not where there is none. Raises `OSError`."""
    try:
        with path.open("rb") as file:
            return not _lock(file.fileno())
    except FileNotFoundError:
        return False


def _give_to_owner(handle: int, folder: Path) -> None:
    """Give a file that root has open to the owner of its folder.

    Else a command that an administrator runs as root would leave files that the service, which is
    not root, can never open again.
    """
    if os.geteuid() == 0:
        owner = folder.stat()
        if owner.st_uid != 0:
            os.fchown(handle, owner.st_uid, owner.st_gid)


@contextmanager
def at_work(folder: Path, *, alone: bool = False) -> Iterator[bool]:
    """Be at work in a data folder, with others or ``alone``; give whether that is possible now.

    It ends with the context and all processes that were forked in it, however they end. On a full
    disk, which has no room for the file, the folder is locked in its place. Raises `OSError`.
    """
    with ExitStack() as ends:
        locks: list[int] = []
        try:
            locks.append(ends.enter_context(open_lock(folder / "at-work")).fileno())
        except OSError as error:
            if alone or not is_full(error):
                raise
        if alone or not locks:
            locks.append(os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
            ends.callback(os.close, locks[-1])
        yield all(_may_work(lock, alone=alone) for lock in locks)


def _may_work(handle: int, *, alone: bool) -> bool:
    try:
        fcntl.flock(handle, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno != errno.EBADF:  # NFS locks no folder alone: flock(2)
            raise
    return True


@contextmanager
def served(folder: Path, roles: Iterable[str]) -> Iterator[list[str]]:
    """Serve roles in a data folder; give those that another service serves there already.

    It ends with the context and all processes that were forked in it, however they end.
    """
    with ExitStack() as files:
        others = []
        for role in roles:
            try:
                file = files.enter_context(open_lock(folder / f"at-work-{role}"))
            except OSError as error:
                if is_full(error):  # it cannot be told
                    continue
                raise
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                others.append(role)
        yield others
