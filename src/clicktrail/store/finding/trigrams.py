"""The databases' own full-text indexes: trigrams of what emails are found by.

SQLite: a contentless table of FTS5 with the tokenizer ``trigram`` (SQLite, "FTS5", § 4.3.4 and
§ 4.4.1), whose rows are numbers of emails. PostgreSQL: the texts themselves, by day, with an index
of ``pg_trgm`` (PostgreSQL, appendix F); where that extension is not there, the newest texts are
read one by one. Each gives candidates: only who reads an email knows that it is meant.
"""

import asyncio
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    BindParameter,
    ColumnElement,
    Connection,
    Select,
    bindparam,
    delete,
    func,
    literal,
    literal_column,
    select,
    table,
)
from sqlalchemy.sql.base import ReadOnlyColumnCollection

from clicktrail.model import Message
from clicktrail.store.database.bulk import BulkInsert
from clicktrail.store.database.core import Database
from clicktrail.store.finding.damage import never, on_index, remove_damaged, write_with_index
from clicktrail.store.finding.texts import GRAM, Query, facets_of, text_of
from clicktrail.store.mail.tables import message_numbers, message_texts, messages, unindexed

MERGED_PAGES = 200
"""Pages of SQLite's index that one transaction writes anew: some 10 ms."""
MOST_GRAMS = 60
"""Of so many trigrams SQLite looks for emails that have all."""
_NEAR, _COMMON = 10_000, 10
"""Of so many emails PostgreSQL looks at, so many must have a mark for the rest to be looked at."""
_PRIVATE, _PRIVATE_SIZE = 0xE000, 0x1900  # the private-use area of Unicode's first plane


@dataclass(frozen=True, slots=True)
class Window:
    """Queries for emails, the newest first: ``id``, and ``at``, before which the next are.

    ``read`` are those that were looked at, as many as were asked for, or all that are left;
    ``found`` are those of them that may be meant.
    """

    found: Select[Any]
    read: Select[Any]


def window(connection: Connection, query: Query, before: str | None, size: int) -> Window:
    """Return up to ``size`` emails that a query may mean, before an ``at`` of it."""
    if not query.indexed() and not query.facets():
        key = messages.c.id
        every = select(key.label("id"), key.label("at")).order_by(key.desc()).limit(size)
        every = every if before is None else every.where(key < before)
        return Window(every, every)
    if connection.dialect.name == "postgresql":
        return _window_of_texts(connection, query, before, size)
    pieces = query.indexed()
    grams = [gram for of in (_spread, _numbered) for piece in pieces for gram in of(piece)]
    grams = list(dict.fromkeys(grams))[:MOST_GRAMS]
    grams += [_private(facet) for facet in query.facets()]
    wanted = " AND ".join('"{}"'.format(gram.replace('"', '""')) for gram in grams)
    at = _INDEX.c.rowid
    hits = select(at).where(literal_column("message_index").op("MATCH")(literal(wanted)))
    if before is not None and before.isdecimal():
        hits = hits.where(at < int(before[:18]))
    found = hits.order_by(at.desc()).limit(size).subquery("hits")
    ids = select(message_numbers.c.message_id.label("id"), found.c.rowid.label("at")).join(
        found, found.c.rowid == message_numbers.c.number
    )
    return Window(ids, ids)


def is_whole(connection: Connection) -> bool:
    """Whether all emails are looked through for pieces of texts: the database has trigrams."""
    if connection.dialect.name != "postgresql":
        return True
    return bool(connection.exec_driver_sql(_HAS_TRIGRAMS).scalar())


def add_texts(connection: Connection, found: Iterable[tuple[Message, str]]) -> None:
    """Let emails be found that are not yet, by their texts, within a transaction.

    Raises `IndexDamaged`, as all that follow.
    """
    if connection.dialect.name == "postgresql":
        rows = sorted((m.id, text, facets_of(m)) for m, text in found)
        with on_index():
            _ADD_TEXTS.run(connection, rows)
        return
    texts = {message.id: _with_facets(message, text) for message, text in found}
    with on_index():
        numbers = _numbers(connection, list(texts))
        new = sorted(texts.keys() - numbers)
        if new:
            _ADD_NUMBERS.run(connection, [(id_,) for id_ in new])
            numbers |= _numbers(connection, new)
        if numbers:
            added = sorted((number, texts[id_]) for id_, number in numbers.items())
            connection.exec_driver_sql(_INSERT, added)


def forget_texts(
    connection: Connection, gone: Sequence[Message], stay: Container[str] = ()
) -> set[str]:
    """Let emails no longer be found, within a transaction; return which were.

    They must be as they were indexed. Of those that ``stay`` the texts are to be added again. On
    SQLite what they were found by is in the file until `compact`.
    """
    ids = [message.id for message in gone]
    if connection.dialect.name == "postgresql":
        with on_index():
            return set(connection.scalars(_FORGET_TEXTS, {"ids": ids}))
    waiting = set(connection.scalars(_WAITING, {"ids": ids}))
    with on_index():
        numbers = _numbers(connection, ids)
        found = {m.id: m for m in gone if m.id in numbers and m.id not in waiting}
        rows = sorted((numbers[id_], indexed_text(m)) for id_, m in found.items())
        if rows:
            connection.exec_driver_sql(_DELETE, rows)
        left = [number for id_, number in numbers.items() if id_ not in stay]
        connection.execute(_FORGET_NUMBERS, {"numbers": left})
    return set(found)


def try_index(connection: Connection) -> None:
    """See whether the index can be written to, within a transaction, and leave it as it is.

    Raises `IndexDamaged`.
    """
    if connection.dialect.name == "postgresql":
        return
    with on_index():
        number = connection.scalar(select(func.max(message_numbers.c.number))) or 0
        row = [(number + 1, "a text")]
        connection.exec_driver_sql(_INSERT, row)
        connection.exec_driver_sql(_DELETE, row)


async def compact(
    database: Database, pause: float = 0.0, ended: Callable[[], bool] = never
) -> None:
    """Write SQLite's index anew, without what was deleted, in short transactions, until ``ended``.

    Not by ``secure-delete`` of FTS5: that is as slow for each word, and a file that was changed by
    it can no longer be read by SQLite before 3.42 (SQLite, "FTS5", § 6.11).
    """
    await remove_damaged(database, pause, ended)
    # A negative number takes all of the index in hand; positive ones go on with that (§ 6.8).
    size = -MERGED_PAGES
    while not ended() and await write_with_index(database, partial(_merge, size)):
        size = MERGED_PAGES
        await asyncio.sleep(pause)


def _merge(pages: int, connection: Connection) -> bool:
    """Merge so many pages; return whether more is to be done."""
    if connection.dialect.name == "postgresql":
        return False  # VACUUM removes what was deleted
    before = connection.exec_driver_sql("SELECT total_changes()").scalar() or 0
    with on_index():
        connection.exec_driver_sql(_MERGE, (pages,))
    after = connection.exec_driver_sql("SELECT total_changes()").scalar() or 0
    return bool(after - before >= 2)


def _window_of_texts(connection: Connection, query: Query, before: str | None, size: int) -> Window:
    key = message_texts.c.message_id
    facets = literal(query.facets(), ARRAY(BigInteger))
    by_index = not query.indexed() or is_whole(connection)
    # By something else than the key, where it would be read from its end in vain.
    rare = by_index and query.wholes and not _is_common(connection, before, facets)
    order = key.concat("") if rare else key
    every = select(message_texts).order_by(order.desc()).limit(size)
    every = every if before is None else every.where(key < before)
    if by_index:
        found = every.where(*_conditions(message_texts.c, query.indexed(), facets))
        return Window(ids := found.with_only_columns(key.label("id"), key.label("at")), ids)
    read = every.subquery("read")
    ids = select(read.c.message_id.label("id"), read.c.message_id.label("at"))
    return Window(ids.where(*_conditions(read.c, query.indexed(), facets)), ids)


def _is_common(
    connection: Connection, before: str | None, facets: BindParameter[Sequence[int]]
) -> bool:
    """Whether some of the next emails have all marks: PostgreSQL cannot tell a whole address of
    one email from one of thousands, and would look through all emails for either."""
    key = message_texts.c.message_id
    near = select(message_texts.c.facets).order_by(key.desc()).limit(_NEAR)
    near_facets = (near if before is None else near.where(key < before)).subquery("near").c.facets
    of_them = select(func.count()).where(near_facets.op("@>")(facets))
    return (connection.scalar(of_them) or 0) >= _COMMON


def _conditions(
    columns: ReadOnlyColumnCollection[str, Any],
    pieces: Iterable[str],
    facets: BindParameter[Sequence[int]],
) -> list[ColumnElement[bool]]:
    found = [columns.text.contains(piece, autoescape=True) for piece in pieces]
    return [*found, columns.facets.op("@>")(facets)] if facets.value else found


def _spread(piece: str) -> list[str]:
    """Return trigrams that cover a piece: the more lists of emails, the longer it takes."""
    last = len(piece) - GRAM
    return list(dict.fromkeys(piece[at : at + GRAM] for at in (*range(0, last, GRAM), last)))


def _numbered(piece: str) -> list[str]:
    """Return the trigrams of a piece that have a digit: few emails have them, and the others of
    ``reader77@`` are those of ``reader1077@`` too."""
    grams = (piece[at : at + GRAM] for at in range(len(piece) - GRAM + 1))
    return [gram for gram in grams if any(map(str.isdigit, gram))]


def indexed_text(message: Message) -> str:
    """Return what SQLite indexes of an email."""
    return _with_facets(message, text_of(message))


def _with_facets(message: Message, text: str) -> str:
    return "\n".join((text, *map(_private, facets_of(message))))


def _private(facet: int) -> str:
    """Return a facet as one trigram of characters that no text has a meaning for."""
    places = (facet >> shift & 0xFFFF for shift in (0, 16, 32))
    return "".join(chr(_PRIVATE + place % _PRIVATE_SIZE) for place in places)


def _numbers(connection: Connection, ids: Sequence[str]) -> dict[str, int]:
    """Return the numbers of those emails that have one."""
    rows = connection.execute(_SELECT_NUMBERS, {"ids": ids})
    return {row.message_id: row.number for row in rows}


_INSERT = "INSERT INTO message_index (rowid, text) VALUES (?, ?)"
_DELETE = "INSERT INTO message_index (message_index, rowid, text) VALUES ('delete', ?, ?)"
_MERGE = "INSERT INTO message_index (message_index, rank) VALUES ('merge', ?)"
_HAS_TRIGRAMS = "SELECT to_regclass('message_texts_words') IS NOT NULL"
_INDEX = table("message_index", literal_column("rowid"))
_ids: BindParameter[list[str]] = bindparam("ids", expanding=True)
_found: BindParameter[list[int]] = bindparam("numbers", expanding=True)
_ADD_TEXTS = BulkInsert(message_texts, finish=lambda s: s.on_conflict_do_nothing())
_ADD_NUMBERS = BulkInsert(message_numbers, ("message_id",))
_FORGET_TEXTS = (
    delete(message_texts)
    .where(message_texts.c.message_id.in_(_ids))
    .returning(message_texts.c.message_id)
)
_FORGET_NUMBERS = delete(message_numbers).where(message_numbers.c.number.in_(_found))
_SELECT_NUMBERS = select(message_numbers).where(message_numbers.c.message_id.in_(_ids))
_WAITING = select(unindexed.c.message_id).where(unindexed.c.message_id.in_(_ids))
