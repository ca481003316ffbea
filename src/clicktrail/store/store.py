"""The store: everything that is kept but the clicks on their way (`clicktrail.journal`)."""

import asyncio

from clicktrail.store.access_keys import AccessKeyStore
from clicktrail.store.accounts import AccountStore
from clicktrail.store.browse import Browse
from clicktrail.store.clicks import ClickStore
from clicktrail.store.configuration import ConfigurationStore
from clicktrail.store.connect import open_database
from clicktrail.store.database import Database
from clicktrail.store.forget import Forgotten, forget_person
from clicktrail.store.mailings import Mailings
from clicktrail.store.messages import MessageStore
from clicktrail.store.nodes import NodeStore
from clicktrail.store.outbox import Outbox
from clicktrail.store.partitions import Partitions
from clicktrail.store.search import Search
from clicktrail.store.statistics import Statistics
from clicktrail.store.streams import Streams
from clicktrail.store.trail import Trail
from clicktrail.store.users import UserStore


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

    async def forget_person(self, address: str) -> Forgotten:
        """Erase a person from all of it: see `clicktrail.store.forget`."""
        return await forget_person(self._database, address)

    async def close(self) -> None:
        """Finish what was accepted, and close all connections."""
        await self.messages.close()
        await self._database.close()
