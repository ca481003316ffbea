"""When what was tried: a table of a fixed size, in memory that forked processes share."""

import fcntl
import mmap
import os
import struct
import sys
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from tempfile import TemporaryFile

_WAYS = 8
"""Keys that share a place; the one that was used last longest ago makes room for another."""
_KEY = 16


class Lock:
    """Held by one process at a time, of those that were forked after it was made.

    It is let go of by one that is killed (fcntl(2): record locks are a process's own).
    """

    def __init__(self) -> None:
        if sys.platform == "linux":
            self._file = os.memfd_create("clicktrail tries")
        else:
            with TemporaryFile() as file:
                self._file = os.dup(file.fileno())
        weakref.finalize(self, os.close, self._file)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold it, and wait for it before."""
        fcntl.lockf(self._file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN)


class Tries:
    """The times of the last ``most`` tries of each key, of the ``keys`` that were used last.

    Processes that are forked later share it; who reads and writes holds a lock.
    """

    def __init__(self, most: int, keys: int) -> None:
        self._slot = struct.Struct(f"={_KEY}s{most}d")
        self._places = -(-keys // _WAYS)
        self._row = _WAYS * self._slot.size
        self._memory = mmap.mmap(-1, self._places * self._row)
        # With it nobody can choose keys that drive another one out.
        self._secret = os.urandom(16)

    def key(self, *texts: str) -> bytes:
        """Return a key of texts that may be as long as they like."""
        digest = blake2b(digest_size=_KEY, key=self._secret)
        for text in texts:
            raw = text.encode("utf-8", "surrogatepass")
            digest.update(len(raw).to_bytes(8, "big") + raw)
        return digest.digest()

    def times(self, key: bytes) -> list[float]:
        """Return when it was tried, the last time first."""
        found = self._find(key)
        return [] if found is None else self._at(found)

    def keep(self, key: bytes, times: Sequence[float]) -> None:
        """Have these times for a key, the last one first, and as many as there is room for."""
        place = self._find(key)
        if place is None:
            place = min(self._slots(key), key=lambda slot: max(self._at(slot), default=0.0))
        most = (self._slot.size - _KEY) // 8
        rest = [0.0] * (most - len(times))
        self._slot.pack_into(self._memory, place, key, *times[:most], *rest)

    def _slots(self, key: bytes) -> range:
        start = int.from_bytes(key[:8], "big") % self._places * self._row
        return range(start, start + self._row, self._slot.size)

    def _find(self, key: bytes) -> int | None:
        return next((at for at in self._slots(key) if self._memory[at : at + _KEY] == key), None)

    def _at(self, slot: int) -> list[float]:
        return [time for time in self._slot.unpack_from(self._memory, slot)[1:] if time]
