"""What other nodes are told of this one, where there are any."""

import platform
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from clicktrail import __version__
from clicktrail.base.ids import now_us
from clicktrail.errors import ClicktrailError
from clicktrail.keys.nodes import Node, keys_of, stranger, trouble
from clicktrail.keys.ringfile import KeyFile
from clicktrail.settings.settings import Settings

if TYPE_CHECKING:
    from clicktrail.store import Store


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


async def check_keys(node: Node, store: "Store") -> None:
    """See that this node may seal links. Raises `ClicktrailError`."""
    others, now = await store.nodes.list(), now_us()
    if found := trouble(node, others, now) or stranger(node, others, now):
        raise ClicktrailError(f"this node's keys do not go with those of the others: {found}")
