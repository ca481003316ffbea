"""Contact lists and their contacts (SES: "list management")."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from clicktrail.base.ids import now_us
from clicktrail.base.text.digest import digest_of
from clicktrail.errors import AlreadyExists, InvalidInput, NotFound
from clicktrail.model import check_name
from clicktrail.model.subscription import Contact, ContactList, SubscriptionStatus, Topic
from clicktrail.rules.recipients import checked_recipient
from clicktrail.store.database.core import Database, storable
from clicktrail.store.finding.looking import Looked, look
from clicktrail.store.orders import Part, renew
from clicktrail.store.people.contact_rows import (
    Filter,
    Preferences,
    checked_attributes,
    checked_text,
    condition,
    contact_row,
    dump_topics,
    forget_willing,
    held_list,
    known_list,
    list_there,
    load_list,
    missing,
    missing_list,
    need_topics,
    put_topics,
    this,
    with_topics,
)
from clicktrail.store.people.tables import contact_lists, contact_topics, contacts
from clicktrail.store.validation import dump_tags

_AT_ONCE = 5000
"""Contacts that one transaction looks at to delete them."""


class ContactStore:
    """Reads and changes contact lists. Every method may raise `StoreUnavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create_list(self, made: ContactList) -> None:
        """Add a list. Raises `AlreadyExists`, `InvalidInput`."""
        row = {
            "name": check_name(made.name, "contact list"),
            "description": checked_text(made.description, "the description"),
            "topics": dump_topics(made.topics),
            "tags": dump_tags(made.tags),
            "created_at": made.created_at,
            "updated_at": made.updated_at,
        }

        def work(connection: Connection) -> None:
            if list_there(connection, made.name) is not None:
                raise AlreadyExists(f"there is a contact list {made.name!r} already")
            connection.execute(insert(contact_lists), row)
            if made.topics:
                renew(connection, Part.LISTS)

        await self._database.write(work)

    async def get_list(self, name: str) -> ContactList:
        """Return a list. Raises `NotFound`."""
        return await self._database.read(lambda connection: known_list(connection, name))

    async def lists(self) -> list[ContactList]:
        """Return all lists, by name."""
        query = select(contact_lists).order_by(contact_lists.c.name)
        return [load_list(r) for r in await self._database.read(lambda c: c.execute(query).all())]

    async def update_list(
        self, name: str, topics: Sequence[Topic] | None, description: str | None
    ) -> None:
        """Change what is given. Raises `NotFound`, `InvalidInput`.

        What people have said of topics that are gone stays in force.
        """
        values: dict[str, Any] = {"updated_at": now_us()}
        if topics is not None:
            values["topics"] = dump_topics(topics)
        if description is not None:
            values["description"] = checked_text(description, "the description")
        changing = update(contact_lists).where(contact_lists.c.name == storable(name))

        def work(connection: Connection) -> None:
            if not connection.execute(changing.values(values)).rowcount:
                raise missing_list(name)
            if topics is not None:
                renew(connection, Part.LISTS)

        await self._database.write(work)

    async def put_topic(self, name: str, topic: Topic, *, new: bool = False) -> None:
        """Add a topic to a list, or change the one of its name; a ``new`` one must not be there.

        Raises `NotFound`, `AlreadyExists`, `InvalidInput`.
        """

        def changed(topics: dict[str, Topic]) -> None:
            if new and topic.name in topics:
                raise AlreadyExists(f"there is a topic {topic.name!r} already")
            topics[topic.name] = topic

        await self._change_topics(name, changed)

    async def remove_topic(self, name: str, topic: str) -> None:
        """Take a topic off a list. Raises `NotFound`.

        What people have said of it stays in force.
        """

        def changed(topics: dict[str, Topic]) -> None:
            if topics.pop(topic, None) is None:
                raise NotFound(f"there is no topic {topic[:64]!a} on the contact list {name!r}")

        await self._change_topics(name, changed)

    async def _change_topics(self, name: str, change: Callable[[dict[str, Topic]], None]) -> None:
        def work(connection: Connection) -> None:
            topics = {each.name: each for each in held_list(connection, name).topics}
            change(topics)
            values = {"topics": dump_topics(tuple(topics.values())), "updated_at": now_us()}
            at = contact_lists.c.name == name
            connection.execute(update(contact_lists).where(at).values(values))
            renew(connection, Part.LISTS)

        await self._database.write(work)

    async def delete_list(self, name: str) -> None:
        """Delete a list with all its contacts. Raises `NotFound`.

        The list goes at last, and with it, at once, all who do not want its emails: where this
        ends before, it is there, can be deleted, and nobody's wish is forgotten. Others write in
        between: a transaction looks at some thousand contacts.
        """
        place = contacts.c.digest
        query = select(place).where(contacts.c.contact_list == name).order_by(place)
        # Held, or who opts out of a topic meanwhile is not seen.
        query = query.limit(_AT_ONCE).with_for_update()

        def some(connection: Connection, after: bytes) -> bytes | None:
            known_list(connection, name)
            there = connection.scalars(query.where(place > after)).all()
            if len(there) == _AT_ONCE:
                forget_willing(connection, name, after, bytes(there[-1]))
                return bytes(there[-1])
            for column in (contacts.c.contact_list, contact_topics.c.contact_list):
                connection.execute(delete(column.table).where(column == name))
            connection.execute(delete(contact_lists).where(contact_lists.c.name == name))
            renew(connection, Part.LISTS)
            return None

        after: bytes | None = b""
        while after is not None:
            after = await self._database.write(partial(some, after=after))

    async def create(self, name: str, made: Contact) -> None:
        """Add a contact. Raises `NotFound` for the list, `AlreadyExists`, `InvalidInput`."""
        digest = digest_of(checked_recipient(made.address))
        row = {
            "contact_list": name,
            "digest": digest,
            "address": made.address.strip("<> \t"),
            "unsubscribed": made.unsubscribed,
            "attributes": checked_attributes(made.attributes),
            "created_at": made.created_at,
            "updated_at": made.updated_at,
        }

        def work(connection: Connection) -> None:
            need_topics(known_list(connection, name), made.preferences)
            if contact_row(connection, name, digest) is not None:
                raise AlreadyExists(f"{made.address!a} is on the contact list {name!r} already")
            connection.execute(insert(contacts), row)
            put_topics(connection, name, digest, made.preferences)

        await self._database.write(work)

    async def get(self, name: str, address: str) -> Contact:
        """Return a contact. Raises `NotFound`, `InvalidInput`."""
        digest = digest_of(checked_recipient(address))

        def work(connection: Connection) -> Contact:
            known_list(connection, name)
            row = contact_row(connection, name, digest)
            if row is None:
                raise missing(name, address)
            [found] = with_topics(connection, name, [row])
            return replace(found, address=found.address or address)

        return await self._database.read(work)

    async def update(
        self,
        name: str,
        address: str,
        preferences: Preferences | None = None,
        unsubscribed: bool | None = None,
        attributes: str | None = None,
    ) -> None:
        """Change what is given; preferences replace all that there were.

        Raises `NotFound`, `InvalidInput`.
        """
        digest = digest_of(checked_recipient(address))
        values: dict[str, Any] = {"address": address.strip("<> \t"), "updated_at": now_us()}
        if unsubscribed is not None:
            values["unsubscribed"] = unsubscribed
        if attributes is not None:
            values["attributes"] = checked_attributes(attributes)

        def work(connection: Connection) -> None:
            need_topics(known_list(connection, name), preferences or ())
            changing = update(contacts).where(*this(contacts, name, digest)).values(values)
            if not connection.execute(changing).rowcount:
                raise missing(name, address)
            if preferences is not None:
                connection.execute(
                    delete(contact_topics).where(*this(contact_topics, name, digest))
                )
                put_topics(connection, name, digest, preferences)

        await self._database.write(work)

    async def say(
        self,
        name: str,
        address: str,
        said: Mapping[str, SubscriptionStatus | None],
        unsubscribed: bool,
        attributes: str,
        seen: int | None = None,
    ) -> None:
        """Change a contact, and what it says of some topics; ``None``: nothing any more.

        What it says of others stays, of those too that are not on the list any more. ``seen`` is
        its ``updated_at`` as it was looked at: who has unsubscribed since does not come back by
        that. Raises `NotFound`, and `InvalidInput`, also where it has changed since.
        """
        digest = digest_of(checked_recipient(address))
        values = {
            "address": address.strip("<> \t"),
            "unsubscribed": unsubscribed,
            "attributes": checked_attributes(attributes),
            "updated_at": now_us(),
        }

        def work(connection: Connection) -> None:
            known = known_list(connection, name)
            row = contact_row(connection, name, digest, held=True)
            if row is None:
                raise missing(name, address)
            if seen is not None and row.updated_at != seen:
                raise InvalidInput(
                    "the contact has changed since you looked at it, perhaps unsubscribed: see its"
                    " state, and save again what still holds"
                )
            [found] = with_topics(connection, name, [row])
            now: dict[str, SubscriptionStatus | None] = dict(found.preferences)
            new = {topic: each for topic, each in said.items() if each and topic not in now}
            need_topics(known, tuple(new.items()))
            kept = now | dict(said)
            connection.execute(update(contacts).where(*this(contacts, name, digest)).values(values))
            connection.execute(delete(contact_topics).where(*this(contact_topics, name, digest)))
            put_topics(connection, name, digest, [(t, s) for t, s in kept.items() if s])

        await self._database.write(work)

    async def delete(self, name: str, address: str) -> None:
        """Delete a contact, and with it what it has said. Raises `NotFound`, `InvalidInput`."""
        digest = digest_of(checked_recipient(address))

        def work(connection: Connection) -> None:
            known_list(connection, name)
            connection.execute(delete(contact_topics).where(*this(contact_topics, name, digest)))
            gone = delete(contacts).where(*this(contacts, name, digest))
            if not connection.execute(gone).rowcount:
                raise missing(name, address)

        await self._database.write(work)

    async def page(
        self, name: str, after: str = "", limit: int = 1000, only: Filter | None = None
    ) -> list[Contact]:
        """Return up to ``limit`` contacts whose address comes after one, in their order.

        Persons who were erased are on the list without an address: not here. Raises `NotFound`.
        """
        at = contacts.c
        query = (
            select(contacts)
            .where(at.contact_list == name, at.address > storable(after))
            .order_by(at.address)
            .limit(limit)
        )

        def work(connection: Connection) -> list[Contact]:
            known = known_list(connection, name)
            wanted = query if only is None else query.where(condition(known, only))
            rows = connection.execute(wanted)
            return with_topics(connection, name, rows.all())

        return await self._database.read(work)

    async def search(
        self, name: str, part: str, after: str, limit: int, only: Filter | None = None
    ) -> Looked[Contact]:
        """Return up to ``limit`` contacts whose address has a part, after an address, in order.

        Raises `NotFound`.
        """
        query = select(contacts).where(contacts.c.contact_list == name)

        def work(connection: Connection) -> Looked[Contact]:
            known = known_list(connection, name)
            wanted = [] if only is None else [condition(known, only)]
            rows, following = look(
                connection, query, contacts.c.address, part, wanted, after, limit
            )
            return Looked(with_topics(connection, name, rows), following)

        return await self._database.read(work)
