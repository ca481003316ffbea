"""Tries, now and then, whether what this process needs can be used, and reports what cannot."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from clicktrail.base.faults import Faults
from clicktrail.base.logs import get_logger
from clicktrail.base.redact import reason_of
from clicktrail.base.tasks import end
from clicktrail.errors import ClicktrailError

log = get_logger(__name__)

EVERY_SECONDS = 5.0
PATIENCE = 10.0
"""How long one try may take before it counts as failed."""

Try = Callable[[], Awaitable[object]]
"""Uses a part as the work does, cheaply. Raises `ClicktrailError` or `OSError` where it cannot."""


class Checkup:
    """Runs tries by name, each in its own time: one that hangs holds up no other.

    The name is what the fault is called (see `Faults.report`).
    """

    def __init__(self, faults: Faults, tries: Mapping[str, Try]) -> None:
        self._faults = faults
        self._tries = tries
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin in the background."""
        self._tasks = [
            asyncio.create_task(self._repeat(what, attempt), name=f"check {what}")
            for what, attempt in self._tries.items()
        ]

    async def stop(self) -> None:
        """End; a try that is under way is given up."""
        await end(*self._tasks)

    async def _repeat(self, what: str, attempt: Try) -> None:
        while True:
            try:
                async with asyncio.timeout(PATIENCE):
                    await attempt()
            except TimeoutError:
                self._faults.report(what, f"it does not answer within {PATIENCE:g} seconds")
            except (ClicktrailError, OSError) as error:
                self._faults.report(what, reason_of(error))
            except Exception as error:  # a fault of ours must not end it
                log.exception("a checkup failed", what=what)
                self._faults.report(what, f"{type(error).__name__}: see the log")
            else:
                self._faults.mend(what)
            await asyncio.sleep(EVERY_SECONDS)
