"""Finds emails. They are indexed by the publisher, soon after they were sent: whoever hands one in
does not wait for it. Tracked ones are grouped into mailings in the same transaction.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Connection, case, delete, exists, func, select
from sqlalchemy.sql.dml import Insert

from clicktrail.model import Message, MessageState
from clicktrail.store.clicks.tables import clicked_links
from clicktrail.store.database.bulk import BulkInsert, Row
from clicktrail.store.database.core import Database, storable
from clicktrail.store.database.turns import ERASING, INDEXING, share_turn, try_turn
from clicktrail.store.finding.damage import (
    IndexDamaged,
    never,
    on_index,
    remove_some,
    repair,
    write_with_index,
)
from clicktrail.store.finding.texts import Clicked, Query, text_of
from clicktrail.store.finding.trigrams import (
    Window,
    add_texts,
    compact,
    is_whole,
    try_index,
    window,
)
from clicktrail.store.mail.browse import MessageRow, message_row
from clicktrail.store.mail.grouping import MailingKey, mailings_of
from clicktrail.store.mail.pages import version_of
from clicktrail.store.mail.rows import messages_of
from clicktrail.store.mail.tables import mailings, messages, unindexed
from clicktrail.store.mail.versions import add_versions

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql, sqlite

LOOKED_AT = 20_000
"""Emails that one search looks at, the newest that the database's indexes give."""
READ = 250
"""Emails whose contents one search reads to see what no index knows."""
_WINDOW = 1000


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found, the newest first."""

    rows: list[MessageRow]
    older: str
    """Before which the next search looks; ``""`` where there is nothing older."""
    whole: bool = True
    """Whether there is an index of what was looked for; else the newest emails are read."""
    exact: bool = False
    """Whether something was looked for as a whole alone (`Search.find`)."""
    partly: bool = False
    """Whether the index is being made anew: older emails are not found yet."""
    known: Mapping[str, Message] = field(default_factory=dict)
    """The emails themselves, by id, where it was needed to read them."""


class Search:
    """Finds emails and indexes them. Every method may raise `StoreUnavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(
        self, query: Query, limit: int, before: str | None = None, *, exact: bool = False
    ) -> Found:
        """Return up to ``limit`` emails; with ``before``, those older (`Found.older`).

        ``exact``: a whole address, ``@domain`` or Message-ID of any email is not looked for as a
        part of longer ones.

        There may be less of them and older ones all the same: it looks at so many emails and no
        more (`LOOKED_AT`, `READ`), and the next search goes on behind these.
        """
        at = storable(before) if before else None

        def work(connection: Connection) -> Found:
            asked = with_wholes(connection, query) if exact else query
            found = find(connection, asked, limit, at)
            partly = bool(query.indexed() or query.facets()) and _is_made_anew(connection)
            return replace(found, exact=asked is not query, partly=partly)

        return await self._database.read(work)

    async def index(self, limit: int) -> int:
        """Index up to ``limit`` emails that are not yet, the newest; return how many.

        None while somebody else does.
        """
        key = unindexed.c.message_id
        queued = select(key).order_by(key.desc()).limit(limit)
        ids = list(await self._database.read(lambda c: c.scalars(queued).all()))
        if not ids:
            return 0
        read = await self._database.read(lambda connection: messages_of(connection, ids))
        # Headers are outside bytes: no transaction and no event loop waits for what is in them.
        found = await asyncio.to_thread(
            lambda: {message.id: _Indexed.of(message) for message in read}
        )
        return await write_with_index(self._database, lambda c: _index(c, ids, found))

    async def compact(self, pause: float = 0.0, ended: Callable[[], bool] = never) -> None:
        """Leave nothing in the index of what was deleted; pause so many seconds between writes.

        Between two of them it ends where ``ended`` says so; the next one does the rest.
        """
        await compact(self._database, pause, ended)

    async def remove_former(self) -> bool:
        """Remove some of an index that was put aside; return whether there may be more."""
        return await remove_some(self._database)

    async def is_writable(self) -> bool:
        """Whether the index takes what it is given, as far as one email shows."""
        try:
            await self._database.write(try_index)
        except IndexDamaged:
            return False
        return True

    async def repair(self) -> None:
        """Begin the index anew, whatever is damaged of it; who indexes fills it."""
        await repair(self._database)


def _is_made_anew(connection: Connection) -> bool:
    """Whether the oldest email that waits, which comes last, was in an index of before."""
    oldest = select(unindexed.c.grouped).order_by(unindexed.c.message_id).limit(1)
    return bool(connection.scalar(oldest))


def with_wholes(connection: Connection, query: Query) -> Query:
    """Return the same query with wholes for those of its pieces that are wholes of any email."""
    found = [p for p in query.pieces if "@" in p and _is_whole_of_any(connection, p)]
    if not found:
        return query
    pieces = tuple(piece for piece in query.pieces if piece not in found)
    return replace(query, pieces=pieces, wholes=(*query.wholes, *found))


def _is_whole_of_any(connection: Connection, piece: str) -> bool:
    with on_index():
        one = window(connection, Query(wholes=(piece,)), None, 1).found
        return connection.execute(one).first() is not None


def find(connection: Connection, query: Query, limit: int, before: str | None) -> Found:
    """Do what `Search.find` does, within a transaction."""
    with on_index() if query.indexed() or query.facets() else nullcontext():
        return _find(connection, query, limit, before)


def _find(connection: Connection, query: Query, limit: int, before: str | None) -> Found:
    whole = not query.indexed() or is_whole(connection)
    rows: list[MessageRow] = []
    known: dict[str, Message] = {}
    looked_at = read = 0
    at = before
    size = min(_WINDOW, 2 * (limit + 1))  # mostly enough, and a large window takes its time
    while looked_at < LOOKED_AT and read < READ:
        looked = window(connection, query, at, size)
        wanted = limit + 1 - len(rows)
        some = connection.execute(_shown(looked, query).limit(wanted)).all()
        found = _meant(connection, query, [row.id for row in some])
        known |= found or {}
        read += len(some)
        for row in some:
            if found is None or row.id in found:
                if len(rows) == limit:
                    return Found(_sorted(rows), str(at), whole, known=known)
                rows.append(message_row(row))
            at = str(row.at)
        if len(some) == wanted:
            looked_at += wanted
            continue
        ends = looked.read.subquery("looked")
        counted = select(func.count(), func.min(ends.c.at)).select_from(ends)
        number, last = connection.execute(counted).one()
        if number < size:
            return Found(_sorted(rows), "", whole, known=known)
        at = str(last)
        looked_at += number
        size = _WINDOW
    return Found(_sorted(rows), str(at), whole, known=known)


def _sorted(rows: list[MessageRow]) -> list[MessageRow]:
    return sorted(rows, key=lambda row: row.id, reverse=True)


def _meant(connection: Connection, query: Query, ids: list[str]) -> dict[str, Message] | None:
    """Return those of some emails that have all that is looked for; ``None`` where all do."""
    if not query.pieces and not query.wholes and not query.mailing:
        return None
    return {each.id: each for each in messages_of(connection, ids) if query.matches(each)}


def _shown(looked: Window, query: Query) -> Any:
    found = looked.found.subquery("found")
    statement = select(messages, found.c.at).join(found, found.c.id == messages.c.id)
    for column, value in (
        (messages.c.configuration_set, query.configuration_set),
        (messages.c.identity, query.identity),
        (messages.c.reason, query.reason),
    ):
        if value:
            statement = statement.where(column == storable(value))
    if query.clicked is Clicked.UNTRACKED:
        statement = statement.where(messages.c.reason != "")
    elif query.clicked:
        is_clicked = exists().where(
            clicked_links.c.message_id == messages.c.id, clicked_links.c.last_at >= query.since
        )
        one = is_clicked if query.clicked is Clicked.YES else ~is_clicked
        statement = statement.where(messages.c.reason == "", one)
    return statement.order_by(found.c.at.desc())


@dataclass(frozen=True, slots=True)
class _Indexed:
    """An email, and what it is found by and grouped by."""

    message: Message
    text: str
    mailings: list[MailingKey]
    version: bytes

    @classmethod
    def of(cls, message: Message) -> "_Indexed":
        groups, version = mailings_of(message), version_of(message.links)
        return cls(message, text_of(message), groups, version)


def _index(connection: Connection, ids: list[str], read: Mapping[str, _Indexed]) -> int:
    if not try_turn(connection, INDEXING):
        return 0
    share_turn(connection, ERASING)
    taking = delete(unindexed).where(unindexed.c.message_id.in_(ids))
    taken = connection.execute(taking.returning(unindexed.c.message_id, unindexed.c.grouped)).all()
    grouped = {row.message_id: row.grouped for row in taken}
    found = []
    for message in sorted(messages_of(connection, list(grouped)), key=lambda message: message.id):
        known = read.get(message.id)  # somebody may have been erased from it since
        found.append(known if known and known.message == message else _Indexed.of(message))
    add_texts(connection, [(each.message, each.text) for each in found])
    _group(connection, [each for each in found if not grouped[each.message.id]])
    return len(ids)


def _group(connection: Connection, found: list[_Indexed]) -> None:
    rows: dict[bytes, Row] = {}
    for each in found:
        message = each.message
        for key in each.mailings if message.state is MessageState.SENT else ():
            made = rows.get(key.digest)
            sent, first = (made[4] + 1, made[5]) if made else (1, message.accepted_at)
            rows[key.digest] = (
                key.digest, key.kind, key.name, key.configuration_set, sent,
                min(first, message.accepted_at), message.accepted_at, message.id,
            )  # fmt: skip
    _ADD_MAILINGS.run(connection, [rows[digest] for digest in sorted(rows)])
    add_versions(connection, [(e.message, e.mailings, e.version) for e in found])


def _joining(statement: "sqlite.Insert | postgresql.Insert") -> Insert:
    """Add emails to a mailing that is there, whatever the order in which they are indexed."""
    new = statement.excluded
    is_newer, is_older = new.last_at >= mailings.c.last_at, new.first_at < mailings.c.first_at
    joined: dict[str, ColumnElement[Any]] = {
        "sent": mailings.c.sent + new.sent,
        "first_at": case((is_older, new.first_at), else_=mailings.c.first_at),
    }
    for name in ("last_at", "message_id"):
        joined[name] = case((is_newer, new[name]), else_=mailings.c[name])
    return statement.on_conflict_do_update(index_elements=[mailings.c.digest], set_=joined)


_ADD_MAILINGS = BulkInsert(mailings, finish=_joining)
