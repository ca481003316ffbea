"""What may be kept of an email whose recipient was erased, also of clicks that come later.

An erased email is marked. Whatever is recorded of it after that, in the same transaction in which
the mark is looked for, is reduced: neither a click that was on its way nor one of a year later
brings the person back. It is counted, and told with nothing but the email's id.
"""

from collections.abc import Iterable
from typing import Any

import msgspec
from sqlalchemy import Connection, delete, select

from clicktrail.store.clicks.judging.crowds import leave_crowds
from clicktrail.store.clicks.tables import evidence
from clicktrail.store.database.bulk import BulkInsert, positional
from clicktrail.store.database.turns import ERASING, share_turn, take_turn
from clicktrail.store.mail.tables import erased_messages
from clicktrail.store.people.person import ERASED


class EventMail(msgspec.Struct):
    """The email that an event tells of, as far as that tells whose it is."""

    messageId: str = ""
    destination: list[str] = []


class _Event(msgspec.Struct):
    mail: EventMail = msgspec.field(default_factory=EventMail)


_decode_event = msgspec.json.Decoder(_Event).decode

_ANY = select(erased_messages.c.message_id).limit(1)
_MARK = BulkInsert(erased_messages, finish=lambda statement: statement.on_conflict_do_nothing())
# Few texts, so that the driver finds the statement prepared: all clicks pass here.
_SIZES = (8, 64, 512)
_AMONG = "SELECT message_id FROM erased_messages WHERE message_id IN ({})"


def mark_erased(connection: Connection, message_ids: Iterable[str]) -> None:
    """Mark emails, within a transaction: when all that is being recorded of them is there."""
    if not (marked := sorted(set(message_ids))):
        return
    take_turn(connection, ERASING)
    _MARK.run(connection, [(message_id,) for message_id in marked])
    for start in range(0, len(marked), _SIZES[-1]):
        some = marked[start : start + _SIZES[-1]]
        leave_crowds(connection, some)
        connection.execute(delete(evidence).where(evidence.c.message_id.in_(some)))


def erased_among(connection: Connection, message_ids: Iterable[str]) -> set[str]:
    """Return which of these emails are marked; none is until the transaction ends."""
    share_turn(connection, ERASING)
    if connection.scalar(_ANY) is None:  # as in most installations at most times
        return set()
    ids = list(set(message_ids))
    found: set[str] = set()
    _, mark = positional(connection.dialect)
    for start in range(0, len(ids), _SIZES[-1]):
        some = ids[start : start + _SIZES[-1]]
        size = next(size for size in _SIZES if size >= len(some))
        some += some[:1] * (size - len(some))
        query = _AMONG.format(", ".join([mark] * size))
        found.update(row[0] for row in connection.exec_driver_sql(query, tuple(some)))
    return found


def mail_of(payload: bytes) -> EventMail:
    """Return the email of an event; an empty one where it is no event of ours."""
    try:
        return _decode_event(payload).mail
    except msgspec.MsgspecError:  # none of ours
        return EventMail()


def reduced_event(payload: bytes) -> bytes:
    """Return an event with nothing of a person: ids, times and verdict stay."""
    event: dict[str, Any] = msgspec.json.decode(payload)
    mail = event.get("mail", {})
    event["mail"] = {name: mail[name] for name in ("messageId",) if name in mail}
    if "open" in event:
        event["open"] |= {"ipAddress": "", "userAgent": ""}
    if "click" in event:
        event["click"] |= {
            "ipAddress": "", "userAgent": "", "url": ERASED, "link": ERASED, "linkTags": {},
        }  # fmt: skip
        event["click"].pop("destination", None)
    return msgspec.json.encode(event)
