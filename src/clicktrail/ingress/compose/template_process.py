"""Renders templates in processes of their own: one that takes too long stops nobody else.

``python -m clicktrail.ingress.compose.template_process`` is such a process. It reads work from its
standard input and writes what became of it to its standard output, one at a time, each with its
length in 4 bytes before it, as MessagePack; it ends with its input.
"""

import asyncio
import contextlib
import resource
import signal
import struct
import sys
from types import FrameType
from typing import Protocol

import msgspec

from clicktrail.base.logs import get_logger
from clicktrail.errors import ClicktrailError
from clicktrail.ingress.compose.template import RenderingFailed, Work, render

log = get_logger(__name__)

CPU_SECONDS = 3.0
"""How long the parts of one email may keep a processor busy."""
_AGAIN = 0.1
"""Seconds of processor time after which who goes on is told so again."""
_MEMORY = 256 * 1024 * 1024
_LENGTH = struct.Struct("!I")


class TooManyTemplates(ClicktrailError):
    """So many templates wait to be rendered that one more may not."""

    permanent = False


class Answer(msgspec.Struct):
    """What became of work: the parts, or why not."""

    parts: dict[str, str] | None = None
    failed: str = ""


class Renderer(Protocol):
    """Renders templates."""

    async def render(self, work: Work) -> dict[str, str]:
        """Return the parts of an email. Raises `RenderingFailed`, `TooManyTemplates`."""
        ...


class TemplateProcesses:
    """Renders templates, several at a time. `stop` ends the processes."""

    MOST = 2
    MOST_WAITING = 64
    SECONDS = 60.0
    """How long a process may be silent: much more than `CPU_SECONDS`, on a busy machine too."""

    def __init__(self) -> None:
        self._places = asyncio.Semaphore(self.MOST)
        self._idle: list[asyncio.subprocess.Process] = []
        self._asked = 0

    async def render(self, work: Work) -> dict[str, str]:
        """Return the parts of an email. Raises `RenderingFailed`, `TooManyTemplates`.

        The first time takes as long as a process takes to start.
        """
        if not any("{{" in source for source in work.parts.values()):
            return render(work)
        if self._asked >= self.MOST + self.MOST_WAITING:
            raise TooManyTemplates("too many templates wait to be rendered: try again")
        self._asked += 1
        try:
            async with self._places:
                answer = await self._ask(work)
        finally:
            self._asked -= 1
        if answer.parts is None:
            raise RenderingFailed(answer.failed)
        return answer.parts

    async def _ask(self, work: Work) -> Answer:
        process = self._idle.pop() if self._idle else await _started(self.SECONDS)
        try:
            async with asyncio.timeout(self.SECONDS):
                answer = await _exchange(process, work)
        except (TimeoutError, OSError, EOFError, msgspec.DecodeError):
            log.warning("a template ended the process that rendered it")
            await _end(process)
            return Answer(failed="the template takes too much time or memory: make it simpler")
        except BaseException:  # nobody waits any more, and what it says next is not for the next
            await _end(process)
            raise
        self._idle.append(process)
        return answer

    async def stop(self) -> None:
        """End the processes."""
        while self._idle:
            await _end(self._idle.pop())


async def _started(seconds: float) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        __name__,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is for us; it ends with its input
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(seconds):
            await process.stdout.readexactly(1)
    except BaseException:
        await _end(process)
        raise
    return process


async def _exchange(process: asyncio.subprocess.Process, work: Work) -> Answer:
    assert process.stdin is not None
    assert process.stdout is not None
    data = msgspec.msgpack.encode(work)
    process.stdin.write(_LENGTH.pack(len(data)) + data)
    await process.stdin.drain()
    (size,) = _LENGTH.unpack(await process.stdout.readexactly(_LENGTH.size))
    return msgspec.msgpack.decode(await process.stdout.readexactly(size), type=Answer)


async def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    if process.stdin is not None:
        process.stdin.close()
    await process.wait()


class _TooLong(BaseException):
    """The time is over. Not an `Exception`: no library's ``except`` holds it up."""


def over(_number: int, _frame: FrameType | None) -> None:
    """Handle ``SIGPROF``: `answer_to` ends what it is at."""
    raise _TooLong


def answer_to(work: Work, seconds: float = CPU_SECONDS) -> Answer:
    """Return what becomes of work within so many seconds of processor time (main thread only)."""
    try:
        # Again and again: raised within a finalizer or a callback of the garbage collector, it is
        # lost (sys.unraisablehook).
        signal.setitimer(signal.ITIMER_PROF, seconds, _AGAIN)
        try:
            return Answer(parts=render(work))
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
    except RenderingFailed as failed:
        return Answer(failed=str(failed))
    except MemoryError:
        return Answer(failed="the template takes too much memory: make it simpler")
    except _TooLong:
        return Answer(
            failed=f"the template takes longer than {seconds:g} seconds: give it less to loop over"
        )


def main() -> None:
    """Answer work until the input ends."""
    signal.signal(signal.SIGPROF, over)
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    sink.write(b"\n")
    sink.flush()
    while len(head := source.read(_LENGTH.size)) == _LENGTH.size:
        work = msgspec.msgpack.decode(source.read(*_LENGTH.unpack(head)), type=Work)
        most = _MEMORY + 16 * work.limit
        with contextlib.suppress(ValueError):  # a lower limit was set for all of us
            resource.setrlimit(resource.RLIMIT_AS, (most, hard))
        data = msgspec.msgpack.encode(answer_to(work))
        sink.write(_LENGTH.pack(len(data)) + data)
        sink.flush()


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        main()
