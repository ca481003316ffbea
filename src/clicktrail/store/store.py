"""The store: everything that is kept but the clicks on their way (`clicktrail.journal`)."""

import asyncio
from importlib import import_module
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from sqlalchemy import update

from clicktrail.store.database.connect import open_database
from clicktrail.store.database.core import Database
from clicktrail.store.tables import configuration_version

if TYPE_CHECKING:
    from clicktrail.store.certificates import CertificateStore
    from clicktrail.store.clicks.clicks import ClickStore
    from clicktrail.store.clicks.opens import OpenStore
    from clicktrail.store.clicks.outbox import Outbox
    from clicktrail.store.clicks.pages import Pages
    from clicktrail.store.clicks.statistics import Statistics
    from clicktrail.store.clicks.streams import Streams
    from clicktrail.store.clicks.unsubscribes import UnsubscribeStore
    from clicktrail.store.configuration_store import ConfigurationStore
    from clicktrail.store.database.partitions import Partitions
    from clicktrail.store.finding.clickers import Clickers
    from clicktrail.store.finding.search import Search
    from clicktrail.store.mail.browse import Browse
    from clicktrail.store.mail.mailings import Mailings
    from clicktrail.store.mail.messages import MessageStore
    from clicktrail.store.mail.templates import TemplateStore
    from clicktrail.store.mail.trail import Trail
    from clicktrail.store.nodes import NodeStore
    from clicktrail.store.orders import OrderStore
    from clicktrail.store.people.access_keys import AccessKeyStore
    from clicktrail.store.people.accounts import AccountStore
    from clicktrail.store.people.contacts import ContactStore
    from clicktrail.store.people.do_not_track import DoNotTrack
    from clicktrail.store.people.forget import Forgotten
    from clicktrail.store.people.suppression import SuppressionList
    from clicktrail.store.people.unsubscribed import UnsubscribedStore
    from clicktrail.store.people.users import UserStore
    from clicktrail.store.resource_tags import ResourceTagStore
    from clicktrail.store.sealing import SealingKeys

T = TypeVar("T")


class Subject(Generic[T]):
    """A part of the store, whose module is loaded when it is asked for first.

    A command that lists configuration sets need not wait for what only emails and clicks need.
    """

    def __init__(self, place: str) -> None:
        """Take its module in `clicktrail.store`, and its name in there."""
        self._module, _, self._class = place.partition(":")

    def __set_name__(self, owner: type["Store"], name: str) -> None:
        self._name = name

    def __get__(self, store: "Store", owner: type["Store"]) -> T:
        made = cast(T, self.load()(store._database))
        vars(store)[self._name] = made  # from now on that is found, and not this
        return made

    def load(self) -> Any:
        """Return its class."""
        return getattr(import_module(f"clicktrail.store.{self._module}"), self._class)


class Store:
    """One database, by subject. Several processes may have it open at once."""

    configuration: "Subject[ConfigurationStore]" = Subject("configuration_store:ConfigurationStore")
    users: "Subject[UserStore]" = Subject("people.users:UserStore")
    access_keys: "Subject[AccessKeyStore]" = Subject("people.access_keys:AccessKeyStore")
    accounts: "Subject[AccountStore]" = Subject("people.accounts:AccountStore")
    suppression: "Subject[SuppressionList]" = Subject("people.suppression:SuppressionList")
    templates: "Subject[TemplateStore]" = Subject("mail.templates:TemplateStore")
    messages: "Subject[MessageStore]" = Subject("mail.messages:MessageStore")
    clicks: "Subject[ClickStore]" = Subject("clicks.clicks:ClickStore")
    opens: "Subject[OpenStore]" = Subject("clicks.opens:OpenStore")
    unsubscribes: "Subject[UnsubscribeStore]" = Subject("clicks.unsubscribes:UnsubscribeStore")
    contacts: "Subject[ContactStore]" = Subject("people.contacts:ContactStore")
    unsubscribed: "Subject[UnsubscribedStore]" = Subject("people.unsubscribed:UnsubscribedStore")
    outbox: "Subject[Outbox]" = Subject("clicks.outbox:Outbox")
    streams: "Subject[Streams]" = Subject("clicks.streams:Streams")
    pages: "Subject[Pages]" = Subject("clicks.pages:Pages")
    statistics: "Subject[Statistics]" = Subject("clicks.statistics:Statistics")
    browse: "Subject[Browse]" = Subject("mail.browse:Browse")
    search: "Subject[Search]" = Subject("finding.search:Search")
    mailings: "Subject[Mailings]" = Subject("mail.mailings:Mailings")
    clickers: "Subject[Clickers]" = Subject("finding.clickers:Clickers")
    trail: "Subject[Trail]" = Subject("mail.trail:Trail")
    nodes: "Subject[NodeStore]" = Subject("nodes:NodeStore")
    orders: "Subject[OrderStore]" = Subject("orders:OrderStore")
    resource_tags: "Subject[ResourceTagStore]" = Subject("resource_tags:ResourceTagStore")
    do_not_track: "Subject[DoNotTrack]" = Subject("people.do_not_track:DoNotTrack")
    partitions: "Subject[Partitions]" = Subject("database.partitions:Partitions")
    sealing_keys: "Subject[SealingKeys]" = Subject("sealing:SealingKeys")
    certificates: "Subject[CertificateStore]" = Subject("certificates:CertificateStore")

    def __init__(self, database: Database) -> None:
        self._database = database

    @staticmethod
    def load() -> None:
        """Load all subjects: once, for processes that are forked and then share them."""
        for each in vars(Store).values():
            if isinstance(each, Subject):
                each.load()

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

    async def forget_person(self, address: str) -> "Forgotten":
        """Erase a person from all of it: see `clicktrail.store.people.forget`."""
        from clicktrail.store.people.forget import forget_person  # noqa: PLC0415 - much to load

        return await forget_person(self._database, address)

    async def tidy(self) -> None:
        """Empty the files of what was deleted, if nobody has written since the last call.

        Raises `StoreUnavailable`.
        """
        await self._database.tidy()

    async def rewrite(self) -> None:
        """Write its file anew, without what belongs to nothing. Raises `StoreUnavailable`."""
        await self._database.rewrite()

    async def close(self) -> None:
        """Finish what was accepted, and close all connections."""
        if "messages" in vars(self):  # else none was accepted
            await self.messages.close()
        await self._database.close()
