"""Says in a register that this node is there, and whether its keys go with those of the others."""

import asyncio
from collections.abc import Callable

from clicktrail.base.ids import now_us
from clicktrail.base.logs import get_logger
from clicktrail.base.tasks import end
from clicktrail.errors import ClicktrailError
from clicktrail.keys.nodes import EVERY_SECONDS, Node, Register, trouble

log = get_logger(__name__)


class RollCall:
    """Announces a node every `EVERY_SECONDS`, and strikes it out when it stops in an orderly way.

    ``describe`` returns the node as it is now. ``problem`` is why links fail between it and
    another; empty while none do.
    """

    def __init__(self, describe: Callable[[], Node], register: Register) -> None:
        self._describe = describe
        self._register = register
        self._running: asyncio.Task[None] | None = None
        self._is_known = False
        self.problem = ""

    async def start(self) -> None:
        """Begin in the background: nobody waits for the register."""
        self._running = asyncio.create_task(self._run(), name="roll call")

    async def stop(self) -> None:
        """Strike the node out, and end."""
        if self._running is None:
            return
        await end(self._running)
        if not self._is_known:
            return
        try:
            await self._register.leave(self._describe().name)
        except ClicktrailError as error:
            log.warning("this node stays in the register", error=error)

    async def _run(self) -> None:
        unreachable = False
        while True:
            try:
                node = self._describe()
                found = trouble(node, await self._register.announce(node), now_us()) or ""
                if found and found != self.problem:
                    log.error("links fail between nodes", why=found)
                self.problem, self._is_known, unreachable = found, True, False
            except ClicktrailError as error:
                if not unreachable:
                    log.warning("the register of nodes cannot be reached", error=error)
                unreachable = True
            except Exception:  # a fault of ours must not end it
                log.exception("the register of nodes failed")
            await asyncio.sleep(EVERY_SECONDS)
