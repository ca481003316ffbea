"""Who has unsubscribed from which contact list and topic.

A list that an email names needs not be here, as with Postbox: it is made when somebody unsubscribes
from it, so that no wish gets lost.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BindParameter,
    Connection,
    and_,
    bindparam,
    delete,
    exists,
    select,
    tuple_,
    update,
)

from clicktrail.base.ids import now_us
from clicktrail.base.text.digest import digest_of
from clicktrail.errors import NotFound, StoreUnavailable
from clicktrail.model import Subscription, check_name
from clicktrail.model.subscription import SubscriptionStatus
from clicktrail.rules.recipients import checked_recipient, readable, recipient_key
from clicktrail.store.database.bulk import insert_or
from clicktrail.store.database.core import Database, storable
from clicktrail.store.people.contact_rows import known_list, list_there, status_of, this
from clicktrail.store.people.tables import contact_lists, contact_topics, contacts

_OUT = SubscriptionStatus.OPT_OUT.value


@dataclass(frozen=True, slots=True)
class Unsubscribed:
    """Somebody who has unsubscribed, and since when at the latest."""

    subscription: Subscription
    at: int


class UnsubscribedStore:
    """Reads and changes who has unsubscribed. Every method may raise `StoreUnavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, subscriptions: Iterable[Subscription]) -> None:
        """Unsubscribe people, all or none, some thousand at most. Raises `InvalidInput`."""
        wishes = []
        for each in subscriptions:
            check_name(each.contact_list, "contact list")
            if each.topic:
                check_name(each.topic, "topic")
            checked_recipient(each.address)
            wishes.append(Unsubscribed(each, now_us()))
        await self._database.write(lambda connection: unsubscribe(connection, wishes))

    async def remove(self, subscription: Subscription) -> None:
        """Take back that somebody has unsubscribed. Raises `NotFound`, `InvalidInput`.

        With a topic: from it; else from the list and all of its topics.
        """
        name, topic = subscription.contact_list, subscription.topic
        digest = digest_of(checked_recipient(subscription.address))

        def work(connection: Connection) -> None:
            known_list(connection, name)
            said = [*this(contact_topics, name, digest), contact_topics.c.status == _OUT]
            if topic:
                said.append(contact_topics.c.topic == storable(topic))
            done = connection.execute(delete(contact_topics).where(*said)).rowcount
            if not topic:
                off = (*this(contacts, name, digest), contacts.c.unsubscribed)
                values = {"unsubscribed": False, "updated_at": now_us()}
                done += connection.execute(update(contacts).where(*off).values(values)).rowcount
            if not done:
                what = f"topic {topic[:64]!a} of " if topic else ""
                raise NotFound(
                    f"{subscription.address[:320]!a} has not unsubscribed from {what}{name!r}"
                )

        await self._database.write(work)

    async def page(
        self,
        after: tuple[str, str, str] = ("", "", ""),
        limit: int = 1000,
        contact_list: str | None = None,
    ) -> list[Unsubscribed]:
        """Return up to ``limit`` of who has unsubscribed, in the order of list, address and topic.

        ``after`` are these of the last one before. Persons who were erased have no address: not
        here.
        """
        last = tuple(map(storable, after))
        place = (contacts.c.contact_list, contacts.c.address)
        out = contact_topics.c.status == _OUT
        topics = and_(
            contact_topics.c.contact_list == contacts.c.contact_list,
            contact_topics.c.digest == contacts.c.digest,
            out,
        )
        # People first, by the index: each page costs the same, however long the list is.
        wanted = (
            select(contacts)
            .where(tuple_(*place) >= last[:2], contacts.c.address > "")
            .where(contacts.c.unsubscribed | exists().where(topics))
            .order_by(*place)
            .limit(limit + 1)  # the first may have been told whole
        )
        if contact_list is not None:
            wanted = wanted.where(contacts.c.contact_list == storable(contact_list))
        some = wanted.subquery()
        theirs = and_(
            contact_topics.c.contact_list == some.c.contact_list,
            contact_topics.c.digest == some.c.digest,
            out,
        )
        query = select(some, contact_topics.c.topic).outerjoin(contact_topics, theirs)
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        said = {(r.contact_list, r.address, r.topic): r.updated_at for r in rows if r.topic}
        said |= {(r.contact_list, r.address, ""): r.updated_at for r in rows if r.unsubscribed}
        found = sorted(each for each in said if each > last)[:limit]
        return [Unsubscribed(Subscription(n, t, a), said[n, a, t]) for n, a, t in found]

    async def unwilling(self, contact_list: str, topic: str, addresses: Iterable[str]) -> list[str]:
        """Return who of these does not want what goes to a list and topic (``""``: none).

        Raises `StoreUnavailable` also where the topics of the list are damaged.
        """
        digests = {address: digest_of(recipient_key(address)) for address in addresses}
        values = {
            "name": storable(contact_list),
            "topic": storable(topic),
            "digests": sorted({*digests.values()}),
        }

        def work(connection: Connection) -> list[str]:
            known = list_there(connection, contact_list)
            if known and topic and known.is_damaged:
                raise StoreUnavailable(
                    f"the topics of the contact list {contact_list!r} are damaged: set them anew"
                )
            default = known.default(topic).value if known and topic else ""
            rows = connection.execute(_SAID, values)
            said = {
                bytes(r.digest): (r.unsubscribed, status_of(r.status) if r.status else default)
                for r in rows
            }
            nothing = (False, default)
            return [
                address
                for address, digest in digests.items()
                if said.get(digest, nothing)[0] or said.get(digest, nothing)[1] == _OUT
            ]

        return await self._database.read(work)


def unsubscribe(
    connection: Connection, wishes: Iterable[Unsubscribed], unnamed: Sequence[Unsubscribed] = ()
) -> None:
    """Keep that people have unsubscribed, within a transaction.

    From a topic, or from all of a list where none is named. The addresses of ``unnamed`` are not
    kept, nor are those of contacts without one: these persons were erased. Any text may stand for
    an address: emails went there.
    """
    dialect = connection.dialect.name
    hidden = {id(each) for each in unnamed}
    wishes = [*wishes, *unnamed]
    # In one order, so that two who do it at once do not wait for one another.
    for wish in sorted(wishes, key=lambda w: (w.subscription.contact_list, w.subscription.address)):
        name, topic = wish.subscription.contact_list, wish.subscription.topic
        digest = digest_of(recipient_key(wish.subscription.address))
        blank: dict[str, Any] = {"description": "", "topics": "[]", "tags": "[]"}
        times = {"created_at": wish.at, "updated_at": wish.at}
        made = insert_or(dialect, contact_lists).values(name=name, **blank, **times)
        connection.execute(made.on_conflict_do_nothing())
        new = {
            "contact_list": name,
            "digest": digest,
            "address": "" if id(wish) in hidden else readable(wish.subscription.address),
            "unsubscribed": not topic,
            "attributes": "",
            **times,
        }
        changes = (
            {"updated_at": wish.at} if topic else {"updated_at": wish.at, "unsubscribed": True}
        )
        put = insert_or(dialect, contacts).values(new)
        key = ["contact_list", "digest"]
        connection.execute(put.on_conflict_do_update(index_elements=key, set_=changes))
        if topic:
            said = {"contact_list": name, "digest": digest, "topic": topic, "status": _OUT}
            put = insert_or(dialect, contact_topics).values(said)
            key = [*key, "topic"]
            connection.execute(put.on_conflict_do_update(index_elements=key, set_={"status": _OUT}))


def erase_contact(connection: Connection, address: str) -> int:
    """Take a person off all contact lists, within a transaction; return off how many.

    Where they have unsubscribed that stays, it is their own wish; nobody reads whose it is.
    """
    digest = digest_of(recipient_key(address))
    mine = contacts.c.digest == digest
    out = and_(
        contact_topics.c.contact_list == contacts.c.contact_list,
        contact_topics.c.digest == contacts.c.digest,
        contact_topics.c.status == _OUT,
    )
    wish = exists().where(out) | contacts.c.unsubscribed
    theirs = contact_topics.c.digest == digest
    gone = connection.execute(delete(contacts).where(mine, ~wish)).rowcount
    blank = update(contacts).where(mine, (contacts.c.address != "") | (contacts.c.attributes != ""))
    gone += connection.execute(blank.values(address="", attributes="")).rowcount
    connection.execute(delete(contact_topics).where(theirs, contact_topics.c.status != _OUT))
    return gone


_digests: BindParameter[list[bytes]] = bindparam("digests", expanding=True)
_SAID = (
    select(contacts.c.digest, contacts.c.unsubscribed, contact_topics.c.status)
    .outerjoin(
        contact_topics,
        and_(
            contact_topics.c.contact_list == contacts.c.contact_list,
            contact_topics.c.digest == contacts.c.digest,
            contact_topics.c.topic == bindparam("topic"),
        ),
    )
    .where(contacts.c.contact_list == bindparam("name"), contacts.c.digest.in_(_digests))
)
