"""Accepted emails: written before they are sent on, marked when the smarthost has answered.

Both writes are shared by all emails that arrive while the last one ran (`base.batch`). The
contents of an email, its links among them, are one MessagePack value: thirty links do not make
thirty rows.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BindParameter, Connection, bindparam, delete, exists, select, update

from clicktrail.base.batch import Batcher
from clicktrail.base.ids import hour_of
from clicktrail.errors import NotFound
from clicktrail.model import (
    EventType,
    Identity,
    Link,
    Message,
    MessageState,
    Reason,
    provider_of,
)
from clicktrail.store.clicks.cohorts import Belonging, Cohorts, people_of, tags_of
from clicktrail.store.clicks.statistics import Dimensions, add_counts, add_tag_counts
from clicktrail.store.clicks.tables import clicked_links
from clicktrail.store.database.bulk import BulkInsert, Row
from clicktrail.store.database.core import Database, storable
from clicktrail.store.database.older import delete_older, older
from clicktrail.store.database.turns import take_shard
from clicktrail.store.finding.damage import write_with_index
from clicktrail.store.finding.trigrams import forget_texts
from clicktrail.store.mail.grouping import mailings_of
from clicktrail.store.mail.html import pack_html
from clicktrail.store.mail.kept.books import forget_books, unusable_books
from clicktrail.store.mail.kept.contents import Content, content_of, packed, recipients_of
from clicktrail.store.mail.kept.shelf import Shelf
from clicktrail.store.mail.tables import (
    announcements,
    message_contents,
    message_html,
    messages,
    unindexed,
)
from clicktrail.store.mail.underway import Known, Underway
from clicktrail.store.tables import event_destinations

_STATES = (MessageState.PENDING, MessageState.SENT, MessageState.REFUSED, MessageState.UNKNOWN)
_DAY = 86_400_000_000
"""So far the clocks of nodes may be apart for emails to keep what they are read by."""
_NUMBER = {state: number for number, state in enumerate(_STATES)}


def state_of(number: int) -> MessageState:
    """Return the state that a number stands for in the table."""
    return _STATES[number]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an email belongs: what counting and choosing destinations need."""

    configuration_set: str
    """``""`` for none."""
    identity: str
    """Name of the identity; ``""`` for none."""
    provider: str
    """Provider of the first recipient: a tracked email has only one (behaviour § 1)."""

    @classmethod
    def of(cls, message: Message) -> "Origin":
        """Return where an email belongs."""
        return cls(
            message.configuration_set or "",
            message.identity.name if message.identity else "",
            provider_of(message.recipients[0]) if message.recipients else "",
        )


@dataclass(frozen=True, slots=True)
class Finished:
    """The smarthost's answer to an email."""

    message_id: str
    state: MessageState
    recipients: tuple[str, ...]
    at: int


class MessageStore:
    """Keeps accepted emails. Every method may raise `StoreUnavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._adding = Batcher(self._add, limit=500)
        self._finishing = Batcher(self._finish, limit=500)
        self._underway = Underway()
        self._shelf = Shelf(database)

    async def add(self, message: Message) -> None:
        """Keep an email; it is durable on return."""
        await self._adding.put(message)

    async def finish(
        self, message_id: str, state: MessageState, recipients: Sequence[str], at: int
    ) -> None:
        """Set how an email ended and which recipients the smarthost took; durable on return.

        Those of an `UNKNOWN` email are they that it may have taken.

        A `SENT` email is counted as ``Sent``, once for each recipient, in the day of ``at``; where
        its configuration set has an enabled destination for ``SEND``, its Send event is made
        later. Only the first call for an email does anything.
        """
        await self._finishing.put(Finished(message_id, state, tuple(recipients), at))

    async def get(self, message_id: str) -> Message:
        """Return an email. Raises `NotFound`, also where its contents were forgotten."""
        found = await self.get_many([message_id])
        if message_id not in found:
            raise NotFound(f"there is no email {message_id!r}, or its contents were deleted")
        return found[message_id]

    async def get_many(self, ids: Iterable[str]) -> dict[str, Message]:
        """Return emails by id; those that are not there, or were forgotten, are left out."""

        def work(connection: Connection) -> dict[str, Message]:
            found: dict[str, Message] = {}
            for some in _chunks(ids):
                found.update((message.id, message) for message in messages_of(connection, some))
            return found

        return await self._database.read(work)

    async def origins(self, ids: Iterable[str]) -> dict[str, Origin]:
        """Return where emails belong, by id; emails that are not known are left out."""

        def work(connection: Connection) -> dict[str, Origin]:
            found: dict[str, Origin] = {}
            for some in _chunks(ids):
                for row in connection.execute(_SELECT_ORIGINS, {"ids": some}):
                    found[row.id] = Origin(row.configuration_set, row.identity, row.provider)
            return found

        return await self._database.read(work)

    async def forget(self, before: int, limit: int = 500) -> int:
        """Delete the contents of up to ``limit`` emails accepted before a time; return how many.

        What remains is enough to count their clicks and to find whom to notify.
        """
        return await write_with_index(self._database, lambda c: _forget(c, before, limit))

    async def forget_origins(self, before: int, limit: int = 500) -> int:
        """Delete up to ``limit`` emails accepted before a time; return how many.

        Clicks on their links are redirected and counted, but belong nowhere, and tell nobody.
        """

        def work(connection: Connection) -> int:
            gone = delete_older(connection, clicked_links.c.message_id, before, limit)
            return max(gone, delete_older(connection, messages.c.id, before, limit))

        return await self._database.write(work)

    async def close(self) -> None:
        """Return when all that was handed over is written."""
        await self._adding.drain()
        await self._finishing.drain()
        await self._shelf.close()

    async def _add(self, batch: list[Message]) -> None:
        await self._shelf.look()
        rows = [_message_row(message) for message in batch]
        contents = [_content_row(message, self._shelf) for message in batch]
        with_html = [each for each in batch if each.html]
        packed = await asyncio.to_thread(_packed, with_html) if with_html else []

        def work(connection: Connection) -> None:
            _ADD_MESSAGES.run(connection, rows)
            _ADD_CONTENTS.run(connection, contents)
            _ADD_HTML.run(connection, packed)

        await self._database.write(work)
        for message, (_, _, content) in zip(batch, contents, strict=True):
            if not message.reason:
                self._underway.add(message, content)
        self._shelf.learn()

    async def unusable_dictionaries(self) -> tuple[int, int]:
        """Return how many of those that emails are kept with are damaged, and how many are gone.

        Raises `StoreUnavailable`.
        """
        return await self._database.read(unusable_books)

    async def _finish(self, batch: list[Finished]) -> None:
        first = {each.message_id: each for each in reversed(batch)}
        known = {id_: what for id_ in first if (what := self._underway.take(id_))}
        await self._database.write(lambda connection: _write_finished(connection, first, known))


def _packed(batch: list[Message]) -> list[tuple[str, bytes]]:
    return [(each.id, packed) for each in batch if (packed := pack_html(each.html))]


def messages_of(connection: Connection, ids: Sequence[str]) -> list[Message]:
    """Return those of up to 500 emails whose contents are there, within a transaction."""
    rows = connection.execute(_SELECT_MESSAGES, {"ids": list(ids)}).all()
    return [message for row in rows if (message := _message(connection, row)) is not None]


def _forget(connection: Connection, before: int, limit: int) -> int:
    key = message_contents.c.message_id
    old = list(connection.scalars(older(key, before, limit)))
    forget_texts(connection, messages_of(connection, old))
    for column in (key, message_html.c.message_id, unindexed.c.message_id):
        connection.execute(delete(column.table).where(column.in_(old)))
    if len(old) < limit:  # nothing older is there
        forget_books(connection, before - _DAY)
    return len(old)


def _write_finished(
    connection: Connection, first: dict[str, Finished], known: Mapping[str, Known]
) -> None:
    rows = connection.execute(_SELECT_PENDING, {"ids": list(first)}).all()
    finished = [(first[row.id], row) for row in rows]
    for state in {each.state for each, _ in finished}:
        ids = [each.message_id for each, _ in finished if each.state is state]
        connection.execute(_UPDATE_STATE, {"ids": ids, "new": _NUMBER[state]})
    changed = [
        {"key": each.message_id, "new": recipients}
        for each, row in finished
        if (recipients := packed(each.recipients)) != row.recipients
    ]
    if changed:
        connection.execute(_UPDATE_RECIPIENTS, changed)
    sent = [(each, row) for each, row in finished if each.state is MessageState.SENT]
    cohorts = _tracked(connection, [row for _, row in sent], known)
    for each, row in sent:
        hour = hour_of(each.at)
        for recipient in each.recipients:
            key = Dimensions(hour, row.configuration_set, row.identity, provider_of(recipient))
            cohorts.hours[key].sent += 1
    shard = take_shard(connection)
    add_counts(connection, shard, cohorts.hours)
    add_tag_counts(connection, shard, cohorts.tags)
    cohorts.write_mailings(connection, shard)
    _QUEUE.run(connection, sorted((each.message_id,) for each, _ in finished))
    _ANNOUNCE.run(connection, [(each.message_id,) for each, row in sent if row.announced])


def _tracked(connection: Connection, sent: list[Any], known: Mapping[str, Known]) -> Cohorts:
    """Count tracked ones of emails that were sent; some may have been clicked meanwhile."""
    cohorts = Cohorts()
    people = people_of(connection, [row.id for row in sent])
    for row in sent:
        if row.reason:
            continue
        clicked = people.get(row.id, {})
        what = known.get(row.id)
        if what and not clicked and row.content and hash(row.content) == what.contents:
            if what.links:
                cohorts.add_unclicked(row, what.tags)
            continue
        content = None if row.content is None else content_of(connection, row.id, row.content)
        if content is None:  # it was erased meanwhile
            cohorts.add_sent(row, Belonging(), clicked)
        elif content.links:
            message = _message(connection, row) if clicked else None
            groups = tuple(k.digest for k in mailings_of(message)) if message else ()
            cohorts.add_sent(row, Belonging(tags_of(_links(content)), groups), clicked)
    return cohorts


_ADD_MESSAGES = BulkInsert(messages)
_ADD_CONTENTS = BulkInsert(message_contents)
_ADD_HTML = BulkInsert(message_html)
_ANNOUNCE = BulkInsert(announcements)
_QUEUE = BulkInsert(unindexed, ("message_id",), finish=lambda s: s.on_conflict_do_nothing())
_ids: BindParameter[list[str]] = bindparam("ids", expanding=True)
_SELECT_MESSAGES = (
    select(messages, message_contents.c.recipients, message_contents.c.content)
    .join(message_contents, message_contents.c.message_id == messages.c.id)
    .where(messages.c.id.in_(_ids))
)
_SELECT_ORIGINS = select(
    messages.c.id, messages.c.configuration_set, messages.c.identity, messages.c.provider
).where(messages.c.id.in_(_ids))
_announced = (
    exists()
    .where(
        event_destinations.c.configuration_set == messages.c.configuration_set,
        event_destinations.c.enabled,
        ("," + event_destinations.c.types + ",").contains(f",{EventType.SEND},"),
    )
    .label("announced")
)
_SELECT_PENDING = (
    select(messages, message_contents.c.recipients, message_contents.c.content, _announced)
    # Not with JOIN: the contents may have been erased meanwhile, and it counts all the same.
    .outerjoin(message_contents, message_contents.c.message_id == messages.c.id)
    .where(messages.c.id.in_(_ids), messages.c.state == _NUMBER[MessageState.PENDING])
    .order_by(messages.c.id)
    .with_for_update(of=messages)
)
_UPDATE_STATE = update(messages).where(messages.c.id.in_(_ids)).values(state=bindparam("new"))
_UPDATE_RECIPIENTS = (
    update(message_contents)
    .where(message_contents.c.message_id == bindparam("key"))
    .values(recipients=bindparam("new"))
)


def _chunks(ids: Iterable[str]) -> Iterable[list[str]]:
    wanted = [storable(id_) for id_ in dict.fromkeys(ids)]
    for start in range(0, len(wanted), 500):
        yield wanted[start : start + 500]


def _message_row(message: Message) -> Row:
    origin = Origin.of(message)
    return (
        message.id,
        message.accepted_at,
        _NUMBER[message.state],
        origin.configuration_set,
        message.identity.id if message.identity else "",
        origin.identity,
        origin.provider,
        message.reason.value if message.reason else "",
    )


def _content_row(message: Message, shelf: Shelf) -> Row:
    content = Content(
        message.source,
        message.source_ip,
        message.headers,
        message.tags,
        tuple((k.index, k.url, k.tags, k.part, k.offset) for k in message.links),
        message.warnings,
    )
    kept = shelf.pack(message.recipients, packed(content))
    return message.id, packed(message.recipients), kept


def _links(content: Content) -> tuple[Link, ...]:
    return tuple(Link(*link) for link in content.links)


def _message(connection: Connection, row: Any) -> Message | None:
    content = content_of(connection, row.id, row.content)
    recipients = recipients_of(row.id, row.recipients)
    if content is None or recipients is None:
        return None
    set_name = row.configuration_set or None
    return Message(
        id=row.id,
        accepted_at=row.accepted_at,
        source=content.source,
        recipients=recipients,
        identity=Identity(row.identity_id, row.identity) if row.identity_id else None,
        configuration_set=set_name,
        source_ip=content.source_ip,
        headers=content.headers,
        tags=content.tags,
        reason=Reason(row.reason) if row.reason else None,
        links=_links(content),
        warnings=content.warnings,
        state=state_of(row.state),
    )
