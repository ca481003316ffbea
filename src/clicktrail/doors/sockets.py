"""A socket in the file system to listen on: its mode, and what was left there before."""

import errno
import os
import socket
import stat
from contextlib import suppress
from pathlib import Path

MODE = 0o660
"""Who owns it, and their group, may connect."""


class ListeningSocket:
    """A socket at a path. What a service that was killed has left there gives way."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._own: os.stat_result | None = None
        self._listening: socket.socket | None = None

    def open(self) -> socket.socket:
        """Return it, listening. Raises `OSError`, also where another service listens there.

        Once it is open it is the same again, in processes that were forked since too.
        """
        if self._listening is not None:
            return self._listening
        check_free(self._path)
        # It gets its mode before its name: nobody is let in, or kept out, in between.
        made = self._path.with_name(f".{os.getpid()}")
        made.unlink(missing_ok=True)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listening.bind(str(made))
            try:
                made.chmod(MODE)
                listening.listen(1024)
                self._own = made.stat()
                made.replace(self._path)
            except OSError:
                made.unlink(missing_ok=True)
                raise
        except OSError:
            listening.close()
            raise
        self._listening = listening
        return listening

    def close(self) -> None:
        """Listen no more, and take it away, where it is still this one."""
        if self._listening is not None:
            self._listening.close()
        with suppress(OSError):
            if self._own is not None and os.path.samestat(self._path.lstat(), self._own):
                self._path.unlink()


def check_free(path: Path) -> None:
    """See that a socket can be made at a path. Raises `OSError`."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        if not path.parent.is_dir():
            raise
    else:
        if not stat.S_ISSOCK(mode):
            raise FileExistsError(errno.EEXIST, "there is a file that is no socket")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as trial:
            trial.settimeout(5.0)
            with suppress(ConnectionRefusedError):  # nobody listens there any more
                trial.connect(str(path))
                raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
