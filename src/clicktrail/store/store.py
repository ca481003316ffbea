"""The store: everything that is kept but the clicks on their way (`clicktrail.journal`)."""

import asyncio

from sqlalchemy import update

from clicktrail.store.clicks.clicks import ClickStore
from clicktrail.store.clicks.outbox import Outbox
from clicktrail.store.clicks.statistics import Statistics
from clicktrail.store.clicks.streams import Streams
from clicktrail.store.configuration_store import ConfigurationStore
from clicktrail.store.database.connect import open_database
from clicktrail.store.database.core import Database
from clicktrail.store.database.partitions import Partitions
from clicktrail.store.mail.browse import Browse
from clicktrail.store.mail.mailings import Mailings
from clicktrail.store.mail.messages import MessageStore
from clicktrail.store.mail.search import Search
from clicktrail.store.mail.trail import Trail
from clicktrail.store.nodes import NodeStore
from clicktrail.store.people.access_keys import AccessKeyStore
from clicktrail.store.people.accounts import AccountStore
from clicktrail.store.people.forget import Forgotten, forget_person
from clicktrail.store.people.users import UserStore
from clicktrail.store.sealing import SealingKeys
from clicktrail.store.tables import configuration_version


class Store:
    """One database, by subject. Several processes may have it open at once."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.configuration = ConfigurationStore(database)
        self.users = UserStore(database)
        self.access_keys = AccessKeyStore(database)
        self.accounts = AccountStore(database)
        self.messages = MessageStore(database)
        self.clicks = ClickStore(database)
        self.outbox = Outbox(database)
        self.streams = Streams(database)
        self.statistics = Statistics(database)
        self.browse = Browse(database)
        self.search = Search(database)
        self.mailings = Mailings(database)
        self.trail = Trail(database)
        self.nodes = NodeStore(database)
        self.partitions = Partitions(database)
        self.sealing_keys = SealingKeys(database)

    @classmethod
    async def open(cls, url: str) -> "Store":
        """Open the store at a URL: ``sqlite:////path/clicktrail.db`` or ``postgresql://…``.

        A file is made if it is missing; a database of PostgreSQL must be there. It is brought to
        the newest schema.
        Raises `StoreUnavailable`, and `InvalidInput` for a URL of another kind.
        """
        database = open_database(url)
        try:
            await asyncio.to_thread(database.prepare)
        except BaseException:
            await database.close()
            raise
        return cls(database)

    async def try_it(self) -> None:
        """See whether it can be read and written. Raises `StoreUnavailable`."""
        statement = update(configuration_version).values(version=configuration_version.c.version)
        await self._database.write(lambda connection: connection.execute(statement).rowcount)

    async def forget_person(self, address: str) -> Forgotten:
        """Erase a person from all of it: see `clicktrail.store.people.forget`."""
        return await forget_person(self._database, address)

    async def tidy(self) -> None:
        """Empty the files of what was deleted, if nobody has written since the last call.

        Raises `StoreUnavailable`.
        """
        await self._database.tidy()

    async def close(self) -> None:
        """Finish what was accepted, and close all connections."""
        await self.messages.close()
        await self._database.close()
