"""What forms held that is too long for a cookie: the newest, in memory, for who has sent them."""

import hashlib
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

LIFE = 15 * 60
"""Seconds for which one is kept, at most."""
MOST = 32 * 1024 * 1024
"""Characters of all: beyond that the oldest go."""


class Drafts(Generic[T]):
    """Keeps them. ``clock`` tells seconds, of a clock that is never set."""

    def __init__(self, most: int = MOST, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._clock = clock
        self._kept: OrderedDict[tuple[bytes, str], tuple[float, int, T]] = OrderedDict()
        self._size = 0

    def keep(self, token: str, draft: T, size: int) -> str:
        """Keep one of so many characters for the session ``token``; return its key."""
        key = secrets.token_urlsafe(12)
        now = self._clock()
        self._kept[_owner(token), key] = (now + LIFE, size, draft)
        self._size += size
        while self._kept and (self._size > self._most or self._oldest() <= now):
            _, (_, gone, _) = self._kept.popitem(last=False)
            self._size -= gone
        return key

    def get(self, token: str, key: str) -> T | None:
        """Return one of a session; ``None`` where it is not kept any more."""
        until, _, draft = self._kept.get((_owner(token), key), (0.0, 0, None))
        return draft if until > self._clock() else None

    def _oldest(self) -> float:
        return next(iter(self._kept.values()))[0]


def _owner(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
