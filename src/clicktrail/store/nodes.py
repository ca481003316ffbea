"""Nodes that share this store, or the journal of those who do."""

from collections.abc import Sequence

import msgspec
from sqlalchemy import Connection, delete, select

from clicktrail.base.ids import now_us
from clicktrail.errors import NotFound
from clicktrail.keys.nodes import Node
from clicktrail.store.database.bulk import BulkInsert
from clicktrail.store.database.core import Database, storable
from clicktrail.store.tables import nodes

_decode_keys = msgspec.json.Decoder(dict[int, str]).decode


class NodeStore:
    """A `Register` that is kept. Every method may raise `StoreUnavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def announce(self, node: Node) -> Sequence[Node]:
        """Write down that a node is there now; return all nodes."""
        row = (
            storable(node.name),
            ",".join(node.roles),
            node.version,
            msgspec.json.encode(node.keys).decode(),
            node.seals,
            now_us(),  # of this machine's clock: it is compared with that
        )

        def work(connection: Connection) -> list[Node]:
            _PUT.run(connection, [row])
            return _all(connection)

        return await self._database.write(work)

    async def list(self) -> list[Node]:
        """Return all nodes by name, also those that are away."""
        return await self._database.read(_all)

    async def leave(self, name: str) -> None:
        """Strike a node out, if it is there."""
        await self._strike_out(name)

    async def forget(self, name: str) -> None:
        """Strike a node out. Raises `NotFound`."""
        if not await self._strike_out(name):
            raise NotFound(f"there is no node {name!r}: see `clicktrail nodes list`")

    async def _strike_out(self, name: str) -> int:
        statement = delete(nodes).where(nodes.c.name == storable(name))
        return await self._database.write(lambda connection: connection.execute(statement).rowcount)


_PUT = BulkInsert(
    nodes,
    finish=lambda s: s.on_conflict_do_update(
        index_elements=[nodes.c.name],
        set_={c.name: s.excluded[c.name] for c in nodes.columns if not c.primary_key},
    ),
)


def _all(connection: Connection) -> list[Node]:
    return [
        Node(
            row.name, tuple(row.roles.split(",")), row.version, _decode_keys(row.keys), row.seals,
            row.seen_at,
        )
        for row in connection.execute(select(nodes).order_by(nodes.c.name))
    ]  # fmt: skip
