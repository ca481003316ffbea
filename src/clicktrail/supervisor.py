"""Runs each role as a process of its own: forks them, restarts what dies, stops them together.

The supervisor imports once what the roles need and forks them: they share that memory. So it must
have no thread and no event loop, and is plain code that waits for signals (ADR 6).
"""

import asyncio
import gc
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NoReturn

import msgspec
import structlog
from setproctitle import setproctitle

log = structlog.get_logger()

STOP_SECONDS = 30.0
"""How long roles may take to finish what they have begun; then they are killed."""
RESTART_FIRST, RESTART_MOST = 0.2, 10.0
LOOK_SECONDS = 1.0
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)


@dataclass
class Ties:
    """What ties a role's process to the supervisor: ends of pipes."""

    supervisor: int
    """Reads its end when the supervisor has died, however suddenly."""
    ready: int
    """Takes the role's lines, once it is ready."""
    problems: int
    """Gives a line of JSON whenever the problems of the roles change; for the monitor alone."""

    def tell_ready(self, lines: Sequence[str]) -> None:
        """Tell the supervisor that this role is ready."""
        with os.fdopen(self.ready, "wb") as pipe:
            pipe.write(("\n".join(lines) + "\n").encode())

    def stop_with_supervisor(
        self, loop: asyncio.AbstractEventLoop, stop: Callable[[], None]
    ) -> None:
        """Call ``stop`` when the supervisor is no more."""

        def ended() -> None:
            loop.remove_reader(self.supervisor)
            stop()

        loop.add_reader(self.supervisor, ended)

    def follow_problems(
        self, loop: asyncio.AbstractEventLoop, see: Callable[[dict[str, str]], None]
    ) -> None:
        """Call ``see`` with the problems of the roles, now and whenever they change."""

        def read() -> None:
            lines = os.read(self.problems, 1 << 16).splitlines()
            if not lines:
                loop.remove_reader(self.problems)
            else:
                see(msgspec.json.decode(lines[-1], type=dict[str, str]))

        loop.add_reader(self.problems, read)


@dataclass
class Child:
    """A role's process. ``lines`` is what it said when it was ready."""

    role: str
    pid: int
    ready: int
    """Where it says so; -1 when it has, or has ended."""
    said: bytes = b""
    lines: list[str] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)
    wait: float = RESTART_FIRST


class Supervisor:
    """Forks a process for each role and keeps it running.

    ``work`` is what the process of a role does: it gets the role and its `Ties`, and returns the
    exit status. The role `MONITOR` gets the problems of the others.
    """

    MONITOR = "monitor"

    def __init__(self, roles: Sequence[str], work: Callable[[str, Ties], int]) -> None:
        self._roles = roles
        self._work = work
        self._children: dict[str, Child] = {}
        self._due: dict[str, tuple[float, float]] = {}
        """Roles to start again: when, and how long the next wait is."""
        self._alive_end, self._alive = os.pipe()
        self._problems_end, self._problems = os.pipe()
        os.set_blocking(self._problems, False)
        self._told: Mapping[str, str] | None = None
        self._begun = False
        self._stopping = False

    def run(self, ready: Callable[[list[str]], None]) -> int:
        """Run until SIGTERM or SIGINT; return the exit status.

        ``ready`` gets the lines of all roles, once. When a role cannot start, the others are
        stopped and 1 is returned.
        """
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            for role in self._roles:
                self._start(role, RESTART_FIRST)
            if not self._wait_until_ready():
                return 0 if self._stopping else 1
            self._begun = True
            ready([line for role in self._roles for line in self._children[role].lines])
            while not self._stopping:
                self._wait(self._pause())
                self._restart()
                self._tell_problems()
            return 0
        finally:
            self._stop_all()
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def problems(self) -> dict[str, str]:
        """Return which roles are not ready, and why."""
        if self._stopping:
            return dict.fromkeys(self._roles, "it is stopping")
        return {
            role: "it has ended" if role in self._due else "it is starting"
            for role in self._roles
            if role in self._due or not self._children[role].lines
        }

    def _start(self, role: str, wait: float) -> None:
        # Only memory may be shared: a lock that a thread holds stays locked in the child for ever.
        assert threading.active_count() == 1
        reading, writing = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        gc.freeze()  # a collection in the child writes to no page of what is here now
        pid = os.fork()
        if pid == 0:
            os.close(reading)
            self._become(role, Ties(self._alive_end, writing, self._problems_end))
        os.close(writing)
        os.set_blocking(reading, False)
        self._children[role] = Child(role, pid, reading, wait=wait)

    def _become(self, role: str, ties: Ties) -> NoReturn:
        """Be a role's process."""
        status = 1
        try:
            os.setsid()  # Ctrl-C reaches the supervisor alone; it tells the roles
            os.close(self._alive)
            os.close(self._problems)
            for child in self._children.values():
                if child.ready >= 0:
                    os.close(child.ready)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            setproctitle(f"clicktrail serve --role {role}")
            status = self._work(role, ties)
        except BaseException:
            log.exception("role failed", role=role)
        finally:
            with suppress(OSError, ValueError):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(status)  # nothing of the supervisor's own is ended here

    def _wait_until_ready(self) -> bool:
        """Return whether all roles are ready; ``False`` too when told to stop before."""
        while any(child.ready >= 0 for child in self._children.values()):
            self._wait(0.0)
            if self._stopping or self._due:
                return False
            pipes = [child.ready for child in self._children.values() if child.ready >= 0]
            select.select(pipes, [], [], 0.05)
        self._tell_problems()
        return all(child.lines for child in self._children.values())

    def _wait(self, seconds: float) -> None:
        """Wait for a signal that long; take note of what roles say and of those that ended."""
        caught = signal.sigtimedwait(_SIGNALS, seconds)
        while caught is not None:
            if caught.si_signo != signal.SIGCHLD:
                self._stopping = True
            caught = signal.sigtimedwait(_SIGNALS, 0)
        for child in self._children.values():
            _listen(child)
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG)) != (0, 0):
                self._ended(*ended)

    def _ended(self, pid: int, status: int) -> None:
        child = next((each for each in self._children.values() if each.pid == pid), None)
        if child is None:
            return
        _listen(child)
        child.pid = 0
        if self._stopping:
            return
        wait = child.wait
        if time.monotonic() - child.started > RESTART_MOST:
            wait = RESTART_FIRST
        if self._begun:  # before, a role that cannot start has said why
            code = os.waitstatus_to_exitcode(status)
            log.error("role_ended", role=child.role, status=code, restart_in=wait)
        self._due[child.role] = time.monotonic() + wait, min(2 * wait, RESTART_MOST)

    def _restart(self) -> None:
        now = time.monotonic()
        for role, (at, wait) in list(self._due.items()):
            if at <= now and not self._stopping:
                del self._due[role]
                self._start(role, wait)

    def _pause(self) -> float:
        """Return how long nothing needs to be done."""
        if any(child.ready >= 0 for child in self._children.values()):
            return 0.05
        soonest = min((at for at, _ in self._due.values()), default=float("inf"))
        return max(0.0, min(LOOK_SECONDS, soonest - time.monotonic()))

    def _tell_problems(self) -> None:
        problems = self.problems()
        if problems != self._told:
            with suppress(BlockingIOError):  # there is no monitor, or it is long dead
                os.write(self._problems, msgspec.json.encode(problems) + b"\n")
                self._told = problems

    def _stop_all(self) -> None:
        self._stopping = True
        self._tell_problems()
        until = time.monotonic() + STOP_SECONDS
        monitor = [c for role, c in self._children.items() if role == self.MONITOR]
        self._stop([c for c in self._children.values() if c not in monitor], until)
        self._stop(monitor, until)  # last: until then it says that the others are stopping
        for pipe in (self._alive_end, self._alive, self._problems_end, self._problems):
            os.close(pipe)

    def _stop(self, children: Sequence[Child], until: float) -> None:
        """Ask to stop, and kill who has not by then."""
        for child in children:
            if child.pid:
                os.kill(child.pid, signal.SIGTERM)
        while any(child.pid for child in children) and time.monotonic() < until:
            self._wait(min(0.2, max(0.0, until - time.monotonic())))
        for child in children:
            if child.pid:
                log.error("role_killed", role=child.role, after_seconds=STOP_SECONDS)
                os.kill(child.pid, signal.SIGKILL)
                os.waitpid(child.pid, 0)


def _listen(child: Child) -> None:
    """Read what a role says; all of it is there at the end of the pipe."""
    while child.ready >= 0:
        try:
            piece = os.read(child.ready, 4096)
        except BlockingIOError:
            return
        child.said += piece
        if not piece:
            os.close(child.ready)
            child.ready = -1
            child.lines = child.said.decode().splitlines()


def on_signals(loop: asyncio.AbstractEventLoop, stop: Callable[[], None]) -> None:
    """Call ``stop`` on SIGTERM and SIGINT."""
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
