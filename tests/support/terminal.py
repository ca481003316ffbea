"""A terminal of its own for a process that is started."""

import fcntl
import os
import signal
import termios
from typing import Any


class Terminal:
    """A new terminal; its ``options`` for `subprocess.Popen` start a process from it.

    With ``nohup`` the process is told to outlive it.
    """

    def __init__(self, *, nohup: bool = False) -> None:
        self._master, slave = os.openpty()
        self._slave = slave

        def take() -> None:
            fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
            if nohup:
                signal.signal(signal.SIGHUP, signal.SIG_IGN)

        self.options: dict[str, Any] = {"start_new_session": True, "preexec_fn": take}

    def started(self) -> None:
        """Leave it to the process, which has been started."""
        os.close(self._slave)

    def close(self) -> None:
        """Close its window."""
        os.close(self._master)
