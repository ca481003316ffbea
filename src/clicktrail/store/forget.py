"""Erases a person: an address, and all that was kept of what is behind it.

Emails to this person alone lose their contents, and their clicks are deleted. Wherever else the
address stands, the text that holds it is replaced. What was counted stays: no person is in it.
"""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import unquote

import msgspec
from sqlalchemy import Column, Connection, Table, bindparam, delete, select, update

from clicktrail.errors import InvalidInput
from clicktrail.store.configuration import bump
from clicktrail.store.database import Database
from clicktrail.store.schema import clicks, link_counters, message_contents, outbox, stream_events

ERASED = "[erased]"
BATCH = 500
_unpack = msgspec.msgpack.decode
_pack = msgspec.msgpack.encode


@dataclass(slots=True)
class Forgotten:
    """How much was erased of a person."""

    messages: int = 0
    """Emails whose contents were deleted: the person was their only recipient."""
    messages_changed: int = 0
    """Emails to others too in which the address was replaced."""
    clicks: int = 0
    links: int = 0
    """Counted URLs in which the address was replaced."""
    events: int = 0
    """Events of built-in streams."""
    notifications: int = 0
    """Notifications that wait, and dead letters."""

    def __bool__(self) -> bool:
        return any(getattr(self, name) for name in self.__slots__)


class _Person:
    """Finds an address in texts, in any letter case, also as it is written in a URL."""

    def __init__(self, address: str) -> None:
        self._address = address.casefold()
        # Not the end of another name, nor the beginning of another domain.
        self._pattern = re.compile(rf"(?<![\w.+-]){re.escape(self._address)}(?!\.?[\w-])")

    def is_in(self, text: str) -> bool:
        """Whether a text holds the address."""
        small = text.casefold()
        if self._address in small and self._pattern.search(small):
            return True
        return "%" in text and self._pattern.search(unquote(text).casefold()) is not None

    def is_one(self, address: str) -> bool:
        """Whether an address is this one."""
        return address.casefold() == self._address

    def erased(self, value: Any) -> Any:
        """Return a value in which each text that holds the address is replaced."""
        if isinstance(value, str):
            return ERASED if self.is_in(value) else value
        if isinstance(value, list | tuple):
            return [self.erased(item) for item in value]
        if isinstance(value, dict):
            return {self.erased(key): self.erased(item) for key, item in value.items()}
        return value


async def forget_person(database: Database, address: str) -> Forgotten:
    """Erase a person. Raises `InvalidInput` for what is no address, and `StoreUnavailable`.

    May be called while the service runs. What it deletes is overwritten in the database's file.
    """
    address = address.strip()
    if "@" not in address.strip("@") or any(c.isspace() for c in address):
        raise InvalidInput(f"{address!r} is no email address: expected name@example.com")
    person = _Person(address)
    done = Forgotten()
    await database.overwrite_deleted()
    theirs = await _forget_messages(database, person, done)
    await database.write(bump)  # a publisher may remember the emails
    await _forget_clicks(database, person, theirs, done)
    await _forget_urls(database, person, done)
    done.events = await _forget_events(database, stream_events.c.position, person, theirs)
    done.notifications = await _forget_events(database, outbox.c.id, person, theirs)
    await database.flush()
    return done


async def _forget_messages(database: Database, person: _Person, done: Forgotten) -> set[str]:
    """Erase the person from contents; return the ids of emails to the person alone."""
    theirs: set[str] = set()
    columns = message_contents.c
    async for rows in _batches(database, columns.message_id, columns.recipients, columns.content):
        gone: list[str] = []
        changed: list[dict[str, Any]] = []
        for row in rows:
            recipients = _unpack(row.recipients)
            others = [each for each in recipients if not person.is_one(each)]
            if recipients and not others:
                gone.append(row.message_id)
                continue
            content = _unpack(row.content)
            erased = person.erased(content)
            if len(others) < len(recipients) or erased != content:
                values = {"to": _pack(others), "new": _pack(erased)}
                changed.append({"key": row.message_id, **values})
        if gone or changed:
            await database.write(partial(_write_contents, gone, changed))
        theirs.update(gone)
        done.messages += len(gone)
        done.messages_changed += len(changed)
    return theirs


def _write_contents(gone: list[str], changed: list[dict[str, Any]], connection: Connection) -> None:
    if gone:
        connection.execute(delete(message_contents).where(message_contents.c.message_id.in_(gone)))
    if changed:
        connection.execute(_CHANGE_CONTENTS, changed)


async def _forget_clicks(
    database: Database, person: _Person, theirs: set[str], done: Forgotten
) -> None:
    async for rows in _batches(database, clicks.c.event_id, clicks.c.message_id, clicks.c.url):
        gone = [r.event_id for r in rows if r.message_id in theirs or person.is_in(r.url)]
        if gone:
            statement = delete(clicks).where(clicks.c.event_id.in_(gone))
            done.clicks += await database.write(partial(_run, statement))


async def _forget_urls(database: Database, person: _Person, done: Forgotten) -> None:
    """Replace counted URLs: their numbers stay."""
    query = select(link_counters.c.digest, link_counters.c.url)
    rows = await database.read(lambda connection: connection.execute(query).all())
    digests = list({row.digest for row in rows if person.is_in(row.url)})
    for start in range(0, len(digests), BATCH):
        some = link_counters.c.digest.in_(digests[start : start + BATCH])
        await database.write(partial(_run, update(link_counters).where(some).values(url=ERASED)))
    done.links = len(digests)


async def _forget_events(
    database: Database, key: Column[Any], person: _Person, theirs: set[str]
) -> int:
    """Erase the person from events; return of how many."""
    table = key.table
    assert isinstance(table, Table)
    change = update(table).where(key == bindparam("key")).values(payload=bindparam("new"))
    count = 0
    async for rows in _batches(database, key, table.c.payload):
        changed = [
            {"key": row[0], "new": payload}
            for row in rows
            if (payload := _erased_event(row.payload, person, theirs)) is not None
        ]
        if changed:
            await database.write(partial(_run_many, change, changed))
            count += len(changed)
    return count


def _erased_event(payload: bytes, person: _Person, theirs: set[str]) -> bytes | None:
    """Return an event without the person; ``None`` where the person is not in it."""
    event = msgspec.json.decode(payload)
    mail = event.get("mail", {})
    is_theirs = mail.get("messageId") in theirs or any(
        person.is_one(each) for each in mail.get("destination", ())
    )
    erased = person.erased(event)
    if is_theirs and "click" in erased:
        erased["click"] |= {"ipAddress": "", "userAgent": ""}
    return None if erased == event else msgspec.json.encode(erased)


def _run(statement: Any, connection: Connection) -> int:
    return int(connection.execute(statement).rowcount)


def _run_many(statement: Any, values: list[dict[str, Any]], connection: Connection) -> None:
    connection.execute(statement, values)


def _rows(query: Any, connection: Connection) -> list[Any]:
    return list(connection.execute(query))


async def _batches(
    database: Database, key: Column[Any], *columns: Column[Any]
) -> AsyncIterator[list[Any]]:
    """Yield all rows of a table in the order of a column, a transaction for each batch."""
    query = select(key, *columns).order_by(key).limit(BATCH)
    last: Any = None
    while True:
        some = query if last is None else query.where(key > last)
        rows = await database.read(partial(_rows, some))
        if rows:
            yield rows
        if len(rows) < BATCH:
            return
        last = rows[-1][0]


_CHANGE_CONTENTS = (
    update(message_contents)
    .where(message_contents.c.message_id == bindparam("key"))
    .values(recipients=bindparam("to"), content=bindparam("new"))
)
