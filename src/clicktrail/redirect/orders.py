"""Follows the copy of orders in the data folder."""

import asyncio
from collections.abc import Callable

from clicktrail.base.complaints import complaint
from clicktrail.base.logs import get_logger
from clicktrail.base.redact import reason_of
from clicktrail.base.tasks import end
from clicktrail.errors import ClicktrailError
from clicktrail.keys.orders import OrdersCopy
from clicktrail.redirect.changes import Changes

log = get_logger(__name__)

LOOK_SECONDS = 0.5


class Following:
    """Hands on what the copy says, at once and whenever it was written anew.

    It is read in a thread: of thousands of changes that takes long, and people click meanwhile.
    What cannot be read is told in the log, once, and by `check`; what was read before holds.
    """

    def __init__(self, copy: OrdersCopy, hand_on: Callable[[Changes], None]) -> None:
        self._copy = copy
        self._hand_on = hand_on
        self._changes = Changes()
        """What was handed on."""
        self._mark: object = None
        """Which copy that was."""
        self._damaged: object = None
        """Which copy was found damaged."""
        self._problem = ""
        """Why what is there now cannot be read."""
        self._running: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Read what is there, and follow it in the background."""
        self._look()
        self._running = asyncio.create_task(self._run(), name="follow orders")

    async def stop(self) -> None:
        """End."""
        await end(self._running)

    async def check(self) -> None:
        """Raise `ClicktrailError` while what is there cannot be read."""
        if self._problem:
            raise ClicktrailError(f"{self._copy.path}: {self._problem}")

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await asyncio.to_thread(self._look)
            except RuntimeError as error:  # no thread can be had
                self._fail(error)

    def _look(self) -> None:
        mark = None
        try:
            mark = self._copy.mark()
            if mark == self._mark:
                self._problem = ""
                return
            if mark == self._damaged:
                return
            orders = self._copy.read()
            if orders is not None:
                self._changes = Changes(orders, self._changes)
                self._hand_on(self._changes)
            self._mark, self._problem = mark, ""
        except OSError as error:  # it may pass: read again
            self._complain(complaint(error, self._copy.path))
        except ValueError:
            self._damaged = mark
            self._complain("damaged: delete it, and it is written anew")
        except Exception as error:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        """Tell a fault of ours, which must not end it: it is tried again."""
        if not self._problem:
            log.error("orders cannot be followed", exc_info=error)
        self._problem = reason_of(error)

    def _complain(self, why: str) -> None:
        if not self._problem:
            log.warning("orders cannot be read", path=str(self._copy.path), reason=why)
        self._problem = why
