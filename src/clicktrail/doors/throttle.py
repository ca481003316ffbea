"""Slows down who guesses passwords, and never locks out who knows one."""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b

from clicktrail.doors.forwarded import network_of

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
    down a little, and not where that name has signed in from there before.
    """

    def __init__(
        self, guesses: Guesses = Guesses(), now: Callable[[], float] = time.monotonic
    ) -> None:
        self._guesses = guesses
        self._now = now
        self._pairs = _Failures(guesses.for_name, guesses.seconds)
        self._clients = _Failures(guesses.for_client, guesses.seconds)
        self._names = _Failures(guesses.untroubled + _STEPS, guesses.seconds)
        self._known: OrderedDict[bytes, None] = OrderedDict()

    def wait(self, name: str, address: str) -> int:
        """Return the seconds after which a client may try this name again; 0: now."""
        pair, client = _key(name, network_of(address)), _key(network_of(address))
        now = self._now()
        longest = self._pairs.wait(pair, now)
        if pair not in self._known:
            longest = max(longest, self._clients.wait(client, now))
        return int(longest) + 1 if longest > 0 else 0

    def delay(self, name: str, address: str) -> float:
        """Return by how many seconds a try is slowed down."""
        if _key(name, network_of(address)) in self._known:
            return 0.0
        guesses = self._guesses
        beyond = self._names.count(_key(name), self._now()) - guesses.untroubled
        return min(guesses.longest, 0.1 * 2.0 ** min(beyond, _STEPS)) if beyond > 0 else 0.0

    def tried(self, name: str, address: str) -> None:
        """Count a try as wrong until `succeeded`: tries at the same time count too."""
        now = self._now()
        self._pairs.add(_key(name, network_of(address)), now)
        self._clients.add(_key(network_of(address)), now)
        self._names.add(_key(name), now)

    def succeeded(self, name: str, address: str) -> None:
        """Note that the last try was right."""
        pair = _key(name, network_of(address))
        self.undecided(name, address)
        self._pairs.forget(pair)
        self._known[pair] = None
        self._known.move_to_end(pair)
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)

    def undecided(self, name: str, address: str) -> None:
        """Take a try back: it could not be checked."""
        self._pairs.take_back(_key(name, network_of(address)))
        self._clients.take_back(_key(network_of(address)))
        self._names.take_back(_key(name))


_STEPS = 6
"""Doublings of the delay from 0.1 seconds on."""


def _key(*texts: str) -> bytes:
    """Return a key of a fixed size: what is counted may be as long as it likes."""
    digest = blake2b(digest_size=16)
    for text in texts:
        raw = text.encode("utf-8", "surrogatepass")
        digest.update(len(raw).to_bytes(8, "big") + raw)
    return digest.digest()


class _Failures:
    """The times of the last ``most`` failures of each key, within ``seconds``."""

    def __init__(self, most: int, seconds: float) -> None:
        self._most = most
        self._seconds = seconds
        self._times: OrderedDict[bytes, list[float]] = OrderedDict()

    def count(self, key: bytes, now: float) -> int:
        return sum(now - at < self._seconds for at in self._times.get(key, ()))

    def wait(self, key: bytes, now: float) -> float:
        """Return the seconds until there are less than ``most`` again."""
        times = self._times.get(key, ())
        if len(times) < self._most:
            return 0.0
        return max(0.0, self._seconds - (now - times[-self._most]))

    def add(self, key: bytes, now: float) -> None:
        times = self._times.setdefault(key, [])
        times.append(now)
        del times[: -self._most]
        self._times.move_to_end(key)
        while len(self._times) > REMEMBERED:
            self._times.popitem(last=False)

    def take_back(self, key: bytes) -> None:
        times = self._times.get(key)
        if times:
            times.pop()

    def forget(self, key: bytes) -> None:
        self._times.pop(key, None)
