"""Versions of mailings: their emails told apart by what their links lead to."""

from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Connection, case, select
from sqlalchemy.sql.dml import Insert

from clicktrail.model import Message, MessageState
from clicktrail.store.database.bulk import BulkInsert, Row
from clicktrail.store.mail.grouping import MailingKey
from clicktrail.store.mail.tables import mailing_versions

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql, sqlite

MOST_VERSIONS = 100
"""So many versions of a mailing are known; of others, only that they are some."""


def add_versions(
    connection: Connection, emails: Iterable[tuple[Message, list[MailingKey], bytes]]
) -> None:
    """Count emails by mailing and version, within a transaction whose turn it is to index.

    Only those that were sent.
    """
    rows: dict[tuple[bytes, bytes], Row] = {}
    for message, keys, version in emails:
        for key in keys if message.state is MessageState.SENT else ():
            place = (key.digest, version)
            sent = rows[place][2] + 1 if place in rows else 1
            rows[place] = (*place, sent, message.accepted_at, message.id)
    at = mailing_versions.c
    known: defaultdict[bytes, set[bytes]] = defaultdict(set)
    there = select(at.digest, at.version).where(at.digest.in_({digest for digest, _ in rows}))
    for digest, version in connection.execute(there) if rows else ():
        known[digest].add(version)
    kept = []
    for digest, version in sorted(rows):
        if version in known[digest] or len(known[digest]) < MOST_VERSIONS:
            known[digest].add(version)
            kept.append(rows[digest, version])
    _ADD.run(connection, kept)


def _joining(statement: "sqlite.Insert | postgresql.Insert") -> Insert:
    new, at = statement.excluded, mailing_versions.c
    is_newer = new.last_at >= at.last_at
    joined: dict[str, ColumnElement[Any]] = {"sent": at.sent + new.sent}
    for name in ("last_at", "message_id"):
        joined[name] = case((is_newer, new[name]), else_=at[name])
    return statement.on_conflict_do_update(index_elements=[at.digest, at.version], set_=joined)


_ADD = BulkInsert(mailing_versions, finish=_joining)
