"""Ends what runs in the background."""

import asyncio
from contextlib import suppress
from typing import Any, Protocol

AGAIN_SECONDS = 1.0
"""After so long a task that has not ended is told again."""


async def end(*tasks: "asyncio.Task[Any] | None") -> None:
    """Cancel tasks and return when all have ended; what they raise is theirs.

    They are told again and again: a cancellation can be lost. `asyncio.wait_for` of Python 3.11
    returns what comes at the same moment instead (https://github.com/python/cpython/issues/86296),
    and nats-py 2.16.0, which waits so for every answer, takes it for its own in `Client._close`.
    A task that only goes on with its loop then would never end.
    """
    running = [task for task in tasks if task is not None]
    left = {task for task in running if not task.done()}
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=AGAIN_SECONDS)
    for task in running:
        if not task.cancelled():
            task.exception()  # so that nobody misses that it was looked at


class Reconnecting(Protocol):
    """A connection that is made anew by itself, as nats-py's ``Client``."""

    _reconnection_task: "asyncio.Task[None] | None"

    async def close(self) -> None:
        """Close it."""


async def hang_up(connection: Reconnecting, seconds: float) -> None:
    """Close a connection, within seconds, and end what makes it anew. Raises nothing.

    nats-py 2.16.0 (``Client._close``) cancels that once. Where the cancellation is lost (see
    `end`) it connects again, for as long as the loop runs, and `asyncio.run` waits for it.
    """
    await end(connection._reconnection_task)
    with suppress(Exception):  # after a failed TLS handshake nats-py waits for ever
        async with asyncio.timeout(seconds):
            await connection.close()
