"""Runs each role as a process of its own: starts them, restarts what dies, stops them together."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

log = structlog.get_logger()

STOP_SECONDS = 30
"""How long roles may take to finish what they have begun; then they are killed."""
RESTART_FIRST, RESTART_MOST = 0.2, 10.0


@dataclass
class Child:
    """A role's process. ``lines`` is what it said when it was ready."""

    role: str
    process: asyncio.subprocess.Process
    lines: list[str] = field(default_factory=list)


class Supervisor:
    """Starts ``command + [--role, ROLE]`` for each role and keeps it running.

    A child tells that it is ready by writing its lines to the pipe whose number is in
    ``CLICKTRAIL_READY_FD`` and closing it. Its standard input is a pipe that the supervisor holds
    open: when the supervisor dies, however suddenly, the child reads the end of it and stops.
    """

    def __init__(
        self, roles: Sequence[str], command: Sequence[str], environment: Mapping[str, str]
    ) -> None:
        self._roles = roles
        self._command = command
        self._environment = environment
        self._children: dict[str, Child] = {}
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Ask all roles to stop; `run` returns when they have."""
        self._stopping.set()

    def problems(self) -> Mapping[str, str]:
        """Return which roles are not ready, and why."""
        if self._stopping.is_set():
            return dict.fromkeys(self._roles, "it is stopping")
        found = {}
        for role in self._roles:
            child = self._children.get(role)
            if child is None or not child.lines:
                found[role] = "it is starting"
            elif child.process.returncode is not None:
                found[role] = f"it has ended with {child.process.returncode}"
        return found

    async def run(self, ready: Callable[[list[str]], None]) -> int:
        """Run until `stop` is called; return the exit status.

        ``ready`` gets the lines of all roles, once. When a role cannot start, the others are
        stopped and its exit status is returned.
        """
        started = await asyncio.gather(*(self._start(role) for role in self._roles))
        try:
            if not all(started):
                return 1
            ready([line for role in self._roles for line in self._children[role].lines])
            keepers = [asyncio.create_task(self._keep(role)) for role in self._roles]
            await self._stopping.wait()
            for keeper in keepers:
                keeper.cancel()
            await asyncio.gather(*keepers, return_exceptions=True)
        finally:
            await self._stop_all()
        return 0

    async def _start(self, role: str) -> bool:
        """Start a role and wait until it is ready; ``False`` when it ended before."""
        reading, writing = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                "--role",
                role,
                stdin=asyncio.subprocess.PIPE,
                env={**self._environment, "CLICKTRAIL_READY_FD": str(writing)},
                pass_fds=(writing,),
                start_new_session=True,  # Ctrl-C reaches the supervisor alone; it tells the roles
            )
        finally:
            os.close(writing)
        child = Child(role, process)
        self._children[role] = child
        with os.fdopen(reading, "rb") as pipe:
            said = await asyncio.to_thread(pipe.read)
        child.lines = said.decode().splitlines()
        return bool(child.lines)

    async def _keep(self, role: str) -> None:
        """Start a role again whenever it ends."""
        wait = RESTART_FIRST
        while True:
            started = asyncio.get_running_loop().time()
            status = await self._children[role].process.wait()
            if asyncio.get_running_loop().time() - started > RESTART_MOST:
                wait = RESTART_FIRST
            log.error("role_ended", role=role, status=status, restart_in=wait)
            await asyncio.sleep(wait)
            wait = min(2 * wait, RESTART_MOST)
            await self._start(role)

    async def _stop_all(self) -> None:
        running = [c.process for c in self._children.values() if c.process.returncode is None]
        for process in running:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        if not running:
            return
        _, late = await asyncio.wait(
            [asyncio.create_task(process.wait()) for process in running], timeout=STOP_SECONDS
        )
        for process in running if late else ():
            with contextlib.suppress(ProcessLookupError):
                process.kill()


def tell_ready(lines: Sequence[str]) -> bool:
    """Tell the supervisor, where there is one, that this role is ready."""
    number = os.environ.pop("CLICKTRAIL_READY_FD", "")
    if not number:
        return False
    with os.fdopen(int(number), "wb") as pipe:
        pipe.write("\n".join(lines).encode())
    return True


def stop_with_parent(loop: asyncio.AbstractEventLoop, stop: Callable[[], None]) -> None:
    """Call ``stop`` when the supervisor's end of standard input closes."""

    def read() -> None:
        if not os.read(sys.stdin.fileno(), 4096):
            loop.remove_reader(sys.stdin.fileno())
            stop()

    loop.add_reader(sys.stdin.fileno(), read)


def on_signals(loop: asyncio.AbstractEventLoop, stop: Callable[[], None]) -> None:
    """Call ``stop`` on SIGTERM and SIGINT."""
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
