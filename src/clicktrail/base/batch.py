"""Group commit: one durable write carries everything that arrived while the last one ran."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import repeat
from typing import Generic, TypeVar

T = TypeVar("T")
Outcomes = Sequence[Exception | None]
"""What is raised to each whose item was in a write; ``None``: it is durable."""


class Batcher(Generic[T]):
    """Hands items to ``write`` in lists; one write runs at a time and none waits for a timer.

    ``write`` takes a non-empty list and returns when it is durable; what it raises is raised to
    everybody whose item was in that list. Where that differs, it returns what is to be raised to
    each, ``None`` for those whose item is durable. At most ``limit`` items go into one write.
    """

    def __init__(
        self, write: Callable[[list[T]], Awaitable[Outcomes | None]], limit: int = 2000
    ) -> None:
        self._write = write
        self._limit = limit
        self._waiting: list[tuple[T, asyncio.Future[None]]] = []
        self._writer: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, item: T) -> asyncio.Future[None]:
        """Queue an item; the future is done when the item is durable."""
        done = asyncio.get_running_loop().create_future()
        self._waiting.append((item, done))
        if self._writer is None:
            self._writer = asyncio.create_task(self._run())
        return done

    async def drain(self) -> None:
        """Return when everything put so far has been written (or has failed)."""
        while self._writer is not None:
            await asyncio.wait([self._writer])

    async def _run(self) -> None:
        try:
            while self._waiting:
                batch = self._waiting[: self._limit]
                del self._waiting[: self._limit]
                outcomes: Iterable[Exception | None]
                try:
                    outcomes = await self._write([item for item, _ in batch]) or repeat(None)
                except Exception as raised:
                    outcomes = repeat(raised)
                for (_, done), error in zip(batch, outcomes, strict=False):
                    if not done.done():
                        if error is None:
                            done.set_result(None)
                        else:
                            done.set_exception(error)
        finally:
            self._writer = None
