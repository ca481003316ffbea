"""Dictionaries (RFC 8878 § 5) with which the contents of emails are kept in few bytes.

Contents begin with a byte that no MessagePack array begins with, and four of the dictionary's
digest; what follows is a Zstandard frame without its magic number, which is always the same.
Contents that begin as an array are those of older versions: MessagePack as it is.
"""

import hashlib
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property, partial
from typing import Any

from sqlalchemy import Connection, delete, func, select

from clicktrail.store.database.bulk import BulkInsert
from clicktrail.store.database.core import Database
from clicktrail.store.mail.kept.learning import Sample, learn
from clicktrail.store.mail.tables import dictionaries, message_contents

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LARGEST = 64 * 1024 * 1024
"""Bytes of contents: with more in a frame, it is damaged."""
DIGEST = 4
_MARK = b"\x01"
_MAGIC = b"\x28\xb5\x2f\xfd"  # RFC 8878 § 3.1.1
_LEVEL = 3
_TABLES = 4096
"""Bytes that zstd's tables of how often each byte is take in a dictionary, at most."""
_MOST_KNOWN = 200
_LOOKED_AT = 20_000
"""Emails that one transaction looks at for their dictionaries."""


class Damaged(ValueError):
    """What is kept cannot be read."""


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=DIGEST).digest()


class Book:
    """A dictionary, and what is packed with it. Threads may share one."""

    def __init__(self, content: bytes) -> None:
        """``content`` is empty for packing without one."""
        self.content = content
        self.digest = _digest(content)
        self._head = _MARK + self.digest
        self._dictionary = zstd.ZstdDict(content) if content else None

    @classmethod
    def learned(cls, emails: Iterable[Sample]) -> "Book | None":
        """Return a book for contents such as these; ``None`` where they have too little in common.

        Beside texts (`learn`) it has zstd's tables of how often bytes and lengths are.
        """
        some = list(emails)
        if not (texts := learn(some)):
            return None
        raw = zstd.ZstdDict(texts, is_raw=True)
        contents = [email.content for email in some]
        try:
            made = zstd.finalize_dict(raw, contents, len(texts) + _TABLES, _LEVEL)
        except zstd.ZstdError:  # too little of them
            return None
        return cls(made.dict_content)

    @cached_property
    def _compressor(self) -> zstd.ZstdCompressor:
        parameter = zstd.CompressionParameter
        options: dict[int, int] = {parameter.compression_level: _LEVEL, parameter.dict_id_flag: 0}
        made = self._dictionary
        return zstd.ZstdCompressor(
            options=options, zstd_dict=None if made is None else made.as_digested_dict
        )

    def pack(self, plain: bytes) -> bytes:
        """Return contents as they are kept."""
        frame: bytes = self._compressor.compress(plain, self._compressor.FLUSH_FRAME)
        return self._head + frame[len(_MAGIC) :]

    def unpack(self, kept: bytes) -> bytes:
        """Return contents that were packed with this book. Raises `Damaged`."""
        decompressor = zstd.ZstdDecompressor(self._dictionary)
        try:
            plain: bytes = decompressor.decompress(_MAGIC + kept[len(self._head) :], LARGEST)
        except zstd.ZstdError as error:
            raise Damaged(str(error)) from None
        if not decompressor.eof:
            raise Damaged("the frame does not end")
        return plain


PLAIN = Book(b"")
"""For emails of which nothing is known yet."""

at = dictionaries.c

_known: dict[bytes, Book] = {}
"""By digest: whichever database they are from, they are the same."""


def plain_of(connection: Connection, kept: bytes) -> bytes:
    """Return contents as MessagePack. Raises `Damaged`, also where their book is not there."""
    if kept[:1] != _MARK:
        return kept
    return _book_of(connection, kept).unpack(kept)


def repacked(connection: Connection, kept: bytes, plain: bytes) -> bytes:
    """Return other contents, packed with the book of those that were kept."""
    if kept[:1] != _MARK:
        return plain
    return _book_of(connection, kept).pack(plain)


def newest_book(connection: Connection) -> tuple[Book, int] | None:
    """Return the book that was made last, and when; ``None`` where there is none to be used.

    What is there counts, and not what this process remembers: others read emails by that.
    """
    query = select(dictionaries).order_by(at.made_at.desc(), at.digest).limit(1)
    row = connection.execute(query).first()
    try:
        if row is None or _digest(row.content) != row.digest:
            return None
        return _remembered(row.digest, row.content), row.made_at
    except Damaged:
        return None


def add_book(connection: Connection, book: Book, made_at: int) -> bool:
    """Keep a book, before anything is packed with it; return whether it is the one of its digest.

    One that is there stays.
    """
    _ADD.run(connection, [(book.digest, book.content, made_at)])
    there = select(at.content).where(at.digest == book.digest)
    return connection.scalar(there) == book.content


async def unusable_books(database: Database) -> tuple[int, int]:
    """Return how many dictionaries are not what emails were packed with, and how many are gone.

    Looks at the beginning of the contents of all emails, some thousand in each transaction: that
    takes a while. Raises `StoreUnavailable`.
    """
    needed: dict[bytes, str] = {}
    before, last = None, ""
    while last != before and (rows := await database.read(partial(_heads, last))):
        needed |= {bytes(head)[1:]: id_ for id_, head in rows if head[:1] == _MARK}
        before, last = last, rows[-1][0]
    return await database.read(partial(_unusable, needed))


def _heads(after: str, connection: Connection) -> Sequence[Any]:
    return connection.execute(_HEADS.where(message_contents.c.message_id > after)).all()


def _unusable(needed: Mapping[bytes, str], connection: Connection) -> tuple[int, int]:
    """``needed`` has the newest email that needs each: it may have been deleted meanwhile."""
    kept = {bytes(row.digest): bytes(row.content) for row in connection.execute(_ALL)}
    missing = [needed[digest] for digest in needed.keys() - kept.keys() - {PLAIN.digest}]
    there = select(func.count()).where(message_contents.c.message_id.in_(missing))
    damaged = sum(_digest(content) != digest for digest, content in kept.items())
    return damaged, connection.scalar(there) or 0


def forget_books(connection: Connection, before: int) -> int:
    """Delete books that were no longer the newest at that time; return how many."""
    newest = select(at.made_at).where(at.made_at < before).order_by(at.made_at.desc()).limit(1)
    return connection.execute(
        delete(dictionaries).where(at.made_at < newest.scalar_subquery())
    ).rowcount


def _book_of(connection: Connection, kept: bytes) -> Book:
    digest = kept[1 : 1 + DIGEST]
    if digest == PLAIN.digest:
        return PLAIN
    if digest in _known:
        return _known[digest]
    query = select(dictionaries.c.content).where(dictionaries.c.digest == digest)
    content = connection.scalar(query)
    if content is None:
        raise Damaged("its dictionary is not there")
    return _remembered(digest, content)


def _remembered(digest: bytes, content: bytes) -> Book:
    if (book := _known.get(digest)) is None:
        try:
            book = Book(content)
        except (ValueError, zstd.ZstdError):
            raise Damaged("its dictionary is damaged") from None
        if book.digest != digest:
            raise Damaged("its dictionary is damaged")
        while len(_known) >= _MOST_KNOWN:
            del _known[next(iter(_known))]
        _known[digest] = book
    return book


_ALL = select(dictionaries)
_HEADS = (
    select(message_contents.c.message_id, func.substr(message_contents.c.content, 1, 1 + DIGEST))
    .order_by(message_contents.c.message_id)
    .limit(_LOOKED_AT)
)
_ADD = BulkInsert(dictionaries, finish=lambda statement: statement.on_conflict_do_nothing())
