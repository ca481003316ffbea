"""Builds what a node has once, beside its roles: the operator's port and the roll call."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from clicktrail.base.tasks import end
from clicktrail.errors import StoreUnavailable
from clicktrail.service.checks.opening import opening
from clicktrail.service.monitor import KEYS_OF_NODES, Monitor, Problems
from clicktrail.service.parts.folder import data_folder, store_url
from clicktrail.service.parts.nodes import are_several, node_name
from clicktrail.service.parts.roll import call_roll
from clicktrail.service.rollcall import RollCall
from clicktrail.settings.settings import Settings

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from clicktrail.store import Store
    from clicktrail.store.certificates import State

_AGAIN_SECONDS = 2.0


class Watch:
    """What a node has once, beside its roles: the operator's port, and its place among other nodes.

    ``problems`` tells what of the service is not ready. A node that only redirects needs no store.
    """

    def __init__(
        self,
        settings: Settings,
        roles: Sequence[str],
        registry: "CollectorRegistry",
        problems: Callable[[], Problems],
    ) -> None:
        self._settings = settings
        self._roles = roles
        self._registry = registry
        self._problems = problems
        self._ends: list[Callable[[], Awaitable[None]]] = []
        self._roll: RollCall | None = None
        self._store: Store | None = None
        self._monitor: Monitor | None = None
        self._opening: asyncio.Task[None] | None = None

    @staticmethod
    def is_wanted(settings: Settings) -> bool:
        """Whether there is anything for it to do."""
        return settings["metrics.listen"] is not None or are_several(settings)

    @property
    def lines(self) -> list[str]:
        """What it tells when it is started."""
        settings, address = self._settings, self._settings["metrics.listen"]
        found = [] if address is None else [f"metrics    http://{address}/metrics"]
        if are_several(settings):
            found.append(f"node       {node_name(settings, data_folder(settings), self._roles)}")
        return found

    async def start(self, *, patient: bool) -> None:
        """Start. Raises `ClicktrailError`; what was started is stopped by `stop`.

        Who is ``patient`` starts without a store that is away, and uses it when it is back.
        """
        settings, address = self._settings, self._settings["metrics.listen"]
        if not self.is_wanted(settings):
            return
        folder = data_folder(settings)
        if list(self._roles) == ["redirect"]:
            self._roll = await call_roll(settings, folder, self._roles, None, self._ends)
        else:
            try:
                await self._use_store(folder)
            except StoreUnavailable:
                if not patient:
                    raise
                self._opening = asyncio.create_task(self._use_store_later(folder))
        if address is None:
            return
        certificates = partial(_certificates, settings)
        monitor = Monitor(
            address, self._registry, self._store, folder, self._all_problems, certificates
        )
        with opening(settings, "metrics.listen"):
            await monitor.start()
        self._ends.append(monitor.stop)
        self._monitor = monitor

    async def _use_store(self, folder: Path) -> None:
        store: Store = await import_module("clicktrail.store").Store.open(store_url(self._settings))
        self._ends.append(store.close)
        self._store = store
        if self._monitor is not None:
            self._monitor.store = store
        self._roll = await call_roll(self._settings, folder, self._roles, store, self._ends)

    async def _use_store_later(self, folder: Path) -> None:
        while self._store is None:
            await asyncio.sleep(_AGAIN_SECONDS)
            with suppress(StoreUnavailable):  # the roles that need it say so
                await self._use_store(folder)

    async def stop(self) -> None:
        """Stop what was started, the last first."""
        await end(self._opening)
        while self._ends:
            await self._ends.pop()()

    def _all_problems(self) -> Problems:
        found = dict(self._problems())
        if self._roll is not None and self._roll.problem:
            found[KEYS_OF_NODES] = self._roll.problem
        return found


async def _certificates(settings: Settings, store: "Store") -> "Sequence[State]":
    condition = import_module("clicktrail.service.condition")
    found: Sequence[State] = await condition.certificates_of(settings, store)
    return found
