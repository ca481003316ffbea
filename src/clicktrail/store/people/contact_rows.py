"""Rows of contact lists and contacts: what is in them, and which are asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Table,
    and_,
    delete,
    exists,
    insert,
    or_,
    select,
)

from clicktrail.base.logs import get_logger
from clicktrail.errors import InvalidInput, NotFound
from clicktrail.model import check_name
from clicktrail.model.subscription import Contact, ContactList, SubscriptionStatus, Topic
from clicktrail.store.database.core import storable
from clicktrail.store.people.tables import contact_lists, contact_topics, contacts
from clicktrail.store.validation import load_tags

log = get_logger(__name__)

MOST_TOPICS = 20
"""Topics of a list, as in SES."""
TEXT_LIMIT = 500
"""Characters of a description or a name for people."""
ATTRIBUTES_LIMIT = 10_240
"""Characters of ``AttributesData``."""
_AT_ONCE = 500

Preferences = Sequence[tuple[str, SubscriptionStatus]]


@dataclass(frozen=True, slots=True)
class Filter:
    """Which contacts are asked for (``ListContactsFilter`` of SES)."""

    status: SubscriptionStatus
    topic: str = ""
    """``""``: the list as a whole."""
    with_default: bool = False
    """Whether the topic's default counts for who has said nothing of it."""


def list_there(connection: Connection, name: str) -> ContactList | None:
    """Return a list; ``None`` where there is none."""
    query = select(contact_lists).where(contact_lists.c.name == storable(name))
    row = connection.execute(query).first()
    return None if row is None else load_list(row)


def known_list(connection: Connection, name: str) -> ContactList:
    """Return a list. Raises `NotFound`."""
    if (found := list_there(connection, name)) is None:
        raise missing_list(name)
    return found


def held_list(connection: Connection, name: str) -> ContactList:
    """Return a list, which nobody else changes until the transaction ends. Raises `NotFound`."""
    query = select(contact_lists).where(contact_lists.c.name == storable(name))
    if (row := connection.execute(query.with_for_update()).first()) is None:
        raise missing_list(name)
    return load_list(row)


def load_list(row: Row[Any]) -> ContactList:
    """Return the list of a row; topics that are damaged are told in the log, and left out."""
    is_damaged = False
    try:
        topics = tuple(_load_topics(row.topics))
    except msgspec.MsgspecError:
        topics, is_damaged = (), True
        _tell_damage(row.name)
    tags = load_tags(row.tags)
    return ContactList(
        row.name, row.created_at, row.updated_at, row.description, topics, tags, is_damaged
    )


@lru_cache(1000)
def _tell_damage(name: str) -> None:
    log.error("the topics of a contact list are damaged: set them anew", contact_list=name)


def dump_topics(topics: Sequence[Topic]) -> str:
    """Return topics as they are kept. Raises `InvalidInput`."""
    if len(topics) > MOST_TOPICS:
        raise InvalidInput(f"a contact list has at most {MOST_TOPICS} topics, not {len(topics)}")
    for topic in topics:
        check_name(topic.name, "topic")
        checked_text(topic.display_name, f"the display name of topic {topic.name!r}")
        checked_text(topic.description, f"the description of topic {topic.name!r}")
    if len({topic.name for topic in topics}) < len(topics):
        raise InvalidInput("topics: a name stands there twice")
    return msgspec.json.encode(topics).decode()


_load_topics = msgspec.json.Decoder(list[Topic]).decode


def contact_row(
    connection: Connection, name: str, digest: bytes, *, held: bool = False
) -> Row[Any] | None:
    """Return the row of a contact; ``None`` where there is none.

    One that is ``held`` nobody else changes until the transaction ends.
    """
    query = select(contacts).where(*this(contacts, name, digest))
    return connection.execute(query.with_for_update() if held else query).first()


def this(table: Table, name: str, digest: bytes) -> list[ColumnElement[bool]]:
    """Return what holds for the rows of one contact."""
    return [table.c.contact_list == storable(name), table.c.digest == digest]


def with_topics(connection: Connection, name: str, rows: Sequence[Row[Any]]) -> list[Contact]:
    """Return the contacts of rows, with what they have said of topics."""
    said: dict[bytes, list[tuple[str, SubscriptionStatus]]] = {}
    digests = [bytes(row.digest) for row in rows]
    for start in range(0, len(digests), _AT_ONCE):
        some = contact_topics.c.digest.in_(digests[start : start + _AT_ONCE])
        query = select(contact_topics).where(contact_topics.c.contact_list == name, some)
        for row in connection.execute(query.order_by(contact_topics.c.topic)):
            status = status_of(row.status)
            said.setdefault(bytes(row.digest), []).append((row.topic, status))
    return [
        Contact(
            row.address,
            row.created_at,
            row.updated_at,
            tuple(said.get(bytes(row.digest), ())),
            bool(row.unsubscribed),
            row.attributes,
        )
        for row in rows
    ]


def status_of(kept: str) -> SubscriptionStatus:
    """Return what a contact has said of a topic; damaged, it is the wish to be left alone."""
    is_in = kept == SubscriptionStatus.OPT_IN
    return SubscriptionStatus.OPT_IN if is_in else SubscriptionStatus.OPT_OUT


def put_topics(connection: Connection, name: str, digest: bytes, preferences: Preferences) -> None:
    """Add what a contact, who has said nothing yet, says of topics."""
    rows = [
        {"contact_list": name, "digest": digest, "topic": topic, "status": status.value}
        for topic, status in dict(preferences).items()
    ]
    if rows:
        connection.execute(insert(contact_topics), rows)


def forget_willing(connection: Connection, name: str, after: bytes, last: bytes) -> None:
    """Delete those contacts of a list who want emails of all they have said something of.

    Of the digests that come after one, up to another.
    """
    at, said = contacts.c, contact_topics.c
    theirs = and_(said.contact_list == at.contact_list, said.digest == at.digest)
    is_out = exists().where(theirs, said.status != SubscriptionStatus.OPT_IN.value)
    willing = and_(
        at.contact_list == name, at.digest > after, at.digest <= last, ~at.unsubscribed, ~is_out
    )
    some = said.digest.in_(select(at.digest).where(willing))
    connection.execute(delete(contact_topics).where(said.contact_list == name, some))
    connection.execute(delete(contacts).where(willing))


def need_topics(known: ContactList, preferences: Preferences) -> None:
    """Raise `InvalidInput` for topics that are not on the list."""
    there = {topic.name for topic in known.topics}
    for topic, _ in preferences:
        if topic not in there:
            raise InvalidInput(f"topic {topic[:64]!a} is not on the contact list {known.name!r}")


def condition(known: ContactList, only: Filter) -> ColumnElement[bool]:
    """Return what holds for those contacts of a list alone."""
    off, is_out = contacts.c.unsubscribed, only.status is SubscriptionStatus.OPT_OUT
    if not only.topic:
        return off if is_out else ~off
    said = and_(
        contact_topics.c.contact_list == contacts.c.contact_list,
        contact_topics.c.digest == contacts.c.digest,
        contact_topics.c.topic == storable(only.topic),
    )
    found: ColumnElement[bool] = exists().where(said, contact_topics.c.status == only.status.value)
    if only.with_default and known.default(only.topic) is only.status:
        found = or_(found, ~exists().where(said))
    return or_(off, found) if is_out else and_(~off, found)


def checked_text(text: str, what: str) -> str:
    """Return a text for people. Raises `InvalidInput` for a long one."""
    if len(text) > TEXT_LIMIT:
        raise InvalidInput(f"{what} has more than {TEXT_LIMIT} characters")
    return storable(text)


def checked_attributes(text: str) -> str:
    """Return ``AttributesData``. Raises `InvalidInput` for a long one."""
    if len(text) > ATTRIBUTES_LIMIT:
        raise InvalidInput(f"AttributesData has more than {ATTRIBUTES_LIMIT} characters")
    return storable(text)


def missing_list(name: str) -> NotFound:
    """Return the error for a list that is not there."""
    return NotFound(f"there is no contact list {name[:64]!a}")


def missing(name: str, address: str) -> NotFound:
    """Return the error for a contact that is not there."""
    return NotFound(f"{address[:320]!a} is not on the contact list {name[:64]!a}")
