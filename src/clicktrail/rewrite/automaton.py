"""Expressions that are searched for by a DFA: Hyperscan, or Vectorscan on ARM.

It has neither back-tracking nor look-around, and takes time linear in the size.
"""

import threading
from typing import Any

try:
    import hyperscan
except ImportError:  # no wheel for this machine
    hyperscan = None  # type: ignore[assignment]


class Automaton:
    """One expression, for bytes. May be used by many threads at once."""

    def __init__(self, expression: str, *, once: bool = False) -> None:
        """Compile an expression in ASCII. Raises `hyperscan.InvalidError`.

        ``once`` tells of one match alone, as soon as there is one.
        """
        flags = hyperscan.HS_FLAG_DOTALL | (hyperscan.HS_FLAG_SINGLEMATCH if once else 0)
        self._database = hyperscan.Database()
        self._database.compile(expressions=[expression.encode("ascii")], flags=[flags])
        self._threads = threading.local()

    def ends(self, data: bytes) -> list[int]:
        """Return each offset where a match ends, in order."""
        found: list[int] = []
        try:
            scratch = self._threads.scratch
        except AttributeError:
            scratch = self._threads.scratch = hyperscan.Scratch(self._database)
        self._database.scan(data, _note, 0, found, scratch)
        return found


def automaton(expression: str, *, once: bool = False) -> Automaton | None:
    """Return an expression's automaton; ``None`` where there is no library for it."""
    return Automaton(expression, once=once) if hyperscan is not None else None


def _note(_expression: int, _start: int, end: int, _flags: int, found: Any) -> None:
    found.append(end)
