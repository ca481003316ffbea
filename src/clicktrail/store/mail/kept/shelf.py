"""Chooses the book with which a process packs contents, and makes a new one when it pays.

All processes use the one that was made last, and look for it once a minute: so no email is packed
with one that has long been followed by another, and those can be deleted with the emails of
their time (`books.forget_books`).
"""

import asyncio
import time
from collections.abc import Sequence
from functools import partial

from clicktrail.base.ids import now_us
from clicktrail.base.logs import get_logger
from clicktrail.errors import StoreUnavailable
from clicktrail.store.database.core import Database
from clicktrail.store.mail.kept.books import PLAIN, Book, add_book, newest_book
from clicktrail.store.mail.kept.learning import Sample

log = get_logger(__name__)

SAMPLES = 500
"""Emails that a book is made from."""
STEP = 10
"""Each of so many emails is one of them, where there is a book: so it is made from the last 5000,
and one is made for so many at most."""
LARGEST_SAMPLE = 32 * 1024
"""Bytes of contents; others have little in common with these."""
MOST_SAMPLED = 4 * 1024 * 1024
"""Bytes of contents that a book is made from: fewer emails, where they are large."""
LOOK_SECONDS = 60.0
_MOST_STEP = 1000
_WORSE = 1.25
"""So much larger contents must have become to look for a better book."""
_BETTER = 0.8
"""As small a new book must make them."""
_RENEW_MICROSECONDS = 30 * 86_400_000_000
"""A book that is older is followed by another: what was common once does not stay for ever."""


class Shelf:
    """Packs contents of emails. May raise `StoreUnavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._book = PLAIN
        self._made_at = 0
        self._best = 0.0
        """Bytes kept ÷ bytes packed when the book was new; 0 until that is known."""
        self._looked = -LOOK_SECONDS
        self._step = 1
        self._learning: asyncio.Task[None] | None = None
        self._begin()

    async def look(self) -> None:
        """Take the newest book, if that was not done for a while. To be awaited before packing.

        Where there is none any more, emails that are packed with ours could not be read.
        """
        if time.monotonic() < self._looked + LOOK_SECONDS:
            return
        found = await self._database.read(newest_book)
        self._looked = time.monotonic()
        book, made_at = found or (PLAIN, 0)
        if book.digest != self._book.digest:
            self._take(book, made_at)

    def pack(self, recipients: Sequence[str], plain: bytes) -> bytes:
        """Return contents, MessagePack, as they are kept."""
        kept = self._book.pack(plain)
        self._plain += len(plain)
        self._kept += len(kept)
        self._count += 1
        if (
            self._count % self._step == 0
            and recipients
            and len(plain) <= LARGEST_SAMPLE
            and not self._is_enough()
        ):
            self._samples.append(Sample(recipients[0], plain))
            self._sampled += len(plain)
        return kept

    def learn(self) -> None:
        """Begin to make a new book, where there is enough to learn from and it seems to pay."""
        if not self._is_enough() or self._learning is not None:
            return
        samples, ratio = self._samples, self._kept / self._plain
        self._begin()
        is_old = self._made_at > 0 and now_us() - self._made_at > _RENEW_MICROSECONDS
        self._best = min(ratio, self._best or ratio)
        if not self._made_at or is_old or ratio > self._best * _WORSE:
            self._best = ratio
            self._learning = asyncio.create_task(self._learn(samples, 1.0 if is_old else _BETTER))

    async def close(self) -> None:
        """Return when nothing goes on any more."""
        if self._learning is not None:
            await asyncio.wait([self._learning])

    async def _learn(self, samples: Sequence[Sample], least: float) -> None:
        try:
            # Some tenths of a second, for thousands of emails: no event loop waits for it.
            book = await asyncio.to_thread(_better, samples, least, self._book)
            if book is None or not await self._add(book, now_us()):
                self._step = min(_MOST_STEP, 2 * self._step)
        except StoreUnavailable as error:
            log.warning("emails are kept in more bytes than need be", error=error)
        finally:
            self._learning = None

    async def _add(self, book: Book, made_at: int) -> bool:
        added = await self._database.write(partial(add_book, book=book, made_at=made_at))
        if added:
            self._take(book, made_at)
        return added

    def _take(self, book: Book, made_at: int) -> None:
        self._book, self._made_at = book, made_at
        self._best, self._step = 0.0, STEP if made_at else 1
        self._begin()

    def _begin(self) -> None:
        self._samples: list[Sample] = []
        self._plain = self._kept = self._count = self._sampled = 0

    def _is_enough(self) -> bool:
        return len(self._samples) >= SAMPLES or self._sampled >= MOST_SAMPLED


def _better(samples: Sequence[Sample], least: float, than: Book) -> Book | None:
    """Return a new book, if it makes contents as small as that."""
    made = Book.learned(samples)
    if made is None or made.digest == than.digest:
        return None
    sizes = [sum(len(book.pack(each.content)) for each in samples) for book in (made, than)]
    return made if sizes[0] <= least * sizes[1] else None
