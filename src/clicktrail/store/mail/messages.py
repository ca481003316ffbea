"""Accepted emails: written before they are sent on, marked when the smarthost has answered.

Both writes are shared by all emails that arrive while the last one ran (`base.batch`). The
contents of an email, its links among them, are one MessagePack value: thirty links do not make
thirty rows.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial

from sqlalchemy import BindParameter, Connection, bindparam, delete, select

from clicktrail.base.batch import Batcher, Outcomes
from clicktrail.errors import NotFound
from clicktrail.model import Message, MessageState
from clicktrail.store.clicks.tables import clicked_links
from clicktrail.store.database.bulk import BulkInsert
from clicktrail.store.database.core import Database, storable
from clicktrail.store.database.older import delete_older, older
from clicktrail.store.finding.damage import write_with_index
from clicktrail.store.finding.trigrams import forget_texts
from clicktrail.store.mail.finishing import Finished, write_finished
from clicktrail.store.mail.html import pack_html
from clicktrail.store.mail.kept.books import forget_books, unusable_books
from clicktrail.store.mail.kept.shelf import Shelf
from clicktrail.store.mail.rows import Origin, content_row, message_row, messages_of
from clicktrail.store.mail.tables import message_contents, message_html, messages, unindexed
from clicktrail.store.mail.underway import Underway

_DAY = 86_400_000_000
"""So far the clocks of nodes may be apart for emails to keep what they are read by."""


class MessageStore:
    """Keeps accepted emails. Every method may raise `StoreUnavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._writing = Batcher(self._write, limit=500)
        self._underway = Underway()
        self._shelf = Shelf(database)

    async def add(self, message: Message) -> None:
        """Keep an email; it is durable on return."""
        await self._writing.put(message)

    async def finish(
        self, message_id: str, state: MessageState, recipients: Sequence[str], at: int
    ) -> None:
        """Set how an email ended and which recipients the smarthost took; durable on return.

        Those of an `UNKNOWN` email are they that it may have taken.

        A `SENT` email is counted as ``Sent``, once for each recipient, in the day of ``at``; where
        its configuration set has an enabled destination for ``SEND``, its Send event is made
        later. Only the first call for an email does anything.
        """
        await self._writing.put(Finished(message_id, state, tuple(recipients), at))

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
        await self._writing.drain()
        await self._shelf.close()

    async def _write(self, batch: list[Message | Finished]) -> Outcomes | None:
        """Write emails that came in and how others ended, in one transaction.

        Where that fails, each of both is tried alone: what is wrong with one holds up no other.
        """
        new = [each for each in batch if isinstance(each, Message)]
        finished = [each for each in batch if isinstance(each, Finished)]
        finish = self._finishing(finished)
        try:
            if new:
                await self._add(new, finish)
            else:
                await self._database.write(finish)
        except Exception:  # whatever is wrong
            if not (new and finished):
                raise
            alone = self._add(new, lambda _: None), self._database.write(finish)
            added, ended = await asyncio.gather(*map(_raised_by, alone))
            return [ended if isinstance(each, Finished) else added for each in batch]
        return None

    async def _add(self, batch: Sequence[Message], finish: Callable[[Connection], None]) -> None:
        await self._shelf.look()
        rows = [message_row(message) for message in batch]
        contents = [content_row(message, self._shelf) for message in batch]
        with_html = [each for each in batch if each.html]
        packed = await asyncio.to_thread(_packed, with_html) if with_html else []

        def work(connection: Connection) -> None:
            _ADD_MESSAGES.run(connection, rows)
            _ADD_CONTENTS.run(connection, contents)
            _ADD_HTML.run(connection, packed)
            finish(connection)

        await self._database.write(work)
        for message, (_, _, content) in zip(batch, contents, strict=True):
            if not message.reason:
                self._underway.add(message, content)
        self._shelf.learn()

    def _finishing(self, batch: Sequence[Finished]) -> Callable[[Connection], None]:
        """Return what writes how emails ended."""
        if not batch:
            return lambda _: None
        first = {each.message_id: each for each in reversed(batch)}
        known = {id_: what for id_ in first if (what := self._underway.take(id_))}
        return partial(write_finished, first=first, known=known)

    async def unusable_dictionaries(self) -> tuple[int, int]:
        """Return how many of those that emails are kept with are damaged, and how many are gone.

        Raises `StoreUnavailable`.
        """
        return await unusable_books(self._database)


async def _raised_by(work: Awaitable[None]) -> Exception | None:
    try:
        await work
    except Exception as error:
        return error
    return None


def _packed(batch: list[Message]) -> list[tuple[str, bytes]]:
    return [(each.id, packed) for each in batch if (packed := pack_html(each.html))]


def _forget(connection: Connection, before: int, limit: int) -> int:
    key = message_contents.c.message_id
    old = list(connection.scalars(older(key, before, limit)))
    forget_texts(connection, messages_of(connection, old))
    for column in (key, message_html.c.message_id, unindexed.c.message_id):
        connection.execute(delete(column.table).where(column.in_(old)))
    if len(old) < limit:  # nothing older is there
        forget_books(connection, before - _DAY)
    return len(old)


_ADD_MESSAGES = BulkInsert(messages)
_ADD_CONTENTS = BulkInsert(message_contents)
_ADD_HTML = BulkInsert(message_html)
_ids: BindParameter[list[str]] = bindparam("ids", expanding=True)
_SELECT_ORIGINS = select(
    messages.c.id, messages.c.configuration_set, messages.c.identity, messages.c.provider
).where(messages.c.id.in_(_ids))


def _chunks(ids: Iterable[str]) -> Iterable[list[str]]:
    wanted = [storable(id_) for id_ in dict.fromkeys(ids)]
    for start in range(0, len(wanted), 500):
        yield wanted[start : start + 500]
