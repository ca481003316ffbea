"""Expressions that are searched for by a DFA: Hyperscan, or Vectorscan on ARM.

It has neither back-tracking nor look-around, and takes time linear in the size.
"""

import threading
from collections.abc import Callable
from typing import Any

from clicktrail.errors import InvalidInput

try:
    import hyperscan
except ImportError:  # no wheel for this machine
    hyperscan = None  # type: ignore[assignment]


class Automaton:
    """One expression, for bytes. May be used by many threads at once."""

    def __init__(self, expression: str, *, once: bool = False, unicode: bool = False) -> None:
        """Compile an expression. Raises `hyperscan.error`.

        ``once`` tells of one match alone, as soon as there is one. With ``unicode``, what is
        searched is UTF-8 and expressions are about its characters, else both are about bytes.
        Classes such as ``\\w`` are those of ASCII: with Unicode's (``HS_FLAG_UCP``) a few of them
        take minutes to compile.
        """
        flags = hyperscan.HS_FLAG_DOTALL | (hyperscan.HS_FLAG_SINGLEMATCH if once else 0)
        if unicode:
            flags |= hyperscan.HS_FLAG_UTF8
        self._database = hyperscan.Database()
        self._database.compile(expressions=[expression.encode()], flags=[flags])
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


def search_of(expression: str) -> Callable[[str], bool]:
    """Return whether a text has a match of somebody's expression. Raises `InvalidInput`.

    Only for what `clicktrail.base.automaton.trial.check` has let through: to search takes linear
    time, but not to compile.
    """
    if hyperscan is None:
        raise InvalidInput(
            "regular expressions need the library hyperscan, which is not there for this machine"
        )
    try:
        found = Automaton(expression, once=True, unicode=True).ends
    except (hyperscan.error, UnicodeEncodeError) as error:
        why = str(error).partition(";")[0].rstrip(".")
        raise InvalidInput(
            f"{expression[:100]!r} is not a regular expression that can be searched for in linear"
            f" time: {why}"
        ) from None
    return lambda text: bool(found(text.encode("utf-8", "replace")))


def _note(_expression: int, _start: int, end: int, _flags: int, found: Any) -> None:
    found.append(end)
