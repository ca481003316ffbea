"""Keeps the copy of orders in the data folder as it is in the store, or behind the broker."""

import asyncio
from pathlib import Path

from clicktrail.base.logs import get_logger
from clicktrail.base.redact import reason_of
from clicktrail.base.tasks import end
from clicktrail.errors import ClicktrailError
from clicktrail.keys.orders import OrdersCopy, OrderSource
from clicktrail.model import Orders

log = get_logger(__name__)

LOOK_SECONDS = 1.0


async def renew_copy(folder: Path, source: OrderSource) -> None:
    """Write the copy anew that is in a data folder, where it is not what holds now.

    Where none is, none is made. Raises `ClicktrailError`, `OSError`.
    """
    copy = OrdersCopy(folder)
    if copy.mark() is None:
        return
    orders = await source.newer("")  # all: a keeper may write meanwhile
    if orders is not None:
        await asyncio.to_thread(copy.write, orders)


class OrdersKeeper:
    """Writes it when it has changed, and when the copy has. Several may keep one copy."""

    def __init__(self, folder: Path, source: OrderSource) -> None:
        self._copy = OrdersCopy(folder)
        self._source = source
        self._problem = ""
        """Why it cannot be written."""
        self._running: asyncio.Task[None] | None = None

    async def check(self) -> None:
        """Raise `ClicktrailError` while it cannot be written: redirects do not hear of changes."""
        if self._problem:
            raise ClicktrailError(self._problem)

    async def start(self) -> None:
        """Begin in the background: nobody waits for it."""
        self._running = asyncio.create_task(self._run(), name="keep orders")

    async def stop(self) -> None:
        """End."""
        await end(self._running)

    async def _run(self) -> None:
        known, seen, failing = "", None, False
        while True:
            try:
                mark = self._copy.mark()
                if mark is None or mark != seen:  # new, gone, or damaged since
                    known, seen = _version(await asyncio.to_thread(_read, self._copy)), mark
                orders = await self._source.newer(known)
                if orders is not None:
                    known = await asyncio.to_thread(_write, self._copy, orders, known)
                failing, self._problem = False, ""
            except (ClicktrailError, OSError) as error:
                why = reason_of(error)
                if not failing:
                    log.warning("orders are as they were", reason=why)
                failing = True
                if isinstance(error, OSError):  # of store and broker, others tell
                    self._problem = why
            except Exception:  # a fault of ours must not end it
                log.exception("orders cannot be kept")
            await asyncio.sleep(LOOK_SECONDS)


def _write(copy: OrdersCopy, orders: Orders, known: str) -> str:
    """Write what is new over what is known; return the version of what is there then."""
    if None in (orders.changes, orders.untracked, orders.lists):
        there = _read(copy)
        if there is None or there.version != known:  # somebody else keeps it too
            return _version(there)
        orders = orders.over(there)
    copy.write(orders)
    return orders.version


def _version(orders: Orders | None) -> str:
    return orders.version if orders is not None else ""


def _read(copy: OrdersCopy) -> Orders | None:
    try:
        return copy.read()
    except (OSError, ValueError):
        return None
