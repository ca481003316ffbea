"""Accepted emails: written before they are sent on, marked when the smarthost has answered.

Both writes are shared by all emails that arrive while the last one ran (`clicktrail.batch`). The
contents of an email, its links among them, are one MessagePack value: thirty links do not make
thirty rows.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import BindParameter, bindparam, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from clicktrail.batch import Batcher
from clicktrail.errors import NotFound
from clicktrail.ids import day_of, new_id
from clicktrail.model import (
    Header,
    Identity,
    Link,
    Message,
    MessageState,
    Reason,
    Tags,
    provider_of,
)
from clicktrail.store.database import Database, storable
from clicktrail.store.schema import (
    announcements,
    event_destinations,
    message_contents,
    messages,
)
from clicktrail.store.statistics import Counts, Dimensions, add_counts

_STATES = (MessageState.PENDING, MessageState.SENT, MessageState.REFUSED)
_TIME_PART = 8  # characters of an id that are time (`clicktrail.ids`)
_NUMBER = {state: number for number, state in enumerate(_STATES)}


class _Content(msgspec.Struct, array_like=True):
    """What is kept of an email beside its columns. New fields go to the end, with a default."""

    source: str
    source_ip: str | None
    headers: tuple[Header, ...]
    tags: Tags
    links: tuple[tuple[int, str, tuple[tuple[str, str], ...], int, int], ...]
    warnings: tuple[str, ...]


_encode = msgspec.msgpack.Encoder().encode
_decode_content = msgspec.msgpack.Decoder(_Content).decode
_decode_recipients = msgspec.msgpack.Decoder(tuple[str, ...]).decode


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

    async def add(self, message: Message) -> None:
        """Keep an email; it is durable on return."""
        await self._adding.put(message)

    async def finish(
        self, message_id: str, state: MessageState, recipients: Sequence[str], at: int
    ) -> None:
        """Set how an email ended and which recipients the smarthost took; durable on return.

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
        found: dict[str, Message] = {}
        async with self._database.read() as connection:
            for some in _chunks(ids):
                result = await connection.execute(_SELECT_MESSAGES, {"ids": some})
                found.update((row.id, _message(row)) for row in result)
        return found

    async def origins(self, ids: Iterable[str]) -> dict[str, Origin]:
        """Return where emails belong, by id; emails that are not known are left out."""
        found: dict[str, Origin] = {}
        async with self._database.read() as connection:
            for some in _chunks(ids):
                for row in await connection.execute(_SELECT_ORIGINS, {"ids": some}):
                    found[row.id] = Origin(row.configuration_set, row.identity, row.provider)
        return found

    async def forget(self, before: int) -> int:
        """Delete the contents of emails accepted before a time; return how many.

        What remains is enough to count their clicks and to find whom to notify.
        """
        oldest_kept = new_id(before)[:_TIME_PART]
        where = message_contents.c.message_id < oldest_kept
        async with self._database.write() as connection:
            return (await connection.execute(delete(message_contents).where(where))).rowcount

    async def close(self) -> None:
        """Return when all that was handed over is written."""
        await self._adding.drain()
        await self._finishing.drain()

    async def _add(self, batch: list[Message]) -> None:
        rows = [_message_row(message) for message in batch]
        contents = [_content_row(message) for message in batch]
        async with self._database.write() as connection:
            await connection.execute(insert(messages), rows)
            await connection.execute(insert(message_contents), contents)

    async def _finish(self, batch: list[Finished]) -> None:
        first = {each.message_id: each for each in reversed(batch)}
        async with self._database.write() as connection:
            found = await connection.execute(_SELECT_PENDING, {"ids": list(first)})
            pending = {row.id: row for row in found}
            finished = [(first[id_], row) for id_, row in pending.items()]
            if not finished:
                return
            await connection.execute(
                _UPDATE_STATE, [{"key": f.message_id, "new": _NUMBER[f.state]} for f, _ in finished]
            )
            await connection.execute(
                _UPDATE_RECIPIENTS,
                [{"key": f.message_id, "new": _recipients(f.recipients)} for f, _ in finished],
            )
            sent = [(f, row) for f, row in finished if f.state is MessageState.SENT]
            counts: dict[Dimensions, Counts] = {}
            for each, row in sent:
                for recipient in each.recipients:
                    key = Dimensions(
                        day_of(each.at), row.configuration_set, row.identity, provider_of(recipient)
                    )
                    counts.setdefault(key, Counts()).sent += 1
            await add_counts(connection, self._database.insert, counts)
            announcing = await _announcing(connection)
            marked = [
                {"message_id": f.message_id}
                for f, row in sent
                if row.configuration_set in announcing
            ]
            if marked:
                await connection.execute(insert(announcements), marked)


_ids: BindParameter[list[str]] = bindparam("ids", expanding=True)
_SELECT_MESSAGES = (
    select(messages, message_contents.c.recipients, message_contents.c.content)
    .join(message_contents, message_contents.c.message_id == messages.c.id)
    .where(messages.c.id.in_(_ids))
)
_SELECT_ORIGINS = select(
    messages.c.id, messages.c.configuration_set, messages.c.identity, messages.c.provider
).where(messages.c.id.in_(_ids))
_SELECT_PENDING = select(messages.c.id, messages.c.configuration_set, messages.c.identity).where(
    messages.c.id.in_(_ids), messages.c.state == _NUMBER[MessageState.PENDING]
)
_UPDATE_STATE = (
    update(messages).where(messages.c.id == bindparam("key")).values(state=bindparam("new"))
)
# The recipients hardly ever change: then nothing is written.
_UPDATE_RECIPIENTS = (
    update(message_contents)
    .where(
        message_contents.c.message_id == bindparam("key"),
        message_contents.c.recipients != bindparam("new"),
    )
    .values(recipients=bindparam("new"))
)


async def _announcing(connection: AsyncConnection) -> set[str]:
    """Return the configuration sets with an enabled destination for Send events."""
    found = await connection.execute(
        select(event_destinations.c.configuration_set, event_destinations.c.types).where(
            event_destinations.c.enabled
        )
    )
    return {row.configuration_set for row in found if "SEND" in row.types.split(",")}


def _chunks(ids: Iterable[str]) -> Iterable[list[str]]:
    wanted = [storable(id_) for id_ in dict.fromkeys(ids)]
    for start in range(0, len(wanted), 500):
        yield wanted[start : start + 500]


def _message_row(message: Message) -> dict[str, Any]:
    origin = Origin.of(message)
    return {
        "id": message.id,
        "accepted_at": message.accepted_at,
        "state": _NUMBER[message.state],
        "configuration_set": origin.configuration_set,
        "identity_id": message.identity.id if message.identity else "",
        "identity": origin.identity,
        "provider": origin.provider,
        "reason": message.reason.value if message.reason else "",
    }


def _content_row(message: Message) -> dict[str, Any]:
    content = _Content(
        message.source,
        message.source_ip,
        message.headers,
        message.tags,
        tuple((k.index, k.url, k.tags, k.part, k.offset) for k in message.links),
        message.warnings,
    )
    try:
        encoded = _encode(content)
    except UnicodeEncodeError:
        encoded = _encode(_storable(msgspec.to_builtins(content)))
    recipients = _recipients(message.recipients)
    return {"message_id": message.id, "recipients": recipients, "content": encoded}


def _recipients(recipients: tuple[str, ...]) -> bytes:
    try:
        return _encode(recipients)
    except UnicodeEncodeError:
        return _encode(_storable(recipients))


def _storable(value: Any) -> Any:
    """Return the value with every text in it as a database can hold it."""
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, list | tuple):
        return [_storable(item) for item in value]
    if isinstance(value, dict):
        return {storable(key): _storable(item) for key, item in value.items()}
    return value


def _message(row: Any) -> Message:
    content = _decode_content(row.content)
    set_name = row.configuration_set or None
    return Message(
        id=row.id,
        accepted_at=row.accepted_at,
        source=content.source,
        recipients=_decode_recipients(row.recipients),
        identity=Identity(row.identity_id, row.identity) if row.identity_id else None,
        configuration_set=set_name,
        source_ip=content.source_ip,
        headers=content.headers,
        tags=content.tags,
        reason=Reason(row.reason) if row.reason else None,
        links=tuple(Link(*link) for link in content.links),
        warnings=content.warnings,
        state=_STATES[row.state],
    )
