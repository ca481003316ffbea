"""Background tasks end, also those that lose a cancellation."""

import asyncio

import pytest

from clicktrail.base import tasks


async def loses_cancellations(number: int) -> None:
    """Go on with its loop, as where a library has caught the cancellation."""
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            number -= 1
            if number < 0:
                raise


async def test_tasks_end_however_many_cancellations_they_lose(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tasks, "AGAIN_SECONDS", 0.01)
    running = [asyncio.create_task(loses_cancellations(number)) for number in range(4)]
    await asyncio.sleep(0)  # they begin
    await tasks.end(*running, None)
    assert all(task.cancelled() for task in running)


async def test_what_a_task_raises_is_not_raised_to_who_ends_it() -> None:
    async def fails() -> None:
        raise ZeroDivisionError

    failed = asyncio.create_task(fails())
    await asyncio.wait([failed])
    await tasks.end(failed)


async def test_whoever_ends_tasks_may_be_cancelled_meanwhile() -> None:
    running = asyncio.create_task(loses_cancellations(1_000))
    await asyncio.sleep(0)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await tasks.end(running)
    while not running.done():
        running.cancel()
        await asyncio.sleep(0)
