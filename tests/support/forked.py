"""Processes of the command line that need not load it: forks of one that has loaded it already.

To load all modules takes most of the time that a start takes. What runs is the real command line
in a process of its own, with its own signals, files, folder and environment; only its start is
another one. Tests of the start itself (arguments in the list of processes, warnings, variables of
Python or of the loader) start it as users do, with ``subprocess``.
"""

import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryFile
from threading import Lock
from typing import IO

COMMAND = (sys.executable, "-m", "clicktrail")


def can_fork(command: Sequence[str], environment: Mapping[str, str]) -> bool:
    """Whether the process would be the same: nothing that the interpreter's start looks at."""
    early = ("PYTHON", "LD_", "FAKETIME")
    names = {name for name in environment.keys() | os.environ.keys() if name.startswith(early)}
    same = all(environment.get(name) == os.environ.get(name) for name in names)
    return hasattr(os, "pidfd_open") and tuple(command[:3]) == COMMAND and same


class ForkedProcess:
    """What `subprocess.Popen` shows of a process, as far as tests need it."""

    def __init__(self, pid: int, status: int, stdout: IO[str] | None) -> None:
        self.pid = pid
        self.stdout = stdout
        self.returncode: int | None = None
        self._status = status
        self._handle: int | None = None
        with suppress(ProcessLookupError):  # it has ended already
            self._handle = os.pidfd_open(pid)

    def poll(self) -> int | None:
        """Return the status as `subprocess.Popen` tells it, None while the process runs."""
        with suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Return the status when it has ended; raises `subprocess.TimeoutExpired`, in seconds."""
        if self.returncode is None:
            if not select.select([self._status], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(COMMAND, timeout or 0)
            self.returncode = int(os.read(self._status, 16))
            os.close(self._status)
            if self._handle is not None:
                os.close(self._handle)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal; nothing happens where it has ended."""
        if self.poll() is None and self._handle is not None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._handle, number)

    def kill(self) -> None:
        """Kill it (SIGKILL)."""
        self.send_signal(signal.SIGKILL)


class _Parent:
    """The process that has loaded everything, and forks."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("forking.py")), str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,  # no terminal: output is written when there is enough
            )
        atexit.register(self._end)

    def _end(self) -> None:
        self._ours.close()
        self._process.wait()

    def fork(
        self,
        words: Sequence[str],
        folder: Path,
        environment: Mapping[str, str],
        user: int | None,
        files: list[int],
    ) -> int:
        """Return the number of a new process, with these standard files and a pipe for the end."""
        order = json.dumps([list(words), str(folder), dict(environment), user]).encode()
        with TemporaryFile() as told, self._lock:  # larger than a message may be
            told.write(order)
            told.flush()
            socket.send_fds(self._ours, [b"fork"], [told.fileno(), *files])
            return int(self._ours.recv(16))


_parent = cache(_Parent)


def start(
    command: Sequence[str],
    *,
    folder: Path | None = None,
    environment: Mapping[str, str],
    stdout: int | None = None,
    stderr: int,
    stdin: int | None = None,
    user: int | None = None,
) -> ForkedProcess:
    """Start a command for which `can_fork` holds; without ``stdout`` there is a pipe for it.

    A ``user`` has the effective rights of that number, also as a group.
    """
    status, told = os.pipe()
    pipe = None
    with Path(os.devnull).open("rb") as nothing:
        out = stdout
        if out is None:
            reading, out = os.pipe()
            pipe = os.fdopen(reading, encoding="utf-8")
        given = nothing.fileno() if stdin is None else stdin
        pid = _parent().fork(
            command[3:], folder or Path.cwd(), environment, user, [given, out, stderr, told]
        )
        os.close(told)
        if stdout is None:
            os.close(out)
    return ForkedProcess(pid, status, pipe)


def run(
    command: Sequence[str],
    *,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    given: bytes = b"",
    encoding: str = "utf-8",
    timeout: float = 300,
    user: int | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end: `subprocess.run` with its output caught as text."""
    variables = {**os.environ, **(environment or {})}
    if not can_fork(command, variables):
        return subprocess.run(
            command,
            cwd=folder,
            env=variables,
            input=given.decode(encoding),
            capture_output=True,
            encoding=encoding,
            timeout=timeout,
        )
    with TemporaryFile() as stdin, TemporaryFile() as stdout, TemporaryFile() as stderr:
        stdin.write(given)
        stdin.seek(0)
        process = start(
            command,
            folder=folder,
            environment=variables,
            stdin=stdin.fileno(),
            stdout=stdout.fileno(),
            stderr=stderr.fileno(),
            user=user,
        )
        try:
            status = process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        said = []
        for file in (stdout, stderr):
            file.seek(0)
            said.append(file.read().decode(encoding))
    return subprocess.CompletedProcess(command, status, *said)
