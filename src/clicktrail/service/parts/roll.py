"""Builds what tells other nodes of this one (`service.rollcall`), where there are any."""

from collections.abc import Awaitable, Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from clicktrail.keys.nodes import Register
from clicktrail.keys.orders import OrderSource
from clicktrail.keys.ringfile import KeyFile
from clicktrail.service.orders import OrdersKeeper
from clicktrail.service.parts.nodes import are_several, describe
from clicktrail.service.rollcall import RollCall
from clicktrail.settings.settings import Settings

if TYPE_CHECKING:
    from clicktrail.store import Store

Stop = Callable[[], Awaitable[None]]


async def call_roll(
    settings: Settings,
    folder: Path,
    roles: Sequence[str],
    store: "Store | None",
    ends: list[Stop],
) -> RollCall | None:
    """Announce this node, where there may be others, and keep its copy of orders.

    ``ends`` gets what stops it. Without a store it is done over the journal's broker.
    """
    if not are_several(settings) or (store is None and not settings.text("journal.url")):
        return None  # who has neither shares its data folder with a node that has
    keys = KeyFile(folder / "keys.json")
    register: Register
    source: OrderSource
    if store is not None:
        register, source = store.nodes, store.orders
    else:
        jetstream = import_module("clicktrail.service.parts.jetstream")
        register = source = broker = jetstream.broker_register(settings)
        ends.append(broker.close)
    roll = RollCall(lambda: describe(settings, folder, roles, keys), register)
    orders = OrdersKeeper(folder, source)
    ends += [roll.stop, orders.stop]
    await roll.start()
    await orders.start()
    return roll
