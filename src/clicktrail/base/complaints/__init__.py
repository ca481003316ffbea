"""Says what an error of the system or of SQLite means, and what to do about it."""

import errno
import os
import pwd
import resource
from pathlib import Path

_ADVICE = {
    errno.EROFS: "it is mounted for reading only",
    errno.ENOSPC: "make room on the disk, and try again",
    errno.EDQUOT: "make room on the disk, and try again",
    errno.EFBIG: "raise the limit of the size of files (LimitFSIZE=, ulimit -f)",
    errno.EIO: "the disk fails: look into the system's log (dmesg)",
    errno.EMFILE: "raise the limit (LimitNOFILE=, ulimit -n)",
    errno.ENFILE: "raise the limit of this machine (fs.file-max)",
}

_ROOM = 1 << 20
"""Bytes: who cannot write to a disk that has less than this lacks room, and nothing else."""

# sqlite.org/rescode.html: the low byte of a result.
_IOERR, _FULL, _CANTOPEN = 10, 13, 14


def complaint(error: OSError, path: Path | str | None = None) -> str:
    """Return what is wrong with a file, in words: ``Permission denied: … belongs to root``.

    ``path`` is the file, where the error does not name it.
    """
    said = error.strerror or str(error) or type(error).__name__
    place = path if path is not None else error.filename
    if error.errno in (errno.EACCES, errno.EPERM) and isinstance(place, str | Path):
        return f"{said}: {_ownership(Path(place))}"
    if error.errno in _ADVICE:
        return f"{said}: {_ADVICE[error.errno]}"
    return said


def named_complaint(error: OSError) -> str:
    """Return the same with the file before it, where the error names one and these words do not."""
    said = complaint(error)
    if error.filename is None or isinstance(error.filename, int):
        return said
    name = os.fsdecode(error.filename)
    return said if name in said else f"{name}: {said}"


def is_of_the_system(error: BaseException) -> bool:
    """Whether there is more to say of an error than its own text: a file, or what to do.

    Libraries have errors of their own that are an `OSError`, with numbers of another meaning.
    """
    if not isinstance(error, OSError) or type(error).__module__ != "builtins":
        return False
    return error.filename is not None or error.errno in _ADVICE


def database_complaint(error: Exception, path: Path) -> str:
    """Return what is wrong with the file of a SQLite database, as far as can be told.

    SQLite says no more than "unable to open" or "disk I/O error": the file, its folder and the disk
    are looked at, and never opened (closing the file takes away SQLite's own locks).
    """
    error = getattr(error, "orig", None) or error  # SQLAlchemy: the driver's own
    if isinstance(error, OSError):
        return named_complaint(error)
    files = [path, *(path.with_name(path.name + end) for end in ("-wal", "-shm"))]
    for each in files:
        if why := why_not_writable(each):
            return why
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == _CANTOPEN:
        advice = _why_not_opened(path)
    elif code in (_FULL, _IOERR):
        advice = _why_not_written(files, is_full=code == _FULL)
    else:
        advice = ""
    # SQLite's own texts name tables and columns, never values: others are not told.
    is_known = any(each.__module__ == "sqlite3" for each in type(error).__mro__)
    said = without_text(str(error)) if is_known else type(error).__name__
    return f"{said}: {advice}" if advice else said


UNDECODED = "Could not decode to UTF-8 column"
"""How Python's ``sqlite3`` begins the error of text that is damaged."""


def without_text(said: str) -> str:
    """Return what SQLite has said without the text that could not be decoded."""
    return said.partition(" with text ")[0] if said.startswith(UNDECODED) else said


def _why_not_opened(path: Path) -> str:
    if path.is_dir():
        return f"{path} is a folder: move it away"
    try:
        os.close(os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC))  # are there descriptors left?
        found = os.statvfs(path.parent)
    except OSError as error:
        return named_complaint(error)
    if found.f_files and not found.f_favail:
        return f"there is no room for another file in {path.parent}: {_ADVICE[errno.ENOSPC]}"
    return ""


def _why_not_written(files: list[Path], *, is_full: bool) -> str:
    folder = files[0].parent
    try:
        found = os.statvfs(folder)
        largest = max(each.stat().st_size for each in files if each.exists())
    except (OSError, ValueError):
        found, largest = None, 0
    if is_full or (found is not None and found.f_bavail * found.f_frsize < _ROOM):
        return f"there is no room in {folder}: {_ADVICE[errno.ENOSPC]}"
    limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    if limit != resource.RLIM_INFINITY and largest + _ROOM > limit:
        return f"a file in {folder} cannot grow: {_ADVICE[errno.EFBIG]}"
    return _ADVICE[errno.EIO]


def _ownership(path: Path) -> str:
    """Say whose the file is, or, where it is not there, the folder that it would be in."""
    for each in (path, *path.absolute().parents):
        try:
            owner = each.stat().st_uid
        except OSError:
            continue
        we = os.geteuid()
        if owner == we:
            return f"look at the permissions of {each} (ls -ld)"
        return (
            f"{each} belongs to {_name(owner)}, and this runs as {_name(we)}: run it as"
            f" {_name(owner)}, or give that to {_name(we)} (chown)"
        )
    return "look at the permissions of its folder (ls -ld)"


def _name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"user {user}"


def why_not_writable(path: Path) -> str:
    """Return why a file cannot be read and written, or made in its folder; empty where it can."""
    for each, mode in ((path, os.R_OK | os.W_OK), (path.parent, os.R_OK | os.W_OK | os.X_OK)):
        try:
            each.stat()
        except FileNotFoundError:
            continue
        except OSError as error:
            return complaint(error, each)
        if not os.access(each, mode, effective_ids=True):
            number = errno.EROFS if os.statvfs(each).f_flag & os.ST_RDONLY else errno.EACCES
            return complaint(OSError(number, os.strerror(number)), each)
    return ""
