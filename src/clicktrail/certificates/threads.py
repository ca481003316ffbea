"""Calls that block, in threads that nobody waits for when the process ends."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from clicktrail.certificates.authority import OrderFailed

T = TypeVar("T")

PATIENCE = 900.0
"""Seconds that a call may take in all: an authority that sends a byte now and then is never silent.
An order takes `authority.ORDER_SECONDS`, and some requests before and after."""


async def in_thread(call: Callable[[], T], patience: float = PATIENCE) -> T:
    """Return what a call returns, which may wait for another machine for some minutes.

    Raises `OrderFailed` when ``patience`` seconds have passed. The loop's own threads are waited
    for at the end of the process; a call that is given up here just goes on, and its answer is
    nobody's.
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
    try:
        async with asyncio.timeout(patience):
            return await answer
    except TimeoutError:
        raise OrderFailed(f"the authority takes longer than {patience:g} seconds") from None
