"""Slows down who guesses passwords, and never locks out who knows one."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from clicktrail.doors.forwarded import network_of
from clicktrail.doors.tries import Lock, Tries
from clicktrail.errors import StoreUnavailable, TooManyTries

T = TypeVar("T")

REMEMBERED = 10_000
"""Of each kind: the ones that were used last."""


@dataclass(frozen=True, slots=True)
class Guesses:
    """How many wrong passwords are let pass in ``seconds``."""

    for_name: int = 10
    """Of one name from one client; then it has to wait."""
    for_client: int = 50
    """From one client, of all names; then it has to wait, where it has never signed in."""
    seconds: float = 300.0
    untroubled: int = 10
    """Of one name from all clients; from there on each try takes longer."""
    longest: float = 5.0
    """Seconds that a try takes longer at the most."""


class Throttle:
    """Counts tries to sign in by name and client (`network_of`) together, and by each alone.

    Nobody has to wait for what others do under the same name from elsewhere: they are only slowed
    down a little, and not where that name has signed in from there before. The processes that are
    forked from one that has made it count together.
    """

    def __init__(
        self, guesses: Guesses = Guesses(), now: Callable[[], float] = time.monotonic
    ) -> None:
        self._guesses = guesses
        self._now = now  # the same for all processes: clock_gettime(2), CLOCK_MONOTONIC
        self._lock = Lock()
        self._pairs = _Failures(guesses.for_name, guesses.seconds)
        self._clients = _Failures(guesses.for_client, guesses.seconds)
        self._names = _Failures(guesses.untroubled + _STEPS, guesses.seconds)
        self._known = Tries(1, REMEMBERED)
        """Who has signed in from where."""

    async def sign_in(
        self, name: str, address: str, verify: Callable[[], Awaitable[T | None]]
    ) -> T | None:
        """Return what ``verify`` does: ``None`` for a wrong password.

        Raises `TooManyTries` where the client has to wait, and what ``verify`` raises.
        """
        client = network_of(address)
        with self._lock.held():
            if wait := self._wait(name, client):
                raise TooManyTries(wait)
            # Before the answer is known: tries at once count too.
            now = self._now()
            delay = self._delay(name, client, now)
            self._pairs.add(now, name, client)
            self._names.add(now, name)
            # Not of who need not wait for the client's: taken back, they would free guesses.
            is_known = self._is_known(name, client)
            if not is_known:
                self._clients.add(now, client)
        if delay:
            await asyncio.sleep(delay)
        try:
            found = await verify()
        except StoreUnavailable:
            with self._lock.held():
                self._take_back(name, client, of_client=not is_known)
            raise
        if found is None and is_known:
            with self._lock.held():
                self._clients.add(self._now(), client)
        if found is not None:
            with self._lock.held():
                self._take_back(name, client, of_client=not is_known)
                self._pairs.forget(name, client)
                self._known.keep(self._known.key(name, client), [self._now()])
        return found

    def _wait(self, name: str, client: str) -> int:
        """Return the seconds after which a client may try this name again; 0: now."""
        now = self._now()
        longest = self._pairs.wait(now, name, client)
        if not self._is_known(name, client):
            longest = max(longest, self._clients.wait(now, client))
        return int(longest) + 1 if longest > 0 else 0

    def _delay(self, name: str, client: str, now: float) -> float:
        """Return by how many seconds a try is slowed down."""
        beyond = self._names.count(now, name) + 1 - self._guesses.untroubled
        if beyond <= 0 or self._is_known(name, client):
            return 0.0
        return min(self._guesses.longest, 0.1 * 2.0 ** min(beyond, _STEPS))

    def _is_known(self, name: str, client: str) -> bool:
        return bool(self._known.times(self._known.key(name, client)))

    def _take_back(self, name: str, client: str, *, of_client: bool) -> None:
        """Count the last try no more."""
        self._pairs.take_back(name, client)
        if of_client:
            self._clients.take_back(client)
        self._names.take_back(name)


_STEPS = 6
"""Doublings of the delay from 0.1 seconds on."""


class _Failures:
    """The times of the last ``most`` failures, within ``seconds``."""

    def __init__(self, most: int, seconds: float) -> None:
        self._most = most
        self._seconds = seconds
        self._tries = Tries(most, REMEMBERED)

    def count(self, now: float, *of: str) -> int:
        times = self._tries.times(self._tries.key(*of))
        return sum(now - at < self._seconds for at in times)

    def wait(self, now: float, *of: str) -> float:
        """Return the seconds until there are less than ``most`` again."""
        times = self._tries.times(self._tries.key(*of))
        return max(0.0, self._seconds - (now - times[-1])) if len(times) == self._most else 0.0

    def add(self, now: float, *of: str) -> None:
        key = self._tries.key(*of)
        self._tries.keep(key, [now, *self._tries.times(key)])

    def take_back(self, *of: str) -> None:
        key = self._tries.key(*of)
        self._tries.keep(key, self._tries.times(key)[1:])

    def forget(self, *of: str) -> None:
        self._tries.keep(self._tries.key(*of), [])
