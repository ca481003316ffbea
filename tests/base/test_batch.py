"""Group commit: who comes while a write runs shares the next one."""

import asyncio

import pytest

from clicktrail.base.batch import Batcher


async def test_what_arrives_during_a_write_goes_into_the_next() -> None:
    written: list[list[int]] = []
    gate = asyncio.Event()

    async def write(items: list[int]) -> None:
        written.append(items)
        await gate.wait()

    batcher = Batcher(write)
    first = batcher.put(0)
    await asyncio.sleep(0)
    rest = [batcher.put(number) for number in range(1, 6)]
    assert len(batcher) == 5
    assert not first.done()
    gate.set()
    await asyncio.gather(first, *rest)
    assert written == [[0], [1, 2, 3, 4, 5]]


async def test_an_error_reaches_everybody_in_the_write_and_nobody_else() -> None:
    async def write(items: list[int]) -> None:
        if 1 in items:
            raise OSError("disk full")

    batcher = Batcher(write, limit=2)
    futures = [batcher.put(number) for number in range(4)]
    results = await asyncio.gather(*futures, return_exceptions=True)
    assert [isinstance(result, OSError) for result in results] == [True, True, False, False]


async def test_each_item_of_a_write_may_end_otherwise() -> None:
    async def write(items: list[int]) -> list[Exception | None]:
        return [OSError("disk full") if item == 1 else None for item in items]

    batcher = Batcher(write)
    futures = [batcher.put(number) for number in range(3)]
    results = await asyncio.gather(*futures, return_exceptions=True)
    assert [isinstance(result, OSError) for result in results] == [False, True, False]


async def test_a_waiter_that_gave_up_harms_nobody() -> None:
    written: list[int] = []

    async def write(items: list[int]) -> None:
        await asyncio.sleep(0.01)
        written.extend(items)

    batcher = Batcher(write)
    gone, stays = batcher.put(1), batcher.put(2)
    gone.cancel()
    await stays
    assert written == [1, 2]
    with pytest.raises(asyncio.CancelledError):
        await gone


async def test_drain_returns_when_all_is_written() -> None:
    written: list[int] = []

    async def write(items: list[int]) -> None:
        await asyncio.sleep(0.001)
        written.extend(items)

    batcher = Batcher(write, limit=1)
    for number in range(5):
        batcher.put(number)
    await batcher.drain()
    assert written == [0, 1, 2, 3, 4]
