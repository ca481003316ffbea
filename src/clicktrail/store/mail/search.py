"""Finds emails. They are indexed by the publisher, soon after they were sent: whoever hands one in
does not wait for it. Tracked ones are grouped into mailings in the same transaction.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Connection, case, delete, exists, func, select
from sqlalchemy.sql.dml import Insert

from clicktrail.model import Message, MessageState
from clicktrail.store.database.bulk import BulkInsert, Row
from clicktrail.store.database.core import Database, storable
from clicktrail.store.database.turns import ERASING, INDEXING, share_turn, try_turn
from clicktrail.store.mail.browse import MessageRow, message_row
from clicktrail.store.mail.messages import messages_of
from clicktrail.store.mail.tables import mailings, message_terms, messages, unindexed
from clicktrail.store.mail.terms import MailingKey, Query, add_terms, mailings_of, terms_of

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql, sqlite

_FREQUENT = 2000
"""A term is looked at no further than so many emails when the rarest is looked for."""


class Search:
    """Finds emails and indexes them. Every method may raise `StoreUnavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, query: Query, limit: int, before: str | None = None) -> list[MessageRow]:
        """Return emails, the newest first; with ``before``, those older than that id."""
        terms = query.terms()
        if not terms:
            return []

        def work(connection: Connection) -> Sequence[Any]:
            first, *others = sorted(terms, key=lambda term: _frequency(connection, term))
            at = message_terms
            statement = (
                select(messages)
                .join(at, at.c.message_id == messages.c.id)
                .where(at.c.term == first)
                .order_by(at.c.message_id.desc())
                .limit(limit)
            )
            for term in others:
                other = message_terms.alias()
                has = exists().where(other.c.term == term, other.c.message_id == at.c.message_id)
                statement = statement.where(has)
            if before:
                statement = statement.where(at.c.message_id < storable(before))
            return connection.execute(statement).all()

        return [message_row(row) for row in await self._database.read(work)]

    async def index(self, limit: int) -> int:
        """Index up to ``limit`` emails that are not yet; return how many.

        None while somebody else does.
        """
        queued = select(unindexed.c.message_id).order_by(unindexed.c.message_id).limit(limit)
        ids = list(await self._database.read(lambda c: c.scalars(queued).all()))
        if not ids:
            return 0
        read = await self._database.read(lambda connection: messages_of(connection, ids))
        # Headers are outside bytes: no transaction and no event loop waits for what is in them.
        found = await asyncio.to_thread(
            lambda: {message.id: _Found.of(message) for message in read}
        )
        return await self._database.write(lambda connection: _index(connection, ids, found))


@dataclass(frozen=True, slots=True)
class _Found:
    """An email, and what it is found by and grouped by."""

    message: Message
    terms: list[int]
    mailings: list[MailingKey]

    @classmethod
    def of(cls, message: Message) -> "_Found":
        return cls(message, terms_of(message), mailings_of(message))


def _index(connection: Connection, ids: list[str], read: Mapping[str, _Found]) -> int:
    if not try_turn(connection, INDEXING):
        return 0
    share_turn(connection, ERASING)
    taking = delete(unindexed).where(unindexed.c.message_id.in_(ids))
    ours = connection.scalars(taking.returning(unindexed.c.message_id)).all()
    found = []
    for message in sorted(messages_of(connection, ours), key=lambda message: message.id):
        known = read.get(message.id)  # somebody may have been erased from it since
        found.append(known if known and known.message == message else _Found.of(message))
    add_terms(connection, [(each.message, each.terms) for each in found])
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
    return len(ids)


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


def _frequency(connection: Connection, term: int) -> int:
    some = select(message_terms.c.term).where(message_terms.c.term == term).limit(_FREQUENT)
    return connection.scalar(select(func.count()).select_from(some.subquery())) or 0
