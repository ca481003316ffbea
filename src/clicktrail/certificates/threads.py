"""Calls that block, in threads that nobody waits for when the process ends."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")


async def in_thread(call: Callable[[], T]) -> T:
    """Return what a call returns, which may wait for another machine for a minute.

    The loop's own threads are waited for at the end of the process; a call that is given up here
    just goes on, and its answer is nobody's.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()

    def give(result: T | None, error: BaseException | None) -> None:
        if answer.done():
            return
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        found: tuple[T | None, BaseException | None]
        try:
            found = call(), None
        except BaseException as error:
            found = None, error
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(give, *found)

    threading.Thread(target=run, name="certificate authority", daemon=True).start()
    return await answer
