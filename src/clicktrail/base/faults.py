"""Faults of ours: what does not work in this process now, for ``/readyz`` and the log.

Any part that gets the process's `Faults` may report one; it is a problem in ``/readyz`` (503) until
it is mended. How it gets there: `Service` gives one `Faults` to its parts. In one process
(``--embedded``, a single role) the operator's port reads it; a role's process tells its supervisor
(`pipes.Ties.tell_faults`), which tells the monitor. A role that ends takes its faults along.
"""

import threading
from collections.abc import Callable

from clicktrail.base.logs import get_logger

log = get_logger(__name__)

LONGEST = 500
"""Characters of a text that are kept."""


class Faults:
    """What does not work now, by name. All methods may be called from any thread, and are cheap.

    ``what`` is a short constant name that operators see as the key in ``/readyz`` (``"journal"``,
    ``"tracking hosts"``): a second report replaces the first. ``why`` is for the person who reads
    it: what is wrong and what to do; no secret and no person's data. Two roles that report the same
    name share the key.
    """

    def __init__(self) -> None:
        self._found: dict[str, str] = {}
        self._lock = threading.Lock()
        self._changed: list[Callable[[], None]] = []

    def report(self, what: str, why: str) -> None:
        """Say that something does not work: an error in the log when it is new."""
        if self._found.get(what) == (why := why[:LONGEST]):
            return
        with self._lock:
            is_new = what not in self._found
            self._found[what] = why
        if is_new:
            log.error("not ready", what=what, why=why)
        self._tell()

    def mend(self, what: str) -> None:
        """Say that it works. Costs next to nothing when it did before."""
        if what not in self._found:
            return
        with self._lock:
            gone = self._found.pop(what, None)
        if gone is not None:
            log.info("ready again", what=what)
            self._tell()

    def current(self) -> dict[str, str]:
        """Return what does not work now, and why."""
        with self._lock:
            return dict(self._found)

    def on_change(self, call: Callable[[], None]) -> None:
        """Let it be called after every change, by the thread that made it."""
        self._changed.append(call)

    def _tell(self) -> None:
        for call in self._changed:
            call()
