"""Builds what tells other nodes of this one (`clicktrail.rollcall`), where there are any."""

# ruff: noqa: PLC0415 - a single machine needs none of it

import platform
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from clicktrail import __version__
from clicktrail.errors import ClicktrailError
from clicktrail.ids import now_us
from clicktrail.keyfile import KeyFile
from clicktrail.nodes import Node, keys_of, stranger, trouble
from clicktrail.settings import Settings

if TYPE_CHECKING:
    from clicktrail.journal.jetstream import JetStreamOptions
    from clicktrail.rollcall import RollCall
    from clicktrail.store import Store

Stop = Callable[[], Awaitable[None]]


def are_several(settings: Settings) -> bool:
    """Whether several nodes may share what this one stores or logs."""
    return bool(settings.text("store.url") or settings.text("journal.url"))


def node_name(settings: Settings, folder: Path, roles: Sequence[str]) -> str:
    """Return what this node is called: roles that are started apart are nodes of their own."""
    name = settings.text("node.name") or f"{platform.node()}:{folder.absolute()}"
    return f"{name} {'+'.join(roles)}"


def describe(settings: Settings, folder: Path, roles: Sequence[str], keys: KeyFile) -> Node:
    """Return this node as it is now. Raises `InvalidInput` where its keys cannot be read."""
    ring = keys.ring()
    name = node_name(settings, folder, roles)
    return Node(name, tuple(roles), __version__, keys_of(ring), ring.sealing.id, now_us())


def stream_options(settings: Settings) -> "JetStreamOptions":
    """Return where the journal's stream is."""
    from clicktrail.journal.jetstream import JetStreamOptions

    return JetStreamOptions(
        settings["journal.url"], settings["journal.stream"], settings["journal.replicas"]
    )


async def check_keys(node: Node, store: "Store") -> None:
    """See that this node may seal links. Raises `ClicktrailError`."""
    others, now = await store.nodes.list(), now_us()
    if found := trouble(node, others, now) or stranger(node, others, now):
        raise ClicktrailError(f"this node's keys do not go with those of the others: {found}")


async def call_roll(
    settings: Settings,
    folder: Path,
    roles: Sequence[str],
    store: "Store | None",
    ends: list[Stop],
) -> "RollCall | None":
    """Announce this node, where there may be others; ``ends`` gets what stops it.

    Without a store it is done over the journal's broker.
    """
    if not are_several(settings) or (store is None and not settings.text("journal.url")):
        return None  # who has neither shares its data folder with a node that has
    from clicktrail.journal.nodes import BrokerRegister
    from clicktrail.nodes import Register
    from clicktrail.rollcall import RollCall

    keys = KeyFile(folder / "keys.json")
    register: Register
    if store is not None:
        register = store.nodes
    else:
        register = broker = BrokerRegister(stream_options(settings))
        ends.append(broker.close)
    roll = RollCall(lambda: describe(settings, folder, roles, keys), register)
    ends.append(roll.stop)
    await roll.start()
    return roll
