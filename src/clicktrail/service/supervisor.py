"""Runs each role as a process of its own: forks them, restarts what dies, stops them together.

The supervisor imports once what the roles need and forks them: they share that memory. So it must
have no thread and no event loop, and is plain code that waits for signals (ADR 6).
"""

import gc
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import NoReturn

import msgspec
from setproctitle import setproctitle

from clicktrail.base.logs import get_logger
from clicktrail.service.pipes import SILENT_SECONDS, Child, Ties
from clicktrail.service.signals import RELOAD, STOP, ignore_all, ignore_strangers, terminal

log = get_logger()

STOP_SECONDS = 30.0
"""How long roles may take to finish what they have begun; then they are killed."""
RESTART_FIRST, RESTART_MOST = 0.2, 10.0
LOOK_SECONDS = 1.0
_HANGS = f"it hangs: nothing was heard of it for {SILENT_SECONDS:g} seconds and more"
_SIGNALS = (*STOP, RELOAD, signal.SIGCHLD)


def workers_of(role: str, number: int) -> list[str]:
    """Return the names of so many processes of a role: ``smtp``, ``smtp:2``, ``smtp:3`` …"""
    return [role, *(f"{role}:{each}" for each in range(2, number + 1))]


def role_of(worker: str) -> str:
    """Return the role of a process by its name."""
    return worker.partition(":")[0]


class Supervisor:
    """Forks the processes of roles and keeps them running.

    ``roles`` are their names: see `workers_of`. ``work`` is what one does: it gets its name and its
    `Ties`, and returns the exit status. The role `MONITOR` gets the problems of the others.
    ``ending`` is called before they are told to stop.
    """

    MONITOR = "monitor"

    def __init__(
        self,
        roles: Sequence[str],
        work: Callable[[str, Ties], int],
        ending: Callable[[], None] = lambda: None,
    ) -> None:
        self._roles = roles
        self._work = work
        self._ending = ending
        self._children: dict[str, Child] = {}
        self._due: dict[str, tuple[float, float]] = {}
        """Roles to start again: when, and how long the next wait is."""
        self._alive_end, self._alive = os.pipe()
        self._problems_end, self._problems = os.pipe()
        os.set_blocking(self._problems, False)
        self._told: dict[str, Mapping[str, str]] = {}
        """What the monitor knows, by role."""
        self._begun = False
        self._failed: Callable[[str], None] = lambda why: None
        self._causes: set[str] = set()
        """Why roles could not start, as far as it was said."""
        self._late: dict[str, str] = {}
        """Roles without which the service has begun: why they could not start."""
        self._stopping = False
        self._terminal = terminal()

    def run(
        self,
        ready: Callable[[list[str], Mapping[str, str]], None],
        failed: Callable[[str], None] = lambda why: log.error("role failed", why=why),
    ) -> int:
        """Run until a signal of `STOP` comes; return the exit status.

        ``ready`` gets the lines of all roles, once, and why some are not ready yet. When a role
        cannot start, the others are stopped and 1 is returned; ``failed`` gets the reasons, each
        once however many roles had it. Where the reason may pass, and another role is ready, that
        one goes on, and the role is started again and again: clicks need no store.
        """
        self._failed = failed
        ignore_strangers()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            for role in self._roles:
                self._start(role, RESTART_FIRST)
            if not self._wait_until_ready():
                return 0 if self._stopping else 1
            self._begun = True
            lines = [line for role in self._roles for line in self._children[role].lines]
            # Those of a role's workers are the same.
            ready(list(dict.fromkeys(lines)), self._late)
            while not self._stopping:
                self._wait(self._pause())
                self._welcome()
                self._restart()
                self._tell_problems()
            return 0
        finally:
            self._stop_all()
            ignore_all()
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def problems(self) -> dict[str, dict[str, str]]:
        """Return what is not ready of each role, and why."""
        return {role: self._problems_of(role) for role in self._roles}

    def _problems_of(self, role: str) -> dict[str, str]:
        if self._stopping:
            return {role: "it is stopping"}
        if role in self._late:
            return {role: f"it cannot start: {self._late[role]}"}
        if role in self._due:
            return {role: "it has ended"}
        child = self._children[role]
        if not child.lines:
            return {role: "it is starting", **child.problems}
        if child.heard is not None and time.monotonic() - child.heard > SILENT_SECONDS:
            return {role: _HANGS, **child.problems}
        return child.problems

    def _start(self, role: str, wait: float) -> None:
        # Only memory may be shared: a lock that a thread holds stays locked in the child for ever.
        assert threading.active_count() == 1
        reading, writing = os.pipe()
        faults, telling = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        gc.freeze()  # a collection in the child writes to no page of what is here now
        pid = os.fork()
        if pid == 0:
            os.close(reading)
            os.close(faults)
            self._become(role, Ties(self._alive_end, writing, telling, self._problems_end))
        os.close(writing)
        os.close(telling)
        os.set_blocking(reading, False)
        os.set_blocking(faults, False)
        self._children[role] = Child(role, pid, reading, faults, wait)
        if role == self.MONITOR:
            self._told.clear()  # a new one knows nothing

    def _become(self, role: str, ties: Ties) -> NoReturn:
        """Be a role's process."""
        status = 1
        try:
            os.setsid()  # Ctrl-C reaches the supervisor alone; it tells the roles
            os.close(self._alive)
            os.close(self._problems)
            for child in self._children.values():
                for pipe in (child.ready, child.faults):
                    if pipe >= 0:
                        os.close(pipe)
            # SIGHUP stays blocked until the role can take it: by default it kills.
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {*_SIGNALS} - {RELOAD})
            setproctitle(f"clicktrail serve --role {role}")
            ties.end_with_supervisor(STOP_SECONDS)
            status = self._work(role, ties)
        except BaseException:
            log.exception("role failed", role=role)
        finally:
            with suppress(OSError, ValueError):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(status)  # nothing of the supervisor's own is ended here

    def _wait_until_ready(self) -> bool:
        """Return whether the service has begun; ``False`` too when told to stop before."""
        while any(child.ready >= 0 for child in self._children.values()):
            self._wait(0.0)
            if self._stopping or any(not self._children[r].may_start_later for r in self._due):
                return False
            pipes = [child.ready for child in self._children.values() if child.ready >= 0]
            select.select(pipes, [], [], 0.05)
        missing = [child for child in self._children.values() if not child.lines]
        works = any(c.lines for role, c in self._children.items() if role != self.MONITOR)
        if not works or not all(child.may_start_later for child in missing):
            for child in missing:
                self._tell_cause(child)
            return False
        for child in missing:
            self._late[child.role] = child.why
            log.error("not ready", what=child.role, why=child.why)
        self._tell_problems()
        return True

    def _welcome(self) -> None:
        """Take note of roles that could not start at first, and are ready now."""
        for role in [role for role in self._late if self._children[role].lines]:
            del self._late[role]
            log.info("ready again", what=role)  # not its lines: the console's may be a way in

    def _wait(self, seconds: float) -> None:
        """Wait for a signal that long; take note of what roles say and of those that ended."""
        caught = signal.sigtimedwait(_SIGNALS, seconds)
        while caught is not None:
            if caught.si_signo in STOP:
                self._stopping = True
            elif caught.si_signo == RELOAD:
                self._hang_up()
            caught = signal.sigtimedwait(_SIGNALS, 0)
        for child in self._children.values():
            child.listen()
            child.hear_faults()
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG)) != (0, 0):
                self._ended(*ended)

    def _hang_up(self) -> None:
        """Have the roles read their files again; stop where the terminal was closed."""
        time.sleep(self._terminal.patience)
        if self._terminal.is_gone():
            self._stopping = True
        for child in self._children.values():
            if child.pid and not self._stopping:
                os.kill(child.pid, RELOAD)

    def _ended(self, pid: int, status: int) -> None:
        child = next((each for each in self._children.values() if each.pid == pid), None)
        if child is None:
            return
        child.listen()
        child.pid = 0
        os.close(child.faults)
        child.faults = -1
        if not child.may_start_later:
            self._tell_cause(child)
        if self._stopping:
            return
        wait = child.wait
        if time.monotonic() - child.started > RESTART_MOST:
            wait = RESTART_FIRST
        same = child.why and self._late.get(child.role) == child.why
        if self._begun and not same:  # before, a role that cannot start has said why
            code = os.waitstatus_to_exitcode(status)
            why = {"why": child.why} if child.why else {}
            log.error("role_ended", role=child.role, status=code, restart_in=wait, **why)
        self._due[child.role] = time.monotonic() + wait, min(2 * wait, RESTART_MOST)

    def _tell_cause(self, child: Child) -> None:
        if child.why and not self._begun and child.why not in self._causes:
            self._causes.add(child.why)
            self._failed(child.why)

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
        for role, problems in self.problems().items():
            if problems != self._told.get(role):
                if problems.get(role) == _HANGS:
                    log.error("not ready", what=role, why=_HANGS)
                with suppress(BlockingIOError):  # there is no monitor, or it is long dead
                    os.write(self._problems, msgspec.json.encode({role: problems}) + b"\n")
                    self._told[role] = problems

    def _stop_all(self) -> None:
        self._stopping = True
        self._ending()
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
