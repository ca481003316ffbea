"""Wrong passwords are counted, by all processes that share a throttle, and within bounds."""

import asyncio
import os
from collections.abc import Iterable

import pytest

from clicktrail.doors.throttle import REMEMBERED, Guesses, Throttle
from clicktrail.errors import StoreUnavailable, TooManyTries


async def wrong() -> None:
    """Be a password that does not fit."""


async def right() -> str:
    return "a session"


async def away() -> str:
    raise StoreUnavailable("the store is away")


async def guess(throttle: Throttle, tries: Iterable[tuple[str, str]]) -> list[bool]:
    """Give wrong passwords of names from addresses; return which are looked at."""
    found = []
    for name, address in tries:
        try:
            await throttle.sign_in(name, address, wrong)
            found.append(True)
        except TooManyTries:
            found.append(False)
    return found


def is_let_in(throttle: Throttle, name: str, address: str) -> bool:
    """Whether a wrong password is looked at."""
    return asyncio.run(guess(throttle, [(name, address)])) == [True]


def test_processes_that_try_at_once_have_no_more_tries_than_one() -> None:
    throttle = Throttle(Guesses(for_client=100))
    reading, writing = os.pipe()
    children = []
    for number in range(3):
        if not (child := os.fork()):
            names = [(f"name{number}.{each}", "192.0.2.1") for each in range(100)]
            os.write(writing, b"." * sum(asyncio.run(guess(throttle, names))))
            os._exit(0)
        children.append(child)
    os.close(writing)
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
    assert len(os.read(reading, 1000)) == 100
    os.close(reading)
    assert not is_let_in(throttle, "another", "192.0.2.1")
    assert is_let_in(throttle, "another", "192.0.2.2")


def test_who_waits_long_enough_may_try_again() -> None:
    now = 1000.0
    throttle = Throttle(Guesses(), lambda: now)
    assert [is_let_in(throttle, "a", "192.0.2.1") for _ in range(12)] == [True] * 10 + [False] * 2
    now += 301
    assert is_let_in(throttle, "a", "192.0.2.1")


def test_right_passwords_and_ones_that_cannot_be_checked_do_not_count() -> None:
    throttle = Throttle()
    for _ in range(30):
        assert asyncio.run(throttle.sign_in("a", "192.0.2.1", right)) == "a session"
        with pytest.raises(StoreUnavailable):
            asyncio.run(throttle.sign_in("a", "192.0.2.1", away))
    for _ in range(9):
        assert is_let_in(throttle, "a", "192.0.2.1")


def test_who_has_signed_in_from_a_network_need_not_wait_for_its_guessers() -> None:
    throttle = Throttle()
    assert asyncio.run(throttle.sign_in("olga", "2001:db8::1", right))
    names = [(f"name{each}", "2001:db8::2") for each in range(60)]
    assert sum(asyncio.run(guess(throttle, names))) == 50
    assert not is_let_in(throttle, "another", "2001:db8::3")
    assert asyncio.run(throttle.sign_in("olga", "2001:db8::4", right))


def test_what_is_remembered_of_many_is_what_was_tried_last() -> None:
    throttle = Throttle(Guesses(for_name=1))
    numbers = range(REMEMBERED * 3 // 2)
    tries = [(str(each), f"10.{each >> 16}.{each >> 8 & 255}.{each & 255}") for each in numbers]
    assert all(asyncio.run(guess(throttle, tries)))
    assert not any(asyncio.run(guess(throttle, tries[-100:])))


def test_an_account_of_ones_own_frees_no_guesses() -> None:
    throttle = Throttle(Guesses(for_client=20))

    async def spray() -> int:
        await throttle.sign_in("mine", "192.0.2.1", right)
        looked_at = 0
        for number in range(100):
            await throttle.sign_in("mine", "192.0.2.1", right)
            with pytest.raises(StoreUnavailable):
                await throttle.sign_in("mine", "192.0.2.1", away)
            looked_at += sum(await guess(throttle, [(f"name{number}", "192.0.2.1")]))
        return looked_at

    assert asyncio.run(spray()) == 20
    # A wrong password of a name that is known from there counts, too.
    other = Throttle(Guesses(for_client=20))
    asyncio.run(other.sign_in("mine", "192.0.2.1", right))
    assert sum(asyncio.run(guess(other, [("mine", "192.0.2.1")] * 5))) == 5
    names = [(f"name{number}", "192.0.2.1") for number in range(100)]
    assert sum(asyncio.run(guess(other, names))) == 15
