"""The pipes between the supervisor and the roles' processes: what they tell one another."""

import asyncio
import os
import select
import signal
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import msgspec

from clicktrail.base.faults import Faults
from clicktrail.base.logs import get_logger

log = get_logger()

TELL_SECONDS = 0.1
"""Faults that come and go are told no more often than that."""
ALIVE_SECONDS, SILENT_SECONDS = 5.0, 20.0
"""How often a role says that it is alive, and after how long a silence it counts as hanging."""
LINE = 4096
"""The longest line that a pipe takes whole or not at all (``PIPE_BUF``, pipe(7))."""
_ENVELOPE = 128
"""What the supervisor adds to a role's line: its name, and that it is starting."""
_FAILURE, _FOR_NOW = b"\0", b"\0\0"
"""What comes before the reason, where a role says that it cannot start, or cannot yet."""


@dataclass
class Ties:
    """What ties a role's process to the supervisor: ends of pipes."""

    supervisor: int
    """Reads its end when the supervisor has died, however suddenly."""
    ready: int
    """Takes the role's lines, once it is ready; -1 when it has."""
    faults: int
    """Takes a line of JSON whenever the role's faults change."""
    problems: int
    """Gives a line of JSON whenever the problems of a role change; for the monitor alone."""

    def tell_ready(self, lines: Sequence[str]) -> None:
        """Tell the supervisor that this role is ready."""
        # When the supervisor is no more, nobody reads it.
        with suppress(BrokenPipeError), os.fdopen(self.ready, "wb") as pipe:
            pipe.write(("\n".join(lines) + "\n").encode())
        self.ready = -1

    def tell_failure(self, why: str, *, permanent: bool = True) -> None:
        """Tell the supervisor why this role ends without having been ready, or the log after.

        Where that is not ``permanent``, it is worth to start it again.
        """
        if self.ready < 0:
            log.error("role failed", why=why)
            return
        with suppress(BrokenPipeError), os.fdopen(self.ready, "wb") as pipe:
            pipe.write((_FAILURE if permanent else _FOR_NOW) + why.encode("utf-8", "replace"))
        self.ready = -1

    def tell_faults(self, loop: asyncio.AbstractEventLoop, faults: Faults) -> None:
        """Tell the supervisor the faults of this role, now and whenever they change.

        They are told again and again, so that it hears that the role's loop runs.
        """
        due = False

        def tell() -> None:
            nonlocal due
            due = False
            try:
                os.write(self.faults, _line_of(faults.current()))
            except BlockingIOError:  # it reads when it has time
                later()
            except OSError:
                return  # it has died, and so does this process

        def later() -> None:
            nonlocal due
            if not due:
                due = True
                loop.call_later(TELL_SECONDS, tell)

        def changed() -> None:
            with suppress(RuntimeError):  # the loop has ended, and with it the process
                loop.call_soon_threadsafe(later)

        os.set_blocking(self.faults, False)

        def beat() -> None:
            tell()
            loop.call_later(ALIVE_SECONDS, beat)

        faults.on_change(changed)
        beat()

    def stop_with_supervisor(
        self, loop: asyncio.AbstractEventLoop, stop: Callable[[], None]
    ) -> None:
        """Call ``stop`` when the supervisor is no more."""

        def ended() -> None:
            loop.remove_reader(self.supervisor)
            stop()

        loop.add_reader(self.supervisor, ended)

    def end_with_supervisor(self, seconds: float) -> None:
        """Kill this process when the supervisor is no more and so many seconds were not enough.

        A thread sees to it: a role that hangs while it starts, or later, does not read pipes.
        """

        def watch() -> None:
            select.select([self.supervisor], [], [])
            time.sleep(seconds)
            os.kill(os.getpid(), signal.SIGKILL)

        threading.Thread(target=watch, name="end with the supervisor", daemon=True).start()

    def follow_problems(
        self, loop: asyncio.AbstractEventLoop, see: Callable[[dict[str, str]], None]
    ) -> None:
        """Call ``see`` with the problems of all roles, now and whenever they change.

        Problems of two roles that have the same name become one, with both texts.
        """
        by_role: dict[str, dict[str, str]] = {}

        def read() -> None:
            lines = os.read(self.problems, 1 << 16).splitlines()  # all that a pipe holds
            if not lines:
                loop.remove_reader(self.problems)
                return
            for line in lines:
                by_role.update(msgspec.json.decode(line, type=dict[str, dict[str, str]]))
            texts: dict[str, list[str]] = {}
            for problems in by_role.values():
                for what, why in problems.items():
                    told = texts.setdefault(what, [])
                    if why not in told:
                        told.append(why)
            see({what: "; ".join(told) for what, told in texts.items()})

        loop.add_reader(self.problems, read)


@dataclass
class Child:
    """A role's process. ``lines`` is what it said when it was ready."""

    role: str
    pid: int
    ready: int
    """Where it says so; -1 when it has, or has ended."""
    faults: int
    """Where it tells its faults; -1 when it has ended."""
    wait: float
    """Seconds until it is started again, should it end."""
    said: bytes = b""
    problems: dict[str, str] = field(default_factory=dict)
    """Its faults."""
    heard: float | None = None
    """When it told them last (`time.monotonic`)."""
    lines: list[str] = field(default_factory=list)
    why: str = ""
    """Why it could not start, where it said so."""
    may_start_later: bool = False
    """Whether that may pass."""
    started: float = field(default_factory=time.monotonic)

    def listen(self) -> None:
        """Read what a role says; all of it is there at the end of the pipe."""
        while self.ready >= 0:
            try:
                piece = os.read(self.ready, 4096)
            except BlockingIOError:
                return
            self.said += piece
            if not piece:
                os.close(self.ready)
                self.ready = -1
                if self.said.startswith(_FAILURE):
                    self.may_start_later = self.said.startswith(_FOR_NOW)
                    self.why = self.said.lstrip(_FAILURE).decode()
                else:
                    self.lines = self.said.decode().splitlines()

    def hear_faults(self) -> None:
        """Read the faults that a role tells: the last line is what they are now."""
        while self.faults >= 0:
            try:
                lines = os.read(self.faults, 1 << 16).splitlines()  # all that a pipe holds
            except BlockingIOError:
                return
            if not lines:  # it ends
                return
            self.problems = msgspec.json.decode(lines[-1], type=dict[str, str])
            self.heard = time.monotonic()


def _line_of(faults: dict[str, str]) -> bytes:
    """Return faults as a line that a pipe takes whole: the last ones are left out if need be."""
    while len(line := msgspec.json.encode(faults) + b"\n") > LINE - _ENVELOPE:
        faults.popitem()
    return line
