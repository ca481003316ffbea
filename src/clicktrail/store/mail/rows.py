"""Emails as rows: how they are written, and what is read of them again."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BindParameter, Connection, bindparam, select

from clicktrail.model import Identity, Link, Message, MessageState, Reason, provider_of
from clicktrail.store.database.bulk import Row
from clicktrail.store.mail.kept.contents import (
    Content,
    content_of,
    packed,
    recipients_of,
    tell_damage,
)
from clicktrail.store.mail.kept.shelf import Shelf
from clicktrail.store.mail.tables import message_contents, messages

_STATES = (MessageState.PENDING, MessageState.SENT, MessageState.REFUSED, MessageState.UNKNOWN)
NUMBER = {state: number for number, state in enumerate(_STATES)}


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


def messages_of(connection: Connection, ids: Sequence[str]) -> list[Message]:
    """Return those of up to 500 emails whose contents are there, within a transaction."""
    rows = connection.execute(_SELECT_MESSAGES, {"ids": list(ids)}).all()
    return [message for row in rows if (message := message_of(connection, row)) is not None]


def message_row(message: Message) -> Row:
    """Return an email's row of ``messages``."""
    origin = Origin.of(message)
    return (
        message.id,
        message.accepted_at,
        NUMBER[message.state],
        origin.configuration_set,
        message.identity.id if message.identity else "",
        origin.identity,
        origin.provider,
        message.reason.value if message.reason else "",
    )


def content_row(message: Message, shelf: Shelf) -> Row:
    """Return its row of ``message_contents``."""
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


def links_of(content: Content) -> tuple[Link, ...]:
    """Return the links that were tracked."""
    return tuple(Link(*link) for link in content.links)


def message_of(connection: Connection, row: Any) -> Message | None:
    """Return the email of a row of both tables; ``None`` where its contents are damaged."""
    content = content_of(connection, row.id, row.content)
    recipients = recipients_of(row.id, row.recipients)
    if content is None or recipients is None:
        return None
    try:
        reason, state = Reason(row.reason) if row.reason else None, state_of(row.state)
    except (LookupError, ValueError):
        tell_damage(row.id)
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
        reason=reason,
        links=links_of(content),
        warnings=content.warnings,
        state=state,
    )


_ids: BindParameter[list[str]] = bindparam("ids", expanding=True)
_SELECT_MESSAGES = (
    select(messages, message_contents.c.recipients, message_contents.c.content)
    .join(message_contents, message_contents.c.message_id == messages.c.id)
    .where(messages.c.id.in_(_ids))
)
