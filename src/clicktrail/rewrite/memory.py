"""What is remembered because emails of a mailing have it in common."""

from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Memory(dict[K, V]):
    """Remembers some values, and all of them anew when it is full.

    To look into it takes half as long as to call what has an ``lru_cache``. May be used by many
    threads.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self._size = size

    def remember(self, key: K, value: V) -> None:
        """Keep a value."""
        if len(self) >= self._size:
            self.clear()
        self[key] = value

    def cache_clear(self) -> None:
        """Forget everything (as an ``lru_cache`` does it)."""
        self.clear()
