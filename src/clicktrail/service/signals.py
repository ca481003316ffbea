"""What signals tell this program: to stop, to read its files again, or nothing at all."""

import os
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the process that has just begun waits for nothing that it need not load
    import asyncio

STOP = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
RELOAD = signal.SIGHUP
"""Also what a terminal sends that is closed: see `Terminal`."""

HANG_UP_SECONDS = 0.1
"""A shell that ends signals before it lets go of the terminal: so long it is waited for that."""

_MEAN_NOTHING = (signal.SIGUSR1, signal.SIGUSR2)
"""Tools for other services send these, to have log files opened anew; by default they kill."""


class Terminal:
    """The terminal that this program was started from, where there is one.

    A program that was told to outlive it (``nohup``: SIGHUP is ignored) has none.
    """

    def __init__(self) -> None:
        self._was_there = signal.getsignal(RELOAD) is not signal.SIG_IGN and _is_there()

    def is_gone(self) -> bool:
        """Whether there was one and it was closed: then SIGHUP means to stop."""
        return self._was_there and not _is_there()

    @property
    def patience(self) -> float:
        """Seconds after SIGHUP until `is_gone` is sure."""
        return HANG_UP_SECONDS if self._was_there else 0.0


_held: tuple[int, Terminal] | None = None
"""The process that `hold_back` was called in, and its terminal."""


def _is_there() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


def ignore_strangers() -> None:
    """Ignore the signals that mean nothing here, also in processes that are forked later."""
    for number in _MEAN_NOTHING:
        signal.signal(number, signal.SIG_IGN)


def hold_back() -> None:
    """Have no signal but those of `STOP` end this process: the first thing that a service does.

    SIGHUP waits for who can take it, and whether there is a terminal, whose end it may tell, is
    seen now.
    """
    global _held  # noqa: PLW0603 - a process has one beginning
    ignore_strangers()
    hold_reload()
    _held = os.getpid(), Terminal()


def hold_reload() -> None:
    """Have SIGHUP wait, for a handler or for the end of the process: by default it kills."""
    signal.pthread_sigmask(signal.SIG_BLOCK, (RELOAD,))


def terminal() -> Terminal:
    """Return the terminal that this process began with: roles, which are forked, have none."""
    process, held = _held or (0, None)
    return held if held is not None and process == os.getpid() else Terminal()


def on_signals(
    loop: "asyncio.AbstractEventLoop", stop: Callable[[], None], reload: Callable[[], None]
) -> None:
    """Call ``stop`` when told to stop, ``reload`` when told to read files again."""
    ours = terminal()

    def hang_up() -> None:
        loop.call_later(ours.patience, lambda: stop() if ours.is_gone() else reload())

    ignore_strangers()
    for number in STOP:
        _call(loop, number, stop)
    _call(loop, RELOAD, hang_up)
    # It was held back, by `hold_back` or the supervisor: what came meanwhile comes now.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (RELOAD,))


def _call(
    loop: "asyncio.AbstractEventLoop", number: signal.Signals, do: Callable[[], None]
) -> None:
    # Not by `loop.add_signal_handler`: a loop that ends lets signals kill again, if only for a
    # moment, where `ignore_all` goes from the one to the other at once.
    signal.signal(number, lambda *_: loop.call_soon_threadsafe(do))


def ignore_all() -> None:
    """Have no signal mean anything from here on: the end of this process has begun.

    Who stops a service may do it twice, and its exit status shall say that it has stopped well. To
    hold signals back would not do: there may be threads, which have them delivered.
    """
    for number in (*STOP, RELOAD):
        signal.signal(number, signal.SIG_IGN)
