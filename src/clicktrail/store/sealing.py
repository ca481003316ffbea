"""Which keys tracking links were sealed with: by these an installation knows its key ring again."""

from collections.abc import Collection

from sqlalchemy import Connection, and_, delete, select

from clicktrail.store.database.bulk import BulkInsert
from clicktrail.store.database.core import Database
from clicktrail.store.mail.tables import messages
from clicktrail.store.tables import sealing_keys


class SealingKeys:
    """Keys by id and fingerprint (`clicktrail.keys.nodes.fingerprint`); no key itself.

    Every method may raise `StoreUnavailable`.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def remember(self, key_id: int, fingerprint: str) -> None:
        """Take note that links are sealed with a key."""
        await self._database.write(lambda c: _PUT.run(c, [(key_id, fingerprint)]))

    async def known(self) -> list[tuple[int, str]]:
        """Return the id and fingerprint of each key that sealed links and was not retired."""

        def work(connection: Connection) -> list[tuple[int, str]]:
            rows = connection.execute(select(sealing_keys).order_by(*sealing_keys.columns))
            return [(row.key_id, row.fingerprint) for row in rows]

        return await self._database.read(work)

    async def forget(self, keys: Collection[tuple[int, str]]) -> None:
        """Strike keys out whose links shall work no more."""
        which = sealing_keys.c

        def work(connection: Connection) -> None:
            for key_id, fingerprint in keys:
                is_it = and_(which.key_id == key_id, which.fingerprint == fingerprint)
                connection.execute(delete(sealing_keys).where(is_it))

        await self._database.write(work)

    async def has_tracked_emails(self) -> bool:
        """Whether there are emails with tracking links: also those of versions before 0010."""
        tracked = select(messages.c.id).where(messages.c.reason == "").limit(1)
        return await self._database.read(lambda c: c.execute(tracked).first() is not None)


_PUT = BulkInsert(sealing_keys, finish=lambda s: s.on_conflict_do_nothing())
