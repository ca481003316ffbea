"""Erases a person: an address, and all that was kept of what is behind it.

Emails to this person alone lose their contents and are marked (`erased`); their
clicks keep neither address nor User-Agent nor URL, their events nothing but ids, times and
verdict. Wherever else the address stands, the text that holds it is replaced. What was counted
stays: no person is in it.

Every transaction is short, and each leaves a state from which the next run goes on: contents go
together with the mark by which the clicks are found.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec
from sqlalchemy import (
    BindParameter,
    Column,
    Connection,
    Table,
    and_,
    bindparam,
    case,
    delete,
    select,
    update,
)

from clicktrail.store.clicks.opens import erase_opens
from clicktrail.store.clicks.statistics import (
    NAMES,
    Counts,
    Dimensions,
    add_link_counts,
    add_tag_counts,
)
from clicktrail.store.clicks.tables import (
    clicks,
    link_counters,
    mailing_counts,
    mailing_links,
    outbox,
    stream_events,
    tag_counters,
)
from clicktrail.store.configuration_rows import bump
from clicktrail.store.database.bulk import rows_of
from clicktrail.store.database.core import Database
from clicktrail.store.database.turns import ERASING, take_shard, take_turn
from clicktrail.store.finding.damage import build_anew, write_with_index
from clicktrail.store.finding.texts import text_of
from clicktrail.store.finding.trigrams import add_texts, compact, forget_texts
from clicktrail.store.mail.kept.books import Damaged, plain_of, repacked
from clicktrail.store.mail.rows import messages_of
from clicktrail.store.mail.tables import (
    erased_messages,
    mailing_versions,
    mailings,
    message_contents,
    message_html,
)
from clicktrail.store.orders import erase_changes
from clicktrail.store.people.do_not_track import erase_entry
from clicktrail.store.people.erased import mail_of, mark_erased, reduced_event
from clicktrail.store.people.mentions import erase_attributes, erase_html
from clicktrail.store.people.person import ERASED, Person
from clicktrail.store.people.suppression import erase_suppressed
from clicktrail.store.people.unsubscribed import erase_contact

BATCH = 500
"""Rows that are read at once, and the most that one transaction changes."""

_unpack = msgspec.msgpack.decode
_pack = msgspec.msgpack.encode


@dataclass(slots=True)
class Forgotten:
    """How much was erased of a person."""

    messages: int = 0
    """Emails whose contents were deleted: the person was their only recipient."""
    messages_changed: int = 0
    """Other emails in which the address was replaced."""
    clicks: int = 0
    """Clicks that lost address, User-Agent and URL."""
    opens: int = 0
    """Opens that lost address and User-Agent."""
    counters: int = 0
    """Counted URLs and tags, changes of links and attributes of others in which the address was
    replaced."""
    events: int = 0
    """Events of built-in streams."""
    notifications: int = 0
    """Notifications that wait for their delivery."""
    dead_letters: int = 0
    suppressed: int = 0
    """Entries of the suppression list that nobody can read any more; they stay in force."""
    contacts: int = 0
    """Contact lists on which nobody can read the person any more; what they have unsubscribed from
    stays in force."""
    untracked: int = 0
    """Entries of who is not tracked that nobody can read any more; they stay in force."""
    flushed: bool = True
    """Whether the database's log could be emptied: it holds earlier states for a while."""

    def __bool__(self) -> bool:
        return any(getattr(self, name) for name in self.__slots__ if name != "flushed")


async def forget_person(database: Database, address: str) -> Forgotten:
    """Erase a person. Raises `InvalidInput` for what is no address, and `StoreUnavailable`.

    May be called while the service runs, and again after it was interrupted.
    """
    return await _Forgetting(database, Person(address), address).run()


class _Forgetting:
    def __init__(self, database: Database, person: Person, address: str) -> None:
        self._database = database
        self._person = person
        self._address = address
        self._done = Forgotten()
        self._unreadable = False
        self._erased: set[str] = set()
        """All marked emails, also of persons erased before: where that was interrupted, their
        clicks are still to be dealt with."""

    async def run(self) -> Forgotten:
        await self._messages()
        self._done.messages_changed += await erase_html(self._database, self._person)
        # Publishers may remember other emails in which the address stood.
        await self._database.write(bump)
        self._erased.update(await self._database.read(_marked))
        streams = await self._events(stream_events)
        waiting = await self._events(outbox)
        await self._clicks()
        await self._opens()
        await self._counters(link_counters)
        await self._counters(tag_counters)
        await self._names(mailings, mailings.c.name)
        await self._names(mailing_links, mailing_links.c.url)
        self._done.counters += await self._database.write(partial(erase_changes, self._person))
        # What was prepared before a publisher knew, and written meanwhile.
        await self._events(stream_events, after=streams)
        await self._events(outbox, after=waiting)
        await self._lists()
        self._done.counters += await erase_attributes(self._database, self._person)
        try:
            if self._unreadable:  # what such an email was found by can be told no more
                await build_anew(self._database)
            await compact(self._database)
        finally:
            self._done.flushed = await self._database.flush()
        return self._done

    async def _messages(self) -> None:
        async for rows in rows_of(self._database, message_contents, BATCH):
            ids = await self._database.read(partial(self._concerned, rows))
            if ids:
                change = partial(self._change_contents, ids)
                gone, changed = await write_with_index(self._database, change)
                self._done.messages += gone
                self._done.messages_changed += changed

    def _concerned(self, rows: Iterable[Any], connection: Connection) -> list[str]:
        return [row.message_id for row in rows if self._is_concerned(row, connection)]

    def _is_concerned(self, row: Any, connection: Connection) -> bool:
        person = self._person
        try:
            plain = plain_of(connection, row.content)
            if not (person.may_be_in(row.recipients) or person.may_be_in(plain)):
                return False
            return any(map(person.is_one, _unpack(row.recipients))) or (
                person.erased(content := _unpack(plain)) != content
            )
        except (msgspec.MsgspecError, Damaged):  # the person may be in what cannot be read
            return True

    def _change_contents(self, ids: list[str], connection: Connection) -> tuple[int, int]:
        """Return how many emails lost their contents, and how many others were changed."""
        take_turn(connection, ERASING)  # nobody indexes meanwhile what is erased here
        gone: list[str] = []
        # Read again: the smarthost's answer may have changed the recipients.
        rows = connection.execute(_SELECT_CONTENTS, {"ids": ids}).all()
        known = messages_of(connection, [row.message_id for row in rows])
        for row in rows:
            try:
                recipients: list[str] = _unpack(row.recipients)
                plain = _pack(self._person.erased(_unpack(plain_of(connection, row.content))))
            except (msgspec.MsgspecError, Damaged):
                self._unreadable = True
                gone.append(row.message_id)
                continue
            others = [each for each in recipients if not self._person.is_one(each)]
            if recipients and not others:
                gone.append(row.message_id)
                continue
            content = repacked(connection, row.content, plain)
            values = {"key": row.message_id, "to": _pack(others), "new": content}
            connection.execute(_CHANGE_CONTENTS, values)
        # As they are kept now, and not as they were but for some places: links name people too.
        left = messages_of(connection, [m.id for m in known if m.id not in gone])
        found = forget_texts(connection, known, {message.id for message in left})
        add_texts(connection, [(m, text_of(m)) for m in left if m.id in found])
        mark_erased(connection, gone)
        connection.execute(_DELETE_CONTENTS, {"ids": gone})
        # An email to others may show the address too.
        connection.execute(_DELETE_HTML, {"ids": [row.message_id for row in rows]})
        # A mailing of one email may tell whose it was.
        alone = list(connection.scalars(_MAILINGS_ALONE, {"ids": gone})) if gone else []
        for table in (mailings, mailing_links, mailing_counts, mailing_versions):
            connection.execute(delete(table).where(table.c.digest.in_(alone)))
        return len(gone), len(rows) - len(gone)

    async def _events(self, table: Table, after: tuple[Any, ...] | None = None) -> Any:
        """Erase the person from events; return the key of the last one that was looked at."""
        last = after
        async for rows in rows_of(self._database, table, BATCH, after):
            last = (rows[-1][0],)
            changed = {row[0]: payload for row in rows if (payload := self._without(row.payload))}
            if changed:
                # An email whose contents went earlier, by age, is known to be theirs only here.
                found = {mail.messageId for mail in map(mail_of, changed.values())} & self._erased
                await self._database.write(partial(_change_events, table, changed, found))
                dead = sum(1 for row in rows if row[0] in changed and _is_dead(row))
                self._done.dead_letters += dead
                if table is outbox:
                    self._done.notifications += len(changed) - dead
                else:
                    self._done.events += len(changed)
        return last

    def _without(self, payload: bytes) -> bytes | None:
        """Return an event without the person; ``None`` where the person is not in it."""
        mail = mail_of(payload)
        if mail.messageId not in self._erased:
            if not self._person.may_be_in(payload):
                return None
            if not mail.destination or not all(map(self._person.is_one, mail.destination)):
                try:
                    event = msgspec.json.decode(payload)
                except msgspec.MsgspecError:  # damaged: nothing of it can be told
                    return b"{}"
                erased = self._person.erased(event)
                return None if erased == event else msgspec.json.encode(erased)
            self._erased.add(mail.messageId)
        reduced = reduced_event(payload)
        return None if reduced == payload else reduced

    async def _clicks(self) -> None:
        async for rows in rows_of(self._database, clicks, BATCH):
            theirs = [
                row.event_id
                for row in rows
                if row.message_id in self._erased
                and (row.ip or row.user_agent or row.url != ERASED)
            ]
            others = [
                row.event_id
                for row in rows
                if row.message_id not in self._erased
                and any(map(self._person.is_in, (row.url, row.destination or "")))
            ]
            if theirs or others:
                await self._database.write(partial(_change_clicks, theirs, others))
                self._done.clicks += len(theirs) + len(others)

    async def _lists(self) -> None:
        """Leave nobody's address on the lists: not before all their emails are marked.

        Until then publishers put an address there that somebody unsubscribes.
        """
        done = self._done
        done.suppressed = await self._database.write(
            partial(erase_suppressed, address=self._address)
        )
        done.contacts = await self._database.write(partial(erase_contact, address=self._address))
        done.untracked = await self._database.write(partial(erase_entry, address=self._address))

    async def _opens(self) -> None:
        ids = sorted(self._erased)
        for start in range(0, len(ids), BATCH):
            erase = partial(erase_opens, message_ids=ids[start : start + BATCH])
            self._done.opens += await self._database.write(erase)

    async def _counters(self, table: Table) -> None:
        """Count on under another name; what was counted stays."""
        texts = [table.c.url] if table is link_counters else [table.c.tag, table.c.value]
        names = [text.name for text in texts]
        async for rows in rows_of(self._database, table, BATCH):
            found = [r for r in rows if any(self._person.is_in(getattr(r, n)) for n in names)]
            if found:
                await self._database.write(partial(self._change_counters, table, found))
                self._done.counters += len(found)

    async def _names(self, table: Table, name: Column[str]) -> None:
        """Replace the address in texts that are in no key."""
        keys = list(table.primary_key.columns)
        async for rows in rows_of(self._database, table, BATCH):
            found = [row for row in rows if self._person.is_in(getattr(row, name.name))]
            if found:
                change = partial(self._change_names, table, keys, name, found)
                await self._database.write(change)
                self._done.counters += len(found)

    def _change_names(
        self,
        table: Table,
        keys: list[Column[Any]],
        name: Column[str],
        found: list[Any],
        connection: Connection,
    ) -> None:
        for row in found:
            text = ERASED if name.name == "url" else self._person.erased(getattr(row, name.name))
            this = and_(*(key == getattr(row, key.name) for key in keys))
            connection.execute(update(table).where(this).values({name: text}))

    def _change_counters(self, table: Table, found: list[Any], connection: Connection) -> None:
        keys = list(table.primary_key.columns)
        links: defaultdict[tuple[Dimensions, str], Counts] = defaultdict(Counts)
        tags: defaultdict[tuple[Dimensions, str, str], Counts] = defaultdict(Counts)
        for row in found:
            this = and_(*(key == getattr(row, key.name) for key in keys))
            now = connection.execute(delete(table).where(this).returning(table)).one_or_none()
            if now is None:
                continue
            where = Dimensions(now.day, now.configuration_set, now.identity, now.provider)
            if table is link_counters:
                counts = links[where, ERASED]
            else:
                counts = tags[where, self._person.erased(now.tag), self._person.erased(now.value)]
            for number in NAMES:
                setattr(counts, number, getattr(counts, number) + getattr(now, number, 0))
        shard = take_shard(connection)
        add_link_counts(connection, shard, links)
        add_tag_counts(connection, shard, tags)


def _is_dead(row: Any) -> bool:
    return getattr(row, "died_at", None) is not None


def _marked(connection: Connection) -> list[str]:
    return list(connection.scalars(select(erased_messages.c.message_id)))


def _change_events(
    table: Table, changed: dict[int, bytes], found: Iterable[str], connection: Connection
) -> None:
    [key] = table.primary_key.columns
    statement = update(table).where(key == bindparam("key")).values(payload=bindparam("new"))
    values = [{"key": place, "new": payload} for place, payload in changed.items()]
    connection.execute(statement, values)
    mark_erased(connection, found)


def _change_clicks(theirs: list[str], others: list[str], connection: Connection) -> None:
    blank = {"ip": "", "user_agent": "", "url": ERASED, "destination": ""}
    led = case((clicks.c.destination != "", ERASED), else_=clicks.c.destination)  # not: blocked
    for ids, values in ((theirs, blank), (others, {"url": ERASED, "destination": led})):
        if ids:
            connection.execute(update(clicks).where(clicks.c.event_id.in_(ids)).values(values))


_ids: BindParameter[list[str]] = bindparam("ids", expanding=True)
_SELECT_CONTENTS = select(message_contents).where(message_contents.c.message_id.in_(_ids))
_DELETE_CONTENTS = delete(message_contents).where(message_contents.c.message_id.in_(_ids))
_DELETE_HTML = delete(message_html).where(message_html.c.message_id.in_(_ids))
_MAILINGS_ALONE = select(mailings.c.digest).where(
    mailings.c.message_id.in_(_ids), mailings.c.sent == 1
)
_CHANGE_CONTENTS = (
    update(message_contents)
    .where(message_contents.c.message_id == bindparam("key"))
    .values(recipients=bindparam("to"), content=bindparam("new"))
)
