"""Who is not to be tracked: addresses and domains, and the emails that they have got already.

It is asked about each email of a set that tracks, once for all that arrive meanwhile. Redirects,
which know no addresses, are told the ids of emails (`clicktrail.model.Orders`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import BindParameter, Connection, bindparam, delete, select, update

from clicktrail.base.batch import Batcher
from clicktrail.base.ids import now_us
from clicktrail.base.text.digest import digest_of
from clicktrail.errors import NotFound
from clicktrail.model import Reason
from clicktrail.rules.wishes import checked_entry, entries_of
from clicktrail.store.configuration_rows import bump
from clicktrail.store.database.bulk import BulkInsert
from clicktrail.store.database.core import Database, storable
from clicktrail.store.mail.kept.contents import recipients_of
from clicktrail.store.mail.tables import message_contents, messages
from clicktrail.store.orders import Part, renew
from clicktrail.store.tables import do_not_track as table
from clicktrail.store.tables import untracked_messages

_AT_ONCE = 500
"""Values that one statement asks for."""
_BATCH = 500
"""Emails that are looked through at once."""

_MAY_TELL = ("", Reason.NO_LINKS.value, Reason.OFF.value)
"""Why emails without tracking links may have the image that tells of opens."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An address or a domain, as `checked_entry` spells it."""

    name: str
    made_at: int
    made_by: str
    """Who put it there."""


@dataclass(slots=True)
class _Question:
    emails: Mapping[str, Sequence[str]]
    answer: set[str] = field(default_factory=set)


class DoNotTrack:
    """Reads and changes the list. Every method may raise `StoreUnavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._asking = Batcher(self._ask)

    async def has(self, address: str) -> bool:
        """Whether an address is on the list, or its domain."""
        return bool(await self.among({"": (address,)}))

    async def among(self, emails: Mapping[str, Sequence[str]]) -> set[str]:
        """Return those of some emails, by id, that nobody may track.

        They are given with who reads them: all of these are on the list. An email of which nobody
        is known any more (no readers) is found where it was while that was known.
        """
        question = _Question(emails)
        await self._asking.put(question)
        return question.answer

    async def add(self, entries: Iterable[str], by: str) -> list[str]:
        """Put addresses and domains on the list, all or none; return them as they are kept.

        Raises `InvalidInput`. Emails that they have got already are looked for by publishers.
        """
        names = list(dict.fromkeys(map(checked_entry, entries)))
        now, who = now_us(), storable(by)
        rows = [(digest_of(name), name, now, who, 0) for name in names]

        def work(connection: Connection) -> None:
            _PUT.run(connection, rows)
            bump(connection)

        await self._database.write(work)
        return names

    async def remove(self, entry: str) -> None:
        """Take an address or a domain off the list. Raises `NotFound`, `InvalidInput`."""
        digest = digest_of(checked_entry(entry))

        def work(connection: Connection) -> None:
            if not connection.execute(delete(table).where(table.c.digest == digest)).rowcount:
                raise NotFound(f"{entry[:320]!a} is not on the list of who is not tracked")
            theirs = untracked_messages.c.entry == digest
            connection.execute(delete(untracked_messages).where(theirs))
            bump(connection)
            renew(connection, Part.UNTRACKED)

        await self._database.write(work)

    async def page(self, after: str = "", limit: int = 1000) -> list[Entry]:
        """Return up to ``limit`` entries after one, in order; not those of erased persons."""
        query = (
            select(table).where(table.c.name > storable(after)).order_by(table.c.name).limit(limit)
        )
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return [Entry(row.name, row.made_at, row.made_by) for row in rows]

    async def look_for_emails(self) -> bool:
        """Look through all emails for those that new entries have got; return whether any is new.

        It takes as long as there are emails; a crash lets it begin anew.
        """
        query = select(table.c.digest).where(table.c.searched == 0)
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        new = {bytes(row.digest) for row in rows}
        if not new:
            return False
        last = ""
        while last := await self._look_through(last, new):
            pass

        def done(connection: Connection) -> None:
            for start in range(0, len(new), _AT_ONCE):
                some = sorted(new)[start : start + _AT_ONCE]
                statement = update(table).where(table.c.digest.in_(some)).values(searched=1)
                connection.execute(statement)
            renew(connection, Part.UNTRACKED)

        await self._database.write(done)
        return True

    async def _look_through(self, after: str, wanted: set[bytes]) -> str:
        """Look through the next emails, and keep those that are wanted; return the last one."""
        query = (
            select(message_contents.c.message_id, message_contents.c.recipients)
            .join(messages, messages.c.id == message_contents.c.message_id)
            .where(message_contents.c.message_id > after, messages.c.reason.in_(_MAY_TELL))
            .order_by(message_contents.c.message_id)
            .limit(_BATCH)
        )
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        # An archive's copy does not count: the first is the reader (`rules.matching`).
        found = [
            (row.message_id, digest)
            for row in rows
            for address in (recipients_of(row.message_id, row.recipients) or ())[:1]
            for digest in _digests_of(address)
            if digest in wanted
        ]
        if found:
            await self._database.write(lambda connection: _KEEP.run(connection, found))
        return rows[-1].message_id if rows else ""

    async def _ask(self, batch: list[_Question]) -> None:
        by_digest: dict[bytes, list[tuple[_Question, str]]] = {}
        unknown: dict[str, list[_Question]] = {}
        for question in batch:
            for message_id, readers in question.emails.items():
                for address in readers[:1]:
                    for digest in _digests_of(address):
                        by_digest.setdefault(digest, []).append((question, message_id))
                if not readers:
                    unknown.setdefault(message_id, []).append(question)
        digests, ids = sorted(by_digest), sorted(unknown)

        def work(connection: Connection) -> tuple[list[bytes], list[str]]:
            rows: list[Any] = []
            for start in range(0, len(digests), _AT_ONCE):
                rows += connection.execute(_AMONG, {"some": digests[start : start + _AT_ONCE]})
            known: list[str] = []
            for start in range(0, len(ids), _AT_ONCE):
                known += connection.scalars(_KNOWN, {"some": ids[start : start + _AT_ONCE]})
            return [bytes(row.digest) for row in rows], known

        there, known = await self._database.read(work)
        for digest in there:
            for question, message_id in by_digest[digest]:
                question.answer.add(message_id)
        for message_id in known:
            for question in unknown[message_id]:
                question.answer.add(message_id)


def erase_entry(connection: Connection, address: str) -> int:
    """Leave nothing readable of an address on the list, within a transaction; return how many.

    The entry stays: it is the person's own wish.
    """
    digest = _digests_of(address)[0]
    statement = update(table).where(table.c.digest == digest, table.c.name != "")
    return connection.execute(statement.values(name="")).rowcount


def _digests_of(address: str) -> list[bytes]:
    return [digest_of(entry) for entry in entries_of(address)]


_PUT = BulkInsert(
    table,
    finish=lambda statement: statement.on_conflict_do_update(
        index_elements=["digest"], set_={"name": statement.excluded.name}
    ),
)
_KEEP = BulkInsert(untracked_messages, finish=lambda statement: statement.on_conflict_do_nothing())
_some: BindParameter[Sequence[Any]] = bindparam("some", expanding=True)
_AMONG = select(table.c.digest).where(table.c.digest.in_(_some))
_KNOWN = select(untracked_messages.c.message_id).where(untracked_messages.c.message_id.in_(_some))
