"""Does a parser take as long as its input is long? Measured in time of the processor.

A row is a name, a maker of nasty input of about ``n`` bytes, and the parser that reads it. What
grows with the square of its input takes 64 times as long for 8 times the size, what does not about
8 times; the line is drawn in between.
"""

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

MIB = 1024 * 1024
_SMALLEST = 8192
_APART = 8  # sizes that are compared: three doublings
_MOST = 3.2  # times the growth of the size
_NOTHING = 0.004  # seconds that are too few to be compared
_TRIES = 4


@dataclass(frozen=True)
class Row:
    """One parser and one kind of input; ``limit`` is how many bytes the outside may send."""

    name: str
    make: Callable[[int], Any]
    parse: Callable[[Any], object]
    limit: int = 2 * MIB

    def __str__(self) -> str:
        return self.name

    def shorter(self) -> "Row":
        """Return the same for sizes that take seconds for all rows; the rest is a long round."""
        return replace(self, limit=min(self.limit, max(self.limit // 8, _APART * _SMALLEST)))


def check_growth(row: Row) -> None:
    """Feed doubling sizes up to the limit; fail as soon as time grows faster than size."""
    taken: dict[int, float] = {}
    size = min(_SMALLEST, row.limit)
    while True:
        taken[size] = _seconds(row, size)
        before = size // _APART
        for _ in range(_TRIES):  # somebody else may have used the processor's caches
            if before not in taken or _is_linear(taken[before], taken[size]):
                break
            taken[before] = max(taken[before], _seconds(row, before))
            taken[size] = min(taken[size], _seconds(row, size))
        else:
            table = ", ".join(f"{n}: {seconds:.4f}" for n, seconds in taken.items())
            raise AssertionError(f"{row.name} takes longer than its input is: seconds {table}")
        if size >= row.limit:
            return
        size = min(size * 2, row.limit)


def _is_linear(small: float, large: float) -> bool:
    return large <= _APART * _MOST * max(small, _NOTHING)


def _seconds(row: Row, size: int) -> float:
    given = row.make(size)
    gc.disable()  # how often it runs is not the parser's doing
    try:
        started = time.process_time()
        row.parse(given)
        return time.process_time() - started
    finally:
        gc.enable()
